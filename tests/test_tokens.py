"""A case worked by hand -> the PyTorch reference -> the CPU twin, each instruction set -> the CUDA twin."""

from __future__ import annotations

import os
import pickle
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from token_cases import BF16, CASES, F16, F32, TOLERANCES, U8, Case, Source
from token_witnesses import Shim, by_level, by_nvrtc, on_device

from fer_fast import _C as core  # noqa: N811
from fer_fast.ops.tokens import fused_tokens, fused_tokens_reference

WITNESSES = [
    "reference",
    "op",
    *core.cpu_levels(),
    "sanitized cpu",
    "cuda on the host",
    pytest.param("cuda", marks=pytest.mark.needs_cuda),
    pytest.param("cuda by NVRTC", marks=pytest.mark.needs_cuda),
]


@pytest.fixture(params=WITNESSES)
def witness(request: pytest.FixtureRequest):
    name = request.param
    if name in core.cpu_levels():
        return by_level(name)
    if name in ("sanitized cpu", "cuda on the host"):
        shim = request.getfixturevalue("shim")
        return shim.cpu if name == "sanitized cpu" else shim.cuda
    others = {"reference": fused_tokens_reference, "op": fused_tokens, "cuda": on_device, "cuda by NVRTC": by_nvrtc}
    return others[name]


def assert_agrees(tokens: torch.Tensor, arguments: dict) -> None:
    expected = fused_tokens_reference(**arguments)
    relative, absolute = TOLERANCES[arguments["out_dtype"]]
    torch.testing.assert_close(tokens, expected, rtol=relative, atol=absolute)


def by_hand(pixels: list, grid: int, patch: int, mean: list, inv_std: list) -> dict:
    return {
        "sources": [torch.tensor([pixels], dtype=F32)],
        "means": [torch.tensor(mean, dtype=F32)],
        "inv_stds": [torch.tensor(inv_std, dtype=F32)],
        "patches": [patch],
        "grid": grid,
        "reduce_mean": [False],
        "out_dtype": F32,
    }


def test_by_hand_order_and_normalisation(witness) -> None:
    two_channels = [[[1, 2], [3, 4]], [[10, 20], [30, 40]]]
    tokens = witness(**by_hand(two_channels, 2, 1, [1, 10], [2, 0.5]))
    assert tokens.tolist() == [[[0, 0], [2, 5], [4, 10], [6, 15]]]
    tokens = witness(**by_hand(two_channels, 1, 2, [1, 10], [2, 0.5]))  # one token, order (dy, dx, channel)
    assert tokens.tolist() == [[[0, 0, 2, 5, 4, 10, 6, 15]]]


def test_by_hand_enlarged(witness) -> None:
    # 2 -> 4, half-pixel centres: the second pixel weighs 0, 1/4, 3/4, 1.
    tokens = witness(**by_hand([[[0, 4], [8, 12]]], 4, 1, [0], [1]))
    weights = [0, 0.25, 0.75, 1]
    assert tokens.flatten().tolist() == [8 * y + 4 * x for y in weights for x in weights]


def test_by_hand_shrunk(witness) -> None:
    # 4 -> 2, antialiased: a triangle of half-width 2 at 1 and at 3, so weights 3/7, 3/7, 1/7 and their mirror image.
    tokens = witness(**by_hand([[[0, 7, 14, 21]] * 4], 2, 1, [0], [1]))
    torch.testing.assert_close(tokens.flatten(), torch.tensor([5.0, 16.0, 5.0, 16.0]))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_agrees_with_reference(case: Case, witness) -> None:
    arguments = case.arguments()
    assert_agrees(witness(**arguments), arguments)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_instruction_sets_give_the_same_bits(case: Case) -> None:
    arguments = case.arguments()
    first, *others = (by_level(level)(**arguments) for level in core.cpu_levels())
    for other in others:
        assert torch.equal(first, other)


