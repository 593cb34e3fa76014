"""What the doctor finds on this machine, and on machines that are made up around it."""

import sys

import pyarrow
import pytest

from fer_fast import cli, doctor
from fer_fast.doctor import Card, Finding, card_advice, cards, examine
from fer_fast.ops import native, nvrtc
from fer_fast.types import FerFastError

PASCAL = Card("NVIDIA GeForce GTX 1080 Ti", "580.95.05", (6, 1), "11264")
HOPPER = Card("NVIDIA H200", "580.95.05", (9, 0), "143771")
SMI = """#!/bin/sh
echo "NVIDIA GeForce GTX 1080 Ti, 580.95.05, 6.1, 11264"
echo "NVIDIA H200, 580.95.05, 9.0, 143771"
"""


def install_smi(tmp_path, monkeypatch, script):
    (tmp_path / "nvidia-smi").write_text(script)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def test_cards_as_the_driver_lists_them(tmp_path, monkeypatch):
    install_smi(tmp_path, monkeypatch, SMI)
    assert cards() == [PASCAL, HOPPER]


@pytest.mark.parametrize("script", ["#!/bin/sh\necho No devices were found\n", "#!/bin/sh\nexit 9\n"])
def test_a_driver_without_cards(tmp_path, monkeypatch, script):
    install_smi(tmp_path, monkeypatch, script)
    assert cards() == []


def test_what_a_driver_does_not_say_is_no_error(tmp_path, monkeypatch):
    install_smi(tmp_path, monkeypatch, "#!/bin/sh\necho 'NVIDIA GB10, 580.95.05, [N/A], [N/A]'\n")
    assert cards() == [Card("NVIDIA GB10", "580.95.05", (0, 0), "[N/A]")]


