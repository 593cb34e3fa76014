"""Runs CMake on the native part and nothing else: CMakeLists.txt has the sources, pyproject.toml the metadata."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
TORCH_REQUIREMENT = "torch>=2.11,<2.14"  # as in pyproject.toml
TORCH_VERSIONS = ((2, 11), (2, 14))
OPENVINO_REQUIREMENT = "openvino>=2025.2"  # likewise
OPENVINO_VERSIONS = ((2025, 2), (9999,))


def installed(package: str, at_least: tuple[int, ...], below: tuple[int, ...]) -> Path | None:
    """A package that fer_fast will run with, if one in range is installed.

    pip hides it in an isolated build, but the interpreter is the target's own, and so are sysconfig's paths.
    Only its C++ headers are read, and its libraries' names: listing torch in [build-system] would have pip
    fetch a second one, several GB, for those. The stable ABI makes any version of torch in range do.
    """
    paths = [*sys.path, sysconfig.get_path("platlib"), sysconfig.get_path("purelib"), *site.getsitepackages()]
    if site.ENABLE_USER_SITE is not None:
        paths.append(site.getusersitepackages())
    for distribution in importlib.metadata.distributions(name=package, path=list(dict.fromkeys(paths))):
        version = tuple(int(part) for part in re.findall(r"\d+", distribution.version)[:2])
        folder = Path(str(distribution.locate_file(package)))
        if at_least <= version < below and folder.is_dir():
            return folder
    return None


def installed_torch() -> Path | None:
    """Where torch lies."""
    return installed("torch", *TORCH_VERSIONS)


def installed_openvino() -> Path | None:
    """Where OpenVINO lies: the C++ classifier is built against its headers."""
    return installed("openvino", *OPENVINO_VERSIONS)


def openvino_options(editable: bool) -> list[str]:
    """The C++ classifier's engine; --no-build-isolation may go without, on a machine that has no OpenVINO."""
    openvino = installed_openvino()
    if openvino is None:
        return ["-DFER_FAST_OPENVINO=0"]
    # Where the library finds it later: beside this package, wherever that is installed; or, from a source tree, in this
    # environment. Where it was found now may be pip's own folder, which is gone then.
    there = Path(sysconfig.get_path("platlib")) if editable else Path("$ORIGIN/../../..")
    rpath = there / "openvino" / "libs"
    return ["-DFER_FAST_OPENVINO=1", f"-DOpenVINO_DIR={openvino / 'cmake'}", f"-DFER_FAST_OPENVINO_RPATH={rpath}"]


class CMakeBuild(build_ext):
    """Configures and builds all native code, and installs the components beside the Python files."""

    build_tree = ROOT / "build" / f"native-{sys.implementation.cache_tag}"

    def build_extension(self, extension: Extension) -> None:
        """Builds everything at once; there is one extension."""
        torch = installed_torch()
        if torch is None:
            raise SystemExit(f"fer_fast: --no-build-isolation needs {TORCH_REQUIREMENT} installed")
        configure = [
            # --fresh: an isolated build's ninja and pybind11 lie in a folder that is gone by the next build.
            *("cmake", "--fresh", "-S", str(ROOT), "-B", str(self.build_tree), "-G", "Ninja"),
            "-DFER_FAST_PYTHON=ON",
            f"-DFER_FAST_TORCH_DIR={torch}",
            f"-DFER_FAST_CUDA={os.environ.get('FER_FAST_CUDA', 'auto')}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11_directory()}",
            *openvino_options(self.editable_mode),
        ]
        subprocess.run(configure, check=True)
        subprocess.run(["cmake", "--build", str(self.build_tree)], check=True)
        self._install(Path(self.get_ext_fullpath(extension.name)).parent.parent)

    def copy_extensions_to_source(self) -> None:
        """Serves `pip install -e .`: setuptools would copy the module alone, without the torch libraries."""
        self._install(ROOT)

    def _install(self, prefix: Path) -> None:
        for folder in ("lib", "cpp"):  # nothing else is there; an earlier build may have left what this one leaves out
            shutil.rmtree(prefix / "fer_fast" / folder, ignore_errors=True)
        for component, folder in (("python", prefix.resolve()), ("cpp", prefix.resolve() / "fer_fast" / "cpp")):
            arguments = ["--component", component, "--prefix", str(folder)]
            subprocess.run(["cmake", "--install", str(self.build_tree), *arguments], check=True)


def pybind11_directory() -> str:
    """Where pybind11's CMake configuration lies; imported late, since only a build needs it."""
    import pybind11

    return str(pybind11.get_cmake_dir())


setup(
    ext_modules=[Extension("fer_fast._C", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
    # Build requirements only where they are not found: pip then takes those that it installs anyway.
    setup_requires=[
        requirement
        for requirement, found in (
            (TORCH_REQUIREMENT, installed_torch()),
            (OPENVINO_REQUIREMENT, installed_openvino()),
        )
        if found is None
    ],
)
