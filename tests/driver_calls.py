"""Run where libcuda.so.1 is a stub without a card: calls `fused_tokens_cuda` on arrays that say they are on one."""

import ctypes
import importlib.util
import sys

import numpy as np

from fer_fast import _C as core  # noqa: N811

AS_THE_PROTOCOL = "what it says of its memory must be as DLPack or __cuda_array_interface__ has it"


class Interface:
    """An array by `__cuda_array_interface__`."""

    def __init__(self, array, read_only=False, **more):
        strides = None if array.flags.c_contiguous else array.strides
        data = (array.ctypes.data, read_only)
        about = {"version": 3, "typestr": array.dtype.str, "shape": array.shape, "strides": strides, "data": data}
        self.__cuda_array_interface__ = about | more
        self.array = array


class Odd:
    """What is no array, though it says so."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Packed:
    """An array by DLPack."""

    def __init__(self, array, device=(2, 0)):
        self.array, self.device, self.streams = array, device, []

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, stream):
        self.streams.append(stream)
        return self.array.__dlpack__()


def refused(code, *arguments, **options):
    """What a call says."""
    try:
        core.fused_tokens_cuda(code, *arguments, **options)
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("it was not refused")


def refused_by_nvccs(*arguments):
    """What a call of the module says that nvcc built."""
    from fer_fast import _cuda

    try:
        _cuda.fused_tokens_cuda(*arguments)
    except ValueError as error:
        return str(error)
    raise AssertionError("it was not refused")


def check_cards(one, source, out):
    """Arrays on other cards, or on none, by the interface as by DLPack."""
    stub = ctypes.CDLL("libcuda.so.1")
    rule = "must be on the card of the call, 0, got 1"
    second, host = np.array(source), np.array(source)
    stub.stub_put(ctypes.c_uint64(second.ctypes.data), 1)
    stub.stub_put(ctypes.c_uint64(host.ctypes.data), -1)
    code = core.CudaCode(b"a cubin", 0)
    assert refused(code, [Interface(second)], *one, out) == f"ValueError: sources[0]: {rule}"
    words = f"ValueError: sources[0]: must be on a card, got the address {host.ctypes.data}"
    assert refused(code, [Interface(host)], *one, out) == words
    if importlib.util.find_spec("fer_fast._cuda"):
        for first, other in ((Packed(source), Interface(second)), (Interface(source), Packed(source, (2, 1)))):
            arguments = ([first, other], one[0] * 2, one[1] * 2, one[2] * 2, one[3], one[4] * 2, out)
            assert refused_by_nvccs(*arguments) == f"sources[1]: {rule}"


def main():
    """Prints the stub's lines, and fails where anything is not as it should be."""
    code = core.CudaCode(b"a cubin", 0)
    for cubin, device, words in ((b"none", 0, "cuModuleLoadData"), (b"a cubin", 1, "cuDeviceGet")):
        try:
            core.CudaCode(cubin, device)
        except RuntimeError as error:
            assert str(error) == f"CUDA: {words} failed: invalid argument", error
        else:
            raise AssertionError(words)
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    tap = random.standard_normal((2, 4, 4, 64), dtype=np.float32).transpose(0, 3, 1, 2)  # channels last
    small = random.standard_normal((2, 32, 3, 3), dtype=np.float32)
    sources = [image, tap, small]
    means = [random.random(n, dtype=np.float32) for n in (3, 64, 32)]
    inv_stds = [random.random(n, dtype=np.float32) for n in (3, 64, 32)]
    rest = ([16, 2, 1], 2, [False] * 3)
    wanted = core.fused_tokens(sources, means, inv_stds, *rest)
    for kind, stream in ((Interface, 0), (Packed, 77)):
        out = np.full_like(wanted, np.nan)
        arrays = [[kind(array) for array in group] for group in (sources, means, inv_stds)]
        core.fused_tokens_cuda(code, *arrays, *rest, Interface(out), stream=stream)
        np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-5)
    assert [array.streams for array in arrays[0]] == [[77]] * 3
    pixels = np.full((2, 3, 32, 32), np.nan, np.float32)
    addresses = [array.ctypes.data for array in (means[0], inv_stds[0], pixels)]
    code.write_image(core.ImageCall(image.ctypes.data, image.shape[:3], *addresses, "float32", 3, True), 5)
    np.testing.assert_array_equal(pixels, ((image - means[0]) * inv_stds[0]).transpose(0, 3, 1, 2))
    zero = Packed(tap)
    out = Interface(np.empty((2, 4, 256), np.float16))
    core.fused_tokens_cuda(code, [zero], [Interface(means[1])], [Interface(inv_stds[1])], [2], 2, [False], out)
    assert zero.streams == [1], "DLPack calls the default stream 1"
    one = ([Interface(means[1])], [Interface(inv_stds[1])], [2], 2, [False])
    # Of one image and of none, strides over images are anything.
    image = np.full((1, 4, 256), np.nan, np.float32)
    core.fused_tokens_cuda(code, [Packed(tap[:1])], *one, Interface(image, strides=(4, 1024, 4)))
    np.testing.assert_allclose(image, wanted[:1, :, 768:1024], rtol=1e-5, atol=1e-5)
    core.fused_tokens_cuda(code, [Packed(tap[:0])], *one, Interface(image[:0], strides=(0, 0, 0)))
    for said, source, to in (
        ("TypeError: sources[0]: must have __dlpack__ or __cuda_array_interface__, got list", [1], out),
        ("ValueError: sources[0]: must be on a card, got DLPack's device type 1", Packed(tap, (1, 0)), out),
        ("ValueError: sources[0]: must be on the card of the call, 0, got 1", Packed(tap, (2, 1)), out),
        ("ValueError: out: must be on the card of the call, 0, got 1", zero, Packed(out.array, (2, 1))),
        (f"TypeError: sources[0]: {AS_THE_PROTOCOL}", Odd(__dlpack__=None, __dlpack_device__=lambda: "cuda"), out),
        (f"TypeError: sources[0]: {AS_THE_PROTOCOL}", Odd(__cuda_array_interface__=5), out),
        (f"TypeError: sources[0]: {AS_THE_PROTOCOL}", Interface(tap, data=(None, False)), out),
        (
            'TypeError: sources[0]: __dlpack__ must return a capsule "dltensor"',
            Odd(__dlpack__=lambda stream: None, __dlpack_device__=lambda: (2, 0)),
            out,
        ),
        (
            "TypeError: sources[0]: its __cuda_array_interface__ must have typestr",
            Odd(__cuda_array_interface__={"version": 3}),
            out,
        ),
        ("ValueError: sources[0]: must have no mask", Interface(tap, mask=tap), out),
        ("ValueError: sources[0]: must be written on the stream of the call, 0, got 5", Interface(tap, stream=5), out),
        ("ValueError: out: must be writeable, contiguous [2, 4, 256]", zero, Interface(out.array, read_only=True)),
        ("ValueError: out: must be writeable, contiguous [2, 4, 256]", zero, Interface(out.array[:, :, ::-1])),
        ("ValueError: out: must be writeable, contiguous [2, 4, 256]", zero, Interface(out.array[:1])),
        ("ValueError: out: must be writeable, contiguous [2, 4, 256]", zero, Interface(out.array[:, :, :0])),
        ("TypeError: sources[0]: must be float32 (<f4), float16 (<f2) or uint8 (|u1), got <f8", tap.astype("f8"), out),
    ):
        given = Interface(source) if isinstance(source, np.ndarray) else source
        assert refused(code, [given], *one, to) == said, refused(code, [given], *one, to)
    check_cards(one, np.ascontiguousarray(tap), out)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