def test_no_driver(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cards() == []


def test_engines_and_decoders_are_tried(monkeypatch):
    monkeypatch.setattr(doctor, "cards", list)
    found = examine()
    working = {finding.name: finding for part in ("engines", "decoders") for finding in found[part] if finding.works}
    assert {"openvino on cpu", "pillow"} <= set(working)
    (finder,) = found["faces"]
    assert (finder.name, finder.works) == ("finder", True)
    assert finder.said.startswith("a drawn face, by openvino in ")
    assert "int8" in working["openvino on cpu"].said
    assert found["cards"] == [Finding("NVIDIA card", None, "none")]
    assert {"webp", "avif", "heif"} <= {finding.name for finding in found["decoders"]}, "installed or not"
    extras = {finding.name: finding for finding in found["extras"]}
    assert set(extras) == {"torch", "train", "features", "parquet", "plots", "heif", "video", "remote", "ray"}, (
        "without a card nothing for one"
    )
    assert extras["parquet"].works and extras["parquet"].said == f"tables in parquet, by pyarrow {pyarrow.__version__}"


@pytest.mark.needs_torch
def test_torch_is_tried(monkeypatch):
    import torch

    monkeypatch.setattr(doctor, "cards", list)
    found = examine()
    (tried,) = (finding for finding in found["engines"] if finding.name == "torch on cpu")
    assert tried.works and "fp32" in tried.said and tried.said.endswith("; auto is fp32")
    versions = {finding.name: finding.said for finding in found["machine"]}
    assert versions["torch"].startswith(torch.__version__)


def test_what_can_be_installed_is_told_before_and_after(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("fer_fast.decode.formats.opening._can_read", lambda kind: kind != "heif")
    without = {finding.name: finding for finding in doctor._decoders()}
    said = "tables in parquet: pyarrow is not installed"
    assert doctor._extra("parquet") == Finding("parquet", False, said, "pip install 'fer-fast[parquet]'")
    advice = "HEIC needs pillow-heif: pip install 'fer-fast[heif]'"
    assert without["heif"] == Finding("heif", False, "no codec", advice)
    monkeypatch.undo()
    monkeypatch.setattr("fer_fast.decode.formats.opening._can_read", lambda kind: True)
    after = {finding.name: finding for finding in doctor._decoders()}
    assert after["heif"] == Finding("heif", True, "read")
    assert doctor._extra("parquet").works and not doctor._extra("parquet").advice


@pytest.mark.needs_torch
def test_what_does_not_work_is_said_with_its_reason(monkeypatch):
    def broken(*_, **__):
        raise FerFastError("the library\nis broken")

    monkeypatch.setattr(doctor, "cards", lambda: [PASCAL])
    monkeypatch.setattr(doctor, "_seen", lambda: {"cuda:0": PASCAL})
    monkeypatch.setattr("fer_fast.engines.open_engine", broken)
    monkeypatch.setattr("fer_fast.faces.finder.open_engine", broken)
    monkeypatch.setattr("fer_fast.decode.open_decoder", broken)
    found = examine()
    engines = {finding.name: finding for finding in found["engines"]}
    on_the_card = {f"{engine} on cuda:0" for engine in ("torch", "tensorrt", "tensorrt-fused")}
    assert set(engines) == {"openvino on cpu", "torch on cpu", *on_the_card}
    assert found["faces"][0].said == "the library is broken"
    decoders = [finding for finding in found["decoders"] if finding.name.startswith(("pillow", "dali", "nvimagecodec"))]
    assert len(decoders) == 5
    assert all(finding.said == "the library is broken" for finding in [*found["engines"], *decoders])
    assert "GTX 1080 Ti (compute capability 6.1) is older than CUDA 13" in engines["torch on cuda:0"].advice
    assert not engines["torch on cpu"].advice
    assert "compute capability 6.1, 11264 MiB, driver 580.95.05" in found["cards"][0].said


def test_a_finder_that_finds_nothing_is_told(monkeypatch):
    monkeypatch.setattr("fer_fast.faces.finder.FaceFinder.find", lambda *_: [[]])
    (finding,) = [doctor._tried("finder", doctor._find)]
    assert (finding.works, finding.said) == (False, "it finds 0 faces in a photo of one")


@pytest.mark.needs_torch
def test_a_card_that_torch_does_not_see(monkeypatch):
    import torch

    monkeypatch.setattr(doctor, "cards", lambda: [HOPPER])
    monkeypatch.setattr(doctor, "_seen", dict)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(doctor, "_infer", lambda *_: "fp32")
    last = examine()["engines"][-1]
    assert (last.name, last.works, last.said) == ("torch on a card", False, "torch sees no card")
    assert "is built for the CPU; one for CUDA: pip install" in last.advice


@pytest.mark.needs_torch
@pytest.mark.parametrize(
    ("card", "cuda", "reached", "library", "words"),
    [
        (
            PASCAL,
            "13.0",
            True,
            True,
            "whl/cu126), then pip install 'fer-fast[cuda12]'; or --device cpu",
        ),
        (HOPPER, None, False, True, "is built for the CPU; one for CUDA: pip install"),
        (HOPPER, "13.0", False, True, "CUDA 13.0 needs a newer driver than 580.95.05"),
        (
            HOPPER,
            "13.0",
            True,
            False,
            "no NVRTC: pip install nvidia-cuda-nvrtc; or FER_FAST_CUDA=1 pip install",
        ),
        (HOPPER, "13.0", True, True, ""),
    ],
)
def test_advice(monkeypatch, card, cuda, reached, library, words):
    import torch

    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: reached)
    monkeypatch.setattr(native, "has_cuda_code", lambda architecture: library and architecture == 90)
    monkeypatch.setattr(nvrtc, "_libraries", list)
    advice = card_advice(card)
    assert words in advice
    assert bool(words) == bool(advice)


def test_command(monkeypatch, capsys):
    findings = {
        "machine": [Finding("torch", None, "2.13.0")],
        "engines": [Finding("torch on cpu", False, "broken", "mend it")],
    }
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    assert cli.run(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "machine",
        "  torch         2.13.0",
        "engines",
        "  torch on cpu  no: broken",
        "                -> mend it",
    ]
    findings["engines"].append(Finding("openvino on cpu", True, "fp32; auto is fp32"))
    assert cli.run(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "  openvino on cpu  works: fp32; auto is fp32"
