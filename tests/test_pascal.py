"""The kernel for Pascal: nvcc 13 has no sm_61, so NVRTC 12.9 compiles the very header; the cubin says what it takes."""

import ctypes
import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: What a kernel compiled at run time has in place of the standard library.
HEADERS = {
    "cstdint": """#pragma once
typedef signed char int8_t; typedef unsigned char uint8_t; typedef short int16_t; typedef unsigned short uint16_t;
typedef int int32_t; typedef unsigned int uint32_t; typedef long long int64_t; typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t;
""",
    "cstring": "#pragma once\n",
    "stdexcept": "#pragma once\nnamespace std { struct invalid_argument { invalid_argument(const char*) {} }; }\n",
}
KERNELS = {
    f"fer_fast::token_kernel<{element}>": element for element in ("float", "fer_fast::Half", "fer_fast::BFloat16")
}


def library():
    """NVRTC 12, if its wheel is installed."""
    spec = importlib.util.find_spec("nvidia.cuda_nvrtc") if importlib.util.find_spec("nvidia") else None
    folders = list(spec.submodule_search_locations) if spec else []
    files = [path for folder in folders for path in Path(folder).glob("lib/libnvrtc.so.12")]
    return ctypes.CDLL(str(files[0])) if files else None


def cuobjdump():
    """The tool that reads a cubin, if its wheel is installed."""
    spec = importlib.util.find_spec("nvidia")
    found = [
        path
        for folder in (spec.submodule_search_locations if spec else [])
        for path in Path(folder).glob("cu*/bin/cuobjdump")
    ]
    return found[0] if found else None


def compile_kernel(nvrtc, source, headers, options):
    """The cubin of a translation unit; the compiler's complaints fail the test."""

    def check(status):
        if status != 0:
            size = ctypes.c_size_t()
            nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            said = ctypes.create_string_buffer(size.value)
            nvrtc.nvrtcGetProgramLog(program, said)
            pytest.fail(f"NVRTC: {said.value.decode()}")

    def strings(values):
        return (ctypes.c_char_p * len(values))(*[value.encode() for value in values])

    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    names = list(headers)
    contents = [headers[name] for name in names]
    check(
        nvrtc.nvrtcCreateProgram(
            ctypes.byref(program), source.encode(), b"pascal.cu", len(names), strings(contents), strings(names)
        )
    )
    for kernel in KERNELS:
        check(nvrtc.nvrtcAddNameExpression(program, kernel.encode()))
    check(nvrtc.nvrtcCompileProgram(program, len(options), strings(options)))
    check(nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)))
    cubin = ctypes.create_string_buffer(size.value)
    check(nvrtc.nvrtcGetCUBIN(program, cubin))
    return cubin.raw


def test_kernel_fits_pascal(tmp_path):
    nvrtc, tool = library(), cuobjdump()
    if nvrtc is None or tool is None:
        pytest.skip("needs nvidia-cuda-nvrtc-cu12 12.9 and nvidia-cuda-cuobjdump")
    headers = dict(HEADERS)
    for folder, name in (("csrc/tokens", "tokens_kernel.h"), ("csrc/tokens", "tokens_math.h")):
        headers[name] = (ROOT / folder / name).read_text()
    headers["fer_fast/tokens.h"] = (ROOT / "csrc/include/fer_fast/tokens.h").read_text()
    options = ["--gpu-architecture=sm_61", "--std=c++17", "--fmad=false", "--device-as-default-execution-space"]
    cubin = compile_kernel(nvrtc, '#include "tokens_kernel.h"\n', headers, options)
    (tmp_path / "pascal.cubin").write_bytes(cubin)
    said = subprocess.run(
        [tool, "-res-usage", tmp_path / "pascal.cubin"], capture_output=True, text=True, check=True
    ).stdout
    usage = re.findall(r"Function (\S+):\s+REG:(\d+) STACK:(\d+).*?LOCAL:(\d+)", said, re.DOTALL)
    assert len(usage) == len(KERNELS), said
    for _, registers, stack, local in usage:
        assert int(registers) <= 128, "two blocks of 256 threads must fit a multiprocessor's 65,536 registers"
        assert (int(stack), int(local)) == (0, 0), "registers are spilled"
