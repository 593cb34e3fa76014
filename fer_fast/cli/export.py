"""`fer-fast export`: a model as a file for another program."""

from __future__ import annotations

import argparse

from fer_fast.cli.arguments import add_prior_argument, positive
from fer_fast.cli.console import check_stdout, print_out

_EPILOG = """
onnx          ONNX Runtime and others
openvino      OpenVINO's runtime: an .xml and a .bin
pt2           libtorch (AOTInductor), compiled for this machine; needs a C++ compiler
tensorrt      TensorRT 10 or 11, for this machine's card: an .engine and an .engine.txt that describes it
tensorrt-rtx  TensorRT for RTX, for any card from Turing to Blackwell but data centres' Hopper; needs no card here
triton        a folder for Triton Inference Server and OpenVINO Model Server: the model for --backend, its labels, and
              models that take encoded images, which Triton decodes by DALI

All but openvino need the extra torch, tensorrt the extra cuda, and triton DALI, unless --no-decode leaves that out.

A classifier's graph takes images, uint8 [batch, size, size, 3] RGB, and gives probabilities, float32
[batch, classes]. The face finder's takes images whose sides are multiples of 32, and gives cells, float32
[batch, cells, 15], those of 8 pixels first, then of 16 and 32, by rows: a score; x and y of the box's centre from the
cell's corner, in cells; logarithms of its width and height in cells; x and y of five landmarks as of the centre.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast export` takes."""
    from fer_fast.export import BACKENDS, DEFAULT_BATCH_SIZE, DEFAULT_FIND_SIZE, FORMATS, TRITON

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("model", metavar="MODEL", help="a packaged model's name, finder, or a .safetensors checkpoint")
    add("--format", required=True, choices=(*FORMATS, TRITON), help="what to write")
    add("-o", "--out", metavar="PATH", help="where (default: the model's name and the format's suffix, here)")
    add("--precision", default="fp32", help="fp32, and by format fp16, bf16 or int8 (default: fp32)")
    batch = f"largest batch (default: {DEFAULT_BATCH_SIZE})"
    add("--batch-size", type=positive, default=DEFAULT_BATCH_SIZE, metavar="N", help=batch)
    longest = f"TensorRT, of a finder: longest side of photos (default: {DEFAULT_FIND_SIZE})"
    add("--find-size", type=positive, default=DEFAULT_FIND_SIZE, metavar="N", help=longest)
    add_prior_argument(parser)
    cards = "tensorrt-rtx: compute capabilities, 8.6,12.0 (default: all that take the model)"
    add("--cards", default="", metavar="C,C", help=cards)
    add("--backend", choices=tuple(BACKENDS), help="triton: what is to run the model (default: onnxruntime)")
    add("--no-decode", action="store_true", help="triton: the model alone, which takes pixels")


def run(arguments: argparse.Namespace) -> int:
    """Exports; returns 0."""
    if not arguments.quiet:
        check_stdout()
    from fer_fast.export import export_model

    files = export_model(
        arguments.model,
        arguments.format,
        arguments.out,
        precision=arguments.precision,
        batch_size=arguments.batch_size,
        find_size=arguments.find_size,
        cards=tuple(filter(None, arguments.cards.split(","))),
        prior=arguments.prior,
        backend=arguments.backend,
        decode=not arguments.no_decode,
    )
    if not arguments.quiet:
        for file in files:
            print_out(f"{file}: {file.stat().st_size:,} bytes")
    return 0