def test_cuda_paths(shim: Shim) -> None:
    """The table reaches every way in which the CUDA kernel reads."""

    def paths(name: str) -> list[str]:
        arguments = CASES[name].arguments()
        return [shim.plan(source, **arguments).path for source in range(len(arguments["sources"]))]

    assert paths("product 112 fp32") == ["runs", "runs", "runs", "pixels"]
    assert paths("product 112 bf16 nchw") == ["runs", "planes", "planes", "planes"]
    assert paths("product 112 reduced") == ["single"] * 4  # K, 774, is off the grid of sixteen bytes
    assert paths("one of two reduced") == ["single", "runs"]
    assert paths("planes in bands of rows") == ["planes", "planes"]
    assert paths("planes off the grid") == ["single", "single"]
    assert paths("runs in parts of a row") == ["runs", "runs"]


@pytest.mark.parametrize(
    ("channels", "side", "patch", "grid", "way"),
    [
        (4, 6737, 1, 6737, "runs"),
        (4, 46349, 1, 46349, "single"),  # more than 2^31 shares an image, a prime number of tokens in a row
        (1024, 2, 700, 1, "pixels"),
        (8192, 2, 700, 1, "single"),  # more than 2^31 elements of a token
    ],
)
def test_what_the_cuda_kernel_cannot_count_in_32_bits_goes_element_by_element(
    channels: int, side: int, patch: int, grid: int, way: str, shim: Shim
) -> None:
    statistic = torch.ones(channels)
    arguments = {
        "sources": [torch.empty((0, channels, side, side), memory_format=torch.channels_last)],
        "means": [statistic],
        "inv_stds": [statistic],
        "patches": [patch],
        "grid": grid,
        "reduce_mean": [False],
        "out_dtype": F32,
    }
    plan = shim.plan(0, **arguments)
    assert (plan.path, plan.blocks) == (way, 0)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_every_way_of_the_cuda_kernel_gives_the_same_bits(case: Case, shim: Shim) -> None:
    arguments = case.arguments()
    assert torch.equal(shim.cuda(**arguments), shim.cuda_off_grid(**arguments))


@pytest.mark.parametrize("moved", ["sources", "means", "inv_stds"])
def test_the_cuda_kernel_takes_what_is_off_the_grid_of_sixteen_bytes(moved: str, shim: Shim) -> None:
    arguments = CASES["product 112 fp32"].arguments()
    expected = shim.cuda(**arguments)
    tensor = arguments[moved][1]  # FM2, or what is about it
    larger = tensor.new_empty(tensor.numel() + 1)
    shifted = torch.as_strided(larger[1:], tensor.shape, tensor.stride()).copy_(tensor)
    arguments[moved][1] = shifted
    assert [shim.plan(source, **arguments).path for source in range(3)] == ["runs", "single", "runs"]
    assert torch.equal(shim.cuda(**arguments), expected)


def test_what_is_not_aligned_to_its_elements_is_refused(shim: Shim) -> None:
    arguments = CASES["fp32 to bf16"].arguments()
    assert shim.refusal(4097, **arguments).startswith(
        "out: must be aligned to its elements of 2 bytes, got the address"
    )
    assert shim.refusal(0, **arguments) == "out: must not be null"


sizes = st.integers(1, 12)
random_sources = st.builds(
    Source,
    channels=st.integers(1, 40),
    height=sizes,
    width=sizes,
    patch=st.integers(1, 4),
    dtype=st.sampled_from([F32, F16, BF16]),
    layout=st.sampled_from(["nchw", "channels_last", "sliced", "flipped"]),
    reduce=st.booleans(),
) | st.builds(Source, st.just(3), sizes, sizes, st.integers(1, 4), st.just(U8), st.sampled_from(["image", "sliced"]))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    case=st.builds(
        Case,
        sources=st.lists(random_sources, min_size=1, max_size=5).map(tuple),
        grid=st.integers(1, 5),
        batch=st.integers(0, 3),
        out_dtype=st.sampled_from([F32, F16, BF16]),
    )
)
def test_any_shape_agrees(case: Case, shim: Shim) -> None:
    arguments = case.arguments()
    assert_agrees(fused_tokens(**arguments), arguments)
    assert_agrees(shim.cuda(**arguments), arguments)


def as_one_source(pixels: torch.Tensor, out_dtype: torch.dtype) -> dict:
    source = pixels.reshape(1, 64, 32, 32)
    arguments = by_hand([[[0]]], 32, 1, [0] * 64, [1] * 64) | {"out_dtype": out_dtype}
    return arguments | {"sources": [source.contiguous(memory_format=torch.channels_last)]}


