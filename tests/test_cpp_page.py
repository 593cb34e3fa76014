"""docs/cpp.md: its programs are built as it says, and print what it says."""

from __future__ import annotations

import re

import numpy as np
import pytest
from cpp_programs import ROOT, build, photo, run
from tiny_models import random_model, tiny_config

from fer_fast import Classifier
from fer_fast.export import export_model
from fer_fast.models.files.storage import save_model

PAGE = (ROOT / "docs/cpp.md").read_text()


def blocks(section, *languages):
    """A section's code of some languages, in order; the page's first is without a heading."""
    text = PAGE if section is None else PAGE.partition(f"\n## {section}\n")[2]
    return re.findall(rf"```(?:{'|'.join(languages)})\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)


def test_the_first_program_says_what_the_page_says(prefix, tmp_path):
    (tmp_path / "portrait.cpp").write_text(blocks(None, "cpp")[0])
    (tmp_path / "CMakeLists.txt").write_text(blocks(None, "cmake")[0])
    stb = f"-DSTB_IMAGE_DIR={ROOT / 'examples/cpp/third_party'}"
    programs = build(tmp_path, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}", stb)
    export_model("fast", "openvino", tmp_path / "fast.xml")
    export_model("finder", "openvino", tmp_path / "finder.xml")
    file, label, confidence = re.search(r"build/portrait FER_FAST/(\S+) +# (\S+) ([\d.]+)", PAGE).groups()
    said = run(programs / "portrait", ROOT / file, cwd=tmp_path).stdout.split()
    assert said[0] == label and float(said[1]) == pytest.approx(float(confidence), abs=0.01) and len(said) == 2
    done = run(programs / "portrait", "nowhere.jpg", cwd=tmp_path, check=False)
    assert "image 0: data must not be null" in done.stderr


def test_images_on_a_card_are_handed_over_as_it_says(prefix, tmp_path):
    """Compiled alone: tests/cpp/tensorrt_shim/device.cpp runs the same."""
    given = "const uint8_t* pixels, float* probabilities, void* stream"
    (block,) = blocks("Images on a card", "cpp")
    (tmp_path / "card.cpp").write_text(f"#include <fer_fast/classifier.h>\nvoid classify({given}) {{\n{block}}}\n")
    flags = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{prefix / 'include'}")
    run("c++", *flags, tmp_path / "card.cpp")


#: What the blocks of two sections stand in: a function, options, and what is done with a frame.
AROUND = """
#include <fer_fast/classifier.h>
#include <fstream>
#include <iostream>
#include <iterator>
{}
int main(int, char** argv) {{
  {}
  const fer_fast::Classifier classifier(argv[1], options);
  std::ifstream file(argv[2], std::ios::binary);
  const std::vector<char> pixels{{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()}};
  fer_fast::ImageView frame;
  frame.data = reinterpret_cast<const uint8_t*>(pixels.data()), frame.size = pixels.size();
  frame.width = 400, frame.height = 300;
  {}
}}
"""
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(frames LANGUAGES CXX)
find_package(fer_fast REQUIRED)
add_executable(frames frames.cpp)
target_link_libraries(frames PRIVATE fer_fast::classifier)
"""


def test_a_box_and_a_crop_of_a_frame_are_what_they_show_and_calls_are_told(prefix, tmp_path):
    telling, options = blocks("What a call took", "cpp")[0].split("\n\n")
    doing = "\n".join(blocks("Faces of your own finder", "cpp"))
    (tmp_path / "frames.cpp").write_text(AROUND.format(telling, options, doing))
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    programs = build(tmp_path, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    save_model(random_model(tiny_config(sources=("image", "FM1"))), tmp_path / "model.safetensors")
    export_model(tmp_path / "model.safetensors", "openvino", tmp_path / "model.xml")
    frame = photo(np.random.default_rng(4), 300, 400)
    frame.tofile(tmp_path / "frame")
    crops = [np.ascontiguousarray(frame[80:280, 100:300]), np.ascontiguousarray(frame[80:280, 120:280])]
    with Classifier(tmp_path / "model.xml", workers=1) as classifier:
        wanted = [prediction.label for prediction in classifier.predict(crops)]
    done = run(programs / "frames", tmp_path / "model.xml", tmp_path / "frame")
    assert done.stdout.split() == wanted
    told = [line.partition(", ")[0] for line in done.stderr.splitlines()]
    assert told == ["open: 0 faces", "classify: 1 faces", "classify: 1 faces"]
