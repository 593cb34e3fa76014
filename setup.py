"""Runs CMake on the native part and nothing else: CMakeLists.txt has the sources, pyproject.toml the metadata."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pybind11
from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()


class FreshBuild(build):
    """Starts from nothing: setuptools would pack what older sources left in its folder, modules that are gone too."""

    def run(self) -> None:
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class CMakeBuild(build_ext):
    """Configures and builds all native code, and installs the components beside the Python files."""

    build_tree = ROOT / "build" / f"native-{sys.implementation.cache_tag}"

    def build_extension(self, extension: Extension) -> None:
        """Builds everything at once; there is one extension."""
        configure = [
            # --fresh: an isolated build's ninja and pybind11 lie in a folder that is gone by the next build.
            *("cmake", "--fresh", "-S", str(ROOT), "-B", str(self.build_tree), "-G", "Ninja"),
            "-DFER_FAST_PYTHON=ON",
            f"-DFER_FAST_CUDA={os.environ.get('FER_FAST_CUDA', 'auto')}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        ]
        if self.editable_mode:  # not beside this package, where the library would look: it is in this environment
            configure.append(f"-DFER_FAST_OPENVINO_DIR={Path(sysconfig.get_path('platlib')) / 'openvino' / 'libs'}")
        configure += shlex.split(os.environ.get("CMAKE_ARGS", ""))  # CMake takes the last of two
        subprocess.run(configure, check=True)
        subprocess.run(["cmake", "--build", str(self.build_tree)], check=True)
        self._install(Path(self.get_ext_fullpath(extension.name)).parent.parent)

    def copy_extensions_to_source(self) -> None:
        """Serves `pip install -e .`: setuptools would copy one module alone."""
        self._install(ROOT)

    def _install(self, prefix: Path) -> None:
        # An earlier build may have left what this one leaves out.
        shutil.rmtree(prefix / "fer_fast" / "cpp", ignore_errors=True)
        (prefix / self.get_ext_filename("fer_fast._cuda")).unlink(missing_ok=True)
        for component, folder in (("python", prefix.resolve()), ("cpp", prefix.resolve() / "fer_fast" / "cpp")):
            arguments = ["--component", component, "--prefix", str(folder)]
            subprocess.run(["cmake", "--install", str(self.build_tree), *arguments], check=True)


setup(
    ext_modules=[Extension("fer_fast._C", sources=[])],
    cmdclass={"build": FreshBuild, "build_ext": CMakeBuild},
    # A folder for each Python: two that pack at once would find each other's modules in one.
    options={"bdist": {"bdist_base": f"build/bdist-{sys.implementation.cache_tag}"}},
)
