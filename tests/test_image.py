"""The image kernel: a case by hand, then its body on the host, and on a card, against torch: the same bits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from token_witnesses import Shim

from fer_fast.ops import image, native
from fer_fast.ops.image import normalised_image, normalised_image_reference

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
FORMS = {"three": (3, False), "four": (4, False), "eight": (8, False), "planes": (3, True)}
MEAN, INV_STD = torch.tensor([123.675, 116.28, 103.53]), 1 / torch.tensor([58.395, 57.12, 57.375])


def faces(batch: int, height: int, width: int) -> torch.Tensor:
    """Every grey level of every channel, where there is room."""
    count = batch * height * width * 3
    generator = torch.Generator().manual_seed(count)
    return torch.randperm(count, generator=generator).remainder(256).to(torch.uint8).view(batch, height, width, 3)


def on_host(shim: Shim) -> Callable[..., torch.Tensor]:
    def witness(images, mean, inv_std, channels, out_dtype, planes):
        batch, height, width, _ = images.shape
        shape = (batch, 3, height, width) if planes else (batch, height, width, channels)
        out = torch.full(shape, float("nan"), dtype=out_dtype)
        shim.image(images, mean, inv_std, out, planes)
        return out if planes else out.permute(0, 3, 1, 2)

    return witness


def on_card(images, mean, inv_std, *rest) -> torch.Tensor:
    return normalised_image(images.cuda(), mean.cuda(), inv_std.cuda(), *rest).cpu()


@pytest.fixture(params=["op", "cuda on the host", pytest.param("cuda", marks=pytest.mark.needs_cuda)])
def witness(request: pytest.FixtureRequest) -> Callable[..., torch.Tensor]:
    if request.param == "cuda on the host":
        return on_host(request.getfixturevalue("shim"))
    return on_card if request.param == "cuda" else normalised_image


def test_by_hand(witness: Callable[..., torch.Tensor]) -> None:
    images = torch.tensor([[[[1, 10, 100], [3, 20, 200]]]], dtype=torch.uint8)
    mean, inv_std = torch.tensor([1.0, 10.0, 100.0]), torch.tensor([2.0, 0.5, 0.25])
    found = witness(images, mean, inv_std, 4, torch.float32, False)
    assert found.tolist() == [[[[0, 4]], [[0, 5]], [[0, 25]], [[0, 0]]]]
    assert witness(images, mean, inv_std, 3, torch.float16, True).flatten().tolist() == [0, 4, 0, 5, 0, 25]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(2, 64, 64), (5, 16, 16), (1, 7, 9), (3, 5, 16), (0, 16, 16)], ids=str)
def test_same_bits_as_torch(witness, shape: tuple[int, int, int], dtype: torch.dtype, form: str) -> None:
    channels, planes = FORMS[form]
    arguments = (faces(*shape), MEAN, INV_STD, channels, dtype, planes)
    wanted, found = normalised_image_reference(*arguments), witness(*arguments)
    assert torch.equal(found, wanted)
    assert found.stride() == wanted.stride() or not found.numel()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_moved_is_what_is_needed(shim: Shim, dtype: torch.dtype, form: str) -> None:
    channels, planes = FORMS[form]
    images = faces(2, 112, 112)
    out = torch.empty((2, 3, 112, 112) if planes else (2, 112, 112, channels), dtype=dtype)
    path, stores, loads = shim.image(images, MEAN, INV_STD, out, planes, most_blocks=1000)
    assert path == form
    assert stores.bytes == out.numel() * out.itemsize, "each element is written once"
    shares = (loads.bytes - images.numel()) / 24
    assert shares == 25, "each pixel is read once, and six statistics by each share"
    assert stores.bytes / stores.moved >= 0.95
    assert loads.bytes / loads.moved >= 0.9
    assert (stores.lanes + loads.lanes) / (stores.warp_lanes + loads.warp_lanes) >= 0.9, "lanes with data"
    assert stores.lanes / stores.thread_slots >= 0.9, "a block waits for its busiest thread"


def test_off_the_grid_of_sixteen_bytes(shim: Shim) -> None:
    """Views into other memory, and sizes of which no whole words are made, go an element at a time."""
    images = faces(2, 16, 16)
    larger = torch.zeros(images.numel() + 1, dtype=torch.uint8)
    moved = larger[1:].view(images.shape).copy_(images)
    for given, planes, wanted in ((images, False, "three"), (moved, False, "single"), (moved, True, "single")):
        out = torch.empty((2, 3, 16, 16) if planes else (2, 16, 16, 3))
        assert shim.image(given, MEAN, INV_STD, out, planes).path == wanted
        expected = normalised_image_reference(images, MEAN, INV_STD, planes=planes)
        assert torch.equal(out if planes else out.permute(0, 3, 1, 2), expected)
    out = torch.empty(4 * 150 * 150 * 3)
    assert shim.image(faces(4, 150, 150), MEAN, INV_STD, out.view(4, 150, 150, 3)).path == "three"
    assert shim.image(faces(4, 150, 150), MEAN, INV_STD, out.view(4, 3, 150, 150), planes=True).path == "single"
    with pytest.raises(ValueError, match=r"^out: must be aligned to its elements of 2 bytes, got the address 0x"):
        odd = torch.empty(101, dtype=torch.uint8)[1:97].view(1, 4, 4, 6)
        shim.image(faces(1, 4, 4), MEAN, INV_STD, SimpleNamespace(
            data_ptr=odd.data_ptr, dtype=torch.float16, shape=(1, 4, 4, 3)
        ))  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"images": torch.zeros(1, 3, 4, 4)}, TypeError, r"images: must be uint8, got torch\.float32"),
        (
            {"images": faces(1, 4, 4).permute(0, 3, 1, 2)},
            ValueError,
            r"images: must be \[batch, .*, got \[1, 3, 4, 4\]",
        ),
        ({"mean": MEAN.double()}, TypeError, r"mean: must be float32, got torch\.float64"),
        ({"inv_std": INV_STD[:1]}, ValueError, r"inv_std: must be \[3\], got \[1\]"),
        ({"mean": MEAN.to("meta")}, ValueError, r"mean: must be on the device of images, cpu, got meta"),
        ({"channels": 5}, ValueError, r"channels: must be 3, 4 or 8, got 5"),
        ({"channels": 4, "planes": True}, ValueError, r"channels: must be 3 as planes, got 4"),
        ({"out_dtype": torch.uint8}, TypeError, r"out_dtype: must be float32, float16 or bfloat16, got torch\.uint8"),
    ],
)
def test_refusals(changes: dict, error: type[Exception], words: str) -> None:
    defaults = {"channels": 3, "out_dtype": torch.float32, "planes": False}
    arguments = {"images": faces(1, 4, 4), "mean": MEAN, "inv_std": INV_STD} | defaults | changes
    with pytest.raises(error, match=f"^{words}"):  # of tensors on two devices the dispatcher would choose
        image._on_cpu(*arguments.values())


@pytest.mark.parametrize("form", FORMS)
def test_torch_sees_one_node_of_the_right_shape(form: str) -> None:
    channels, planes = FORMS[form]
    torch.library.opcheck(image.normalised_image_op, (faces(2, 4, 4), MEAN, INV_STD, channels, DTYPES[1], planes))


# ---- With a card that is made up ----


@pytest.mark.parametrize("built", [True, False])
def test_the_launch_is_on_the_images_device_and_its_current_stream(
    built: bool, shim: Shim, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[object] = []
    images = faces(2, 16, 16)

    class Call:
        def __init__(self, pixels, sizes, mean, inv_std, out, dtype, channels, planes):
            assert (pixels, mean, inv_std) == (images.data_ptr(), MEAN.data_ptr(), INV_STD.data_ptr())
            assert (tuple(sizes), dtype, channels, planes) == ((2, 16, 16), "float16", 4, False)
            self.out = SimpleNamespace(data_ptr=lambda: out, dtype=torch.float16, shape=(2, 16, 16, 4))

        def write(self, stream):
            log.append(("write", stream))
            shim.image(images, MEAN, INV_STD, self.out)

    @contextlib.contextmanager
    def current(device):
        log.append(("enter", device))
        yield
        log.append("leave")

    code = SimpleNamespace(write_image=lambda call, stream: call.write(stream))
    monkeypatch.setattr("fer_fast.ops.card.architecture", lambda device: 61)
    monkeypatch.setattr("fer_fast.ops.card.code_for", lambda device, architecture: code if not built else None)
    monkeypatch.setattr(native, "has_cuda_code", lambda architecture: built)
    monkeypatch.setattr(native, "cuda" if built else "core", lambda: SimpleNamespace(ImageCall=Call))
    monkeypatch.setattr(torch.cuda, "device", current)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=77))
    found = image._on_cuda(images, MEAN, INV_STD, 4, torch.float16, False)
    assert torch.equal(found, normalised_image_reference(images, MEAN, INV_STD, 4, torch.float16))
    assert log == [("enter", images.device), ("write", 77), "leave"]


@pytest.mark.skipif(not native.has_cuda_library(), reason="built without the CUDA twin")
def test_the_cuda_module_checks_without_a_driver() -> None:
    call = native.cuda().ImageCall(4096, (1, 4, 4), 4096, 4096, 4097, "float32", 3, False)
    with pytest.raises(ValueError, match=r"^out: must be aligned to its elements of 4 bytes, got the address 0x1001"):
        call.write(0)
    with pytest.raises(TypeError, match=r"^out_dtype: must be float32, float16 or bfloat16, got float64"):
        native.cuda().ImageCall(4096, (1, 4, 4), 4096, 4096, 4096, "float64", 3, False)
    with pytest.raises(ValueError, match=r"^channels: must be 3, 4 or 8, got 5"):
        native.cuda().ImageCall(4096, (1, 4, 4), 4096, 4096, 4096, "float32", 5, False).write(0)


# ---- With one ----


@pytest.mark.needs_cuda
def test_a_graph_captures_it() -> None:
    images, mean, inv_std = faces(4, 112, 112).cuda(), MEAN.cuda(), INV_STD.cuda()
    normalised_image(images, mean, inv_std)  # loads the kernel
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = normalised_image(images, mean, inv_std)
    images.copy_(images.flip(0))
    graph.replay()
    assert torch.equal(found.cpu(), normalised_image_reference(images.cpu(), MEAN, INV_STD))