@pytest.mark.parametrize("dtype", [F16, BF16])
def test_every_16_bit_number_is_read_as_torch_reads_it(dtype: torch.dtype, witness) -> None:
    numbers = torch.arange(65536, dtype=torch.int32).to(torch.uint16).view(dtype)
    arguments = as_one_source(numbers, F32)
    torch.testing.assert_close(
        witness(**arguments), fused_tokens_reference(**arguments), rtol=0, atol=0, equal_nan=True
    )


@pytest.mark.parametrize("dtype", [F16, BF16])
def test_rounds_as_torch_rounds(dtype: torch.dtype, witness) -> None:
    bits = torch.randint(-(2**31), 2**31, (65536,), generator=torch.Generator().manual_seed(0), dtype=torch.int64)
    ties = torch.arange(0, 2**31, 2**16, dtype=torch.int64)[:32768] | 2**12  # between two halves
    numbers = torch.cat([bits[:32768], ties]).to(torch.int32).view(F32)
    arguments = as_one_source(numbers, dtype)
    torch.testing.assert_close(
        witness(**arguments), fused_tokens_reference(**arguments), rtol=0, atol=0, equal_nan=True
    )


def test_one_reduce_mean_serves_all_sources() -> None:
    arguments = CASES["reduced"].arguments() | {"reduce_mean": True}
    torch.testing.assert_close(fused_tokens(**arguments), fused_tokens_reference(**arguments))


VALID = Case((Source(8, 4, 4, 1), Source(8, 4, 4, 1)), 4).arguments()
ONES = torch.ones(8)
PIXELS = torch.ones(2, 8, 4, 4)
WRONG = {
    "no source": ({"sources": []}, ValueError, "sources: must be 1 to 5, got 0"),
    "six sources": (
        {"sources": [PIXELS] * 6, "means": [ONES] * 6, "inv_stds": [ONES] * 6, "patches": [1] * 6}
        | {"reduce_mean": False},
        ValueError,
        "sources: must be 1 to 5, got 6",
    ),
    "means missing": ({"means": [ONES]}, ValueError, "means: must have one element a source, 2, got 1"),
    "inv_stds missing": ({"inv_stds": [ONES]}, ValueError, "inv_stds: .* got 1"),
    "patches missing": ({"patches": [1]}, ValueError, "patches: .* got 1"),
    "reduce_mean missing": ({"reduce_mean": [True]}, ValueError, "reduce_mean: .* got 1"),
    "mean too short": ({"means": [ONES, ONES[:7]]}, ValueError, r"means\[1\]: must have 8 elements.* got 7"),
    "mean not reduced": ({"reduce_mean": True}, ValueError, r"means\[0\]: must have 1 element .*got 8"),
    "mean in fp64": ({"means": [ONES.double(), ONES]}, TypeError, r"means\[0\]: must be float32"),
    "mean with strides": (
        {"means": [torch.ones(16)[::2], ONES]},
        ValueError,
        r"means\[0\]: must be contiguous, got a stride of 2",
    ),
    "inv_std with 2 dimensions": (
        {"inv_stds": [ONES, ONES[None]]},
        ValueError,
        r"inv_stds\[1\]: must have 1 dimension, got 2",
    ),
    "patch 0": ({"patches": [1, 0]}, ValueError, r"patches\[1\]: must be at least 1, .*got 0"),
    "patch too large": ({"patches": [1, 10**6]}, ValueError, r"patches\[1\]: .*got 1000000"),
    "grid 0": ({"grid": 0}, ValueError, "grid: must be 1 to 65536, got 0"),
    "other batch": ({"sources": [PIXELS, PIXELS[:1]]}, ValueError, r"sources\[1\]: .*batch of the first, 2, got 1"),
    "3 dimensions": ({"sources": [PIXELS, PIXELS[0]]}, ValueError, r"sources\[1\]: must have 4 dimensions.*got 3"),
    "no width": ({"sources": [PIXELS, PIXELS[..., :0]]}, ValueError, r"sources\[1\]: .*at least 1, got 8 x 4 x 0"),
    "fp64": ({"sources": [PIXELS, PIXELS.double()]}, TypeError, r"sources\[1\]: must be float32, .*uint8"),
    "uint8, no image": ({"sources": [PIXELS, PIXELS.byte()]}, ValueError, r"sources\[1\]: a uint8 image"),
    "out uint8": ({"out_dtype": U8}, TypeError, "out_dtype: must be float32, float16 or bfloat16"),
    "out fp64": ({"out_dtype": torch.float64}, TypeError, "out_dtype: must be float32, float16"),
    "needs gradient": ({"sources": [PIXELS, PIXELS.clone().requires_grad_()]}, ValueError, "sources: .*gradient"),
}


