"""The kernel where no nvcc built it: compiled by NVRTC, kept in the cache; for Pascal, which nvcc 13 lacks."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
from cuda_tools import assert_wide, kernels_of, tool

from fer_fast.ops import compiled, native, nvrtc
from fer_fast.types import FerFastError

pytestmark = pytest.mark.needs_native
#: Opcodes of Maxwell and Pascal, by the first thirteen bits of an instruction; the next three are its width.
OPCODES = {0xEED0: "LDG", 0xEED8: "STG", 0x8000: "LD", 0xA000: "ST", 0xEF40: "LDL", 0xEF50: "STL", 0xEF58: "STS"}
WIDTHS = ("U8", "S8", "U16", "S16", "32", "64", "128")


def accesses(cubin: Path) -> dict[str, list[str]]:
    """nvdisasm 13 does not know Pascal: of an ELF file's code, the instructions that read or write memory."""
    data = cubin.read_bytes()
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<3H", data, 0x3A)
    sections = [struct.unpack_from("<2I4Q", data, table + i * size) for i in range(count)]
    found: dict[str, list[str]] = {}
    for at, _, _, _, begin, length in sections:
        name = data[sections[names][4] + at :].partition(b"\0")[0].decode()
        if name.startswith(".text."):
            words = struct.unpack_from(f"<{length // 8}Q", data, begin)
            codes = [word >> 48 for i, word in enumerate(words) if i % 4]  # the first of four is no instruction
            known = [f"{OPCODES[code & 0xFFF8]}.{WIDTHS[code & 7]}" for code in codes if code & 0xFFF8 in OPCODES]
            found[name.removeprefix(".text.")] = known
    return found


def nvrtc_for(architecture: int) -> nvrtc.Nvrtc:
    try:
        return nvrtc.find_nvrtc(architecture)
    except FerFastError as error:
        pytest.skip(str(error))


def test_the_kernel_for_pascal(tmp_path: Path) -> None:
    if not tool("cuobjdump"):
        pytest.skip("needs nvidia-cuda-cuobjdump")
    core, cubin = native.core(), tmp_path / "pascal.cubin"
    cubin.write_bytes(nvrtc_for(61).compile(core.cuda_program(), dict(core.cuda_headers()), 61))
    assert_wide(kernels_of(cubin, accesses))


def test_a_program_that_is_wrong_is_told_in_the_compilers_words() -> None:
    with pytest.raises(
        FerFastError, match=r"(?s)^NVRTC 1.* does not compile the kernel: fused_tokens.cu.*no_such_thing"
    ):
        nvrtc_for(75).compile("int i = no_such_thing;", {}, 75)


def test_a_card_that_no_nvrtc_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    nvrtc_for(75)
    with pytest.raises(FerFastError, match=r"^the kernel must be compiled for compute capability 3\.5, which NVRTC 1"):
        nvrtc.find_nvrtc(35)
    monkeypatch.setattr(nvrtc, "_libraries", list)
    with pytest.raises(FerFastError, match=r"capability 7\.5, and there is no NVRTC: pip install nvidia-cuda-nvrtc$"):
        nvrtc.find_nvrtc(75)


class Counted:
    """Stands for an NVRTC, and counts what it is asked to compile."""

    version = "0.0"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def compile(self, program: str, headers: dict[str, str], architecture: int) -> bytes:
        assert "take_shares" in headers["tokens_kernel.h"] and "fused_tokens_uint8_float16_runs(" in program
        assert "take_pixels" in headers["image_kernel.h"] and "normalised_image_float16_four(" in program
        self.asked.append(architecture)
        return b"a cubin for %d" % architecture


def test_a_kernel_is_compiled_once_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path))
    compiler = Counted()
    monkeypatch.setattr(compiled, "find_nvrtc", lambda architecture: compiler)
    found = [compiled.compiled_kernel(architecture) for architecture in (61, 61, 75, 61)]
    assert found == [b"a cubin for 61", b"a cubin for 61", b"a cubin for 75", b"a cubin for 61"]
    assert compiler.asked == [61, 75]
    for file in tmp_path.glob("kernel-*"):
        file.write_bytes(file.read_bytes()[:-1] + b"?")  # damaged: made again
    assert compiled.compiled_kernel(61) == b"a cubin for 61" and compiler.asked == [61, 75, 61]
    compiler.version = "0.1"
    assert compiled.compiled_kernel(75) == b"a cubin for 75"
    assert compiler.asked == [61, 75, 61, 75], "another compiler's code is another's"


def test_without_an_nvrtc_what_was_compiled_last_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path))
    compiler = Counted()
    monkeypatch.setattr(compiled, "find_nvrtc", lambda architecture: compiler)
    compiled.compiled_kernel(75)
    monkeypatch.setattr(compiled, "find_nvrtc", nvrtc.find_nvrtc)
    monkeypatch.setattr(nvrtc, "_libraries", list)
    assert compiled.compiled_kernel(75) == b"a cubin for 75"
    assert "there is no NVRTC: pip install nvidia-cuda-nvrtc; what NVRTC 0.0 compiled before is used" in caplog.text
    with pytest.raises(FerFastError, match=r"capability 8\.6, and there is no NVRTC"):
        compiled.compiled_kernel(86)
    for file in tmp_path.glob("kernel-*"):
        file.unlink()
    with pytest.raises(FerFastError, match=r"capability 7\.5, and there is no NVRTC"):
        compiled.compiled_kernel(75)


def test_code_that_a_card_does_not_load_is_the_machines_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(cubin: bytes, device: int) -> None:
        raise RuntimeError(f"CUDA: cuDeviceGet failed on {device} with {cubin.decode()}")

    monkeypatch.setattr(compiled, "compiled_kernel", lambda architecture: b"code for %d" % architecture)
    monkeypatch.setattr(native, "core", lambda: SimpleNamespace(CudaCode=refuses))
    with pytest.raises(FerFastError, match=r"^CUDA: cuDeviceGet failed on 7 with code for 61"):
        compiled.code_for(7, 61)


@pytest.mark.parametrize(
    ("built", "architecture", "runs"),
    [
        ("75-real,80-real,120", 75, True),
        ("75-real,80-real,120", 61, False),
        ("75-real,80-real,120", 89, True),  # of 8.0's generation
        ("75-real,80-real,120", 90, False),
        ("75-real,80-real,120", 121, True),
        ("80-virtual", 90, True),
        ("90a-real", 90, True),
        ("90a", 100, False),
        ("86-real", 80, False),
        ("", 75, False),
    ],
)
def test_which_cards_a_build_is_for(built: str, architecture: int, runs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.core(), "cuda_architectures", built)
    monkeypatch.setattr(native, "has_cuda_library", lambda: bool(built))
    assert native.has_cuda_code(architecture) is runs