@pytest.mark.parametrize(("change", "error", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments_are_named(change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        fused_tokens(**(VALID | change))


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint16"])
def test_arrays_of_another_process_are_taken(dtype: str) -> None:
    """pickle gives them dtypes that equal NumPy's own and are others."""
    pixels, out = np.ones((2, 8, 4, 4), dtype), np.empty((2, 16, 8), np.float32)
    arguments = ([np.zeros(8, np.float32)], [np.ones(8, np.float32)], [1], 4, [False])
    wanted = core.fused_tokens([pixels], *arguments)
    given = pickle.loads(pickle.dumps((pixels, out)))
    np.testing.assert_array_equal(core.fused_tokens([given[0]], *arguments, out=given[1]), wanted)


def test_a_call_names_what_is_wrong_with_its_memory() -> None:
    statistic, sizes = (16, "float32", [1], [1]), [1, 1, 4, 4]
    for memory, message in (
        ((16, "float32", sizes, [16, 16, 4]), r"sources\[0\]: must have a stride a dimension, 4, got 3"),
        ((16, "float32", [-1, 1, 4, 4], [16, 16, 4, 1]), r"sources\[0\]: batch must be at least 0, got -1"),
    ):
        with pytest.raises(ValueError, match=f"^{message}$"):
            core.TokenCall([memory], [statistic], [statistic], [1], 4, [False], "float32")


def test_opcheck() -> None:
    for name in ("product 112 bf16 nchw", "odd sizes", "reduced", "batch 0"):
        torch.library.opcheck(torch.ops.fer_fast.fused_tokens.default, tuple(CASES[name].arguments().values()))


class Tokens(torch.nn.Module):
    """Fused tokens of one tap, between two other ops."""

    def forward(self, tap: torch.Tensor) -> torch.Tensor:
        return fused_tokens([tap * 2], [torch.zeros(8)], [torch.ones(8)], [1], 4) + 1


def test_compile_and_export_see_one_node() -> None:
    tap = VALID["sources"][0]
    expected = Tokens()(tap)
    compiled = torch.compile(Tokens(), backend="aot_eager", fullgraph=True, dynamic=True)
    torch.testing.assert_close(compiled(tap), expected)
    exported = torch.export.export(Tokens(), (tap,), dynamic_shapes={"tap": {0: torch.export.Dim("batch", min=1)}})
    nodes = [node for node in exported.graph.nodes if node.target is torch.ops.fer_fast.fused_tokens.default]
    assert len(nodes) == 1
    three = torch.cat([tap, tap[:1]])
    torch.testing.assert_close(exported.module()(three), Tokens()(three))


def test_from_many_threads_at_once() -> None:
    arguments = CASES["product 112 bf16 nchw"].arguments()
    expected = fused_tokens(**arguments)
    agreed: list[bool] = []
    workers = [
        threading.Thread(target=lambda: agreed.append(torch.equal(fused_tokens(**arguments), expected)))
        for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert agreed == [True] * 8


def test_after_fork() -> None:
    """Torch's threads do not survive a fork; the op must not wait for them."""
    arguments = CASES["product 224 fp32, past the caches"].arguments()
    expected = fused_tokens(**arguments)
    child = os.fork()
    if child == 0:
        os._exit(0 if fused_tokens(**arguments).numpy().tobytes() == expected.numpy().tobytes() else 1)
    assert os.waitpid(child, 0)[1] == 0
