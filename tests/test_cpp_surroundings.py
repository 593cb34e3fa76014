"""The C++ library in a stranger's process and project: after fork, in odd places, beside another OpenVINO."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from cpp_programs import OPENVINO, ROOT, answers_of, build_consumer, odd_images, run
from tiny_models import random_model, tiny_config

from fer_fast.export import export_model
from fer_fast.models.files.storage import save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small checkpoint's export."""
    folder = tmp_path_factory.mktemp("model")
    save_model(random_model(tiny_config(sources=("image", "FM1"))), folder / "model.safetensors")
    export_model(folder / "model.safetensors", "openvino", folder / "model.xml", batch_size=16)
    return folder / "model.xml"


def test_what_was_opened_before_fork_says_so_in_the_child(consumer, model, tmp_path):
    export_model("finder", "openvino", tmp_path / "finder.xml")
    run(consumer / "forked", tmp_path / "finder.xml", model, timeout=300)


def test_structs_of_other_headers_and_models_in_memory(consumer, model):
    run(consumer / "structs", model, model.with_suffix(".bin"))


def test_names_may_be_in_upper_case(consumer, model, tmp_path):
    shutil.copy(model, tmp_path / "FAST.XML")
    command = (consumer / "classify", tmp_path / "FAST.XML", "/dev/null", tmp_path / "out.bin", 0, "CPU")
    assert "/FAST.bin' cannot be read: No such file" in run(*command, check=False).stderr
    for weights in ("FAST.BIN", "FAST.bin"):
        shutil.copy(model.with_suffix(".bin"), tmp_path / weights)
        assert "engine=openvino\n" in run(*command).stdout
        (tmp_path / weights).unlink()


#: Runs the command behind it where neither is.
WITHOUT_PROC = 'mount -t tmpfs none /proc && mount -t tmpfs none /sys && exec "$@"'


def test_a_place_without_proc_is_told(consumer, model, tmp_path):
    """OpenVINO would read for ever."""
    inside = ("unshare", "--map-root-user", "--mount", "sh", "-c", WITHOUT_PROC, "sh")
    if shutil.which("unshare") is None or run(*inside, "true", check=False).returncode != 0:
        pytest.skip("this machine lets nobody unmount /proc")
    command = (consumer / "classify", model, "/dev/null", tmp_path / "out.bin")
    done = run(*inside, *command, check=False, timeout=60)
    assert done.stderr.startswith("5 OpenVINO needs /proc/cpuinfo or /sys/devices/system/cpu/cpu0, and neither is")


def test_a_folder_without_openvino_is_told_when_it_is_configured(tmp_path):
    command = ("cmake", "-S", ROOT, "-G", "Ninja", "-DFER_FAST_CUDA=0")
    said = run(*command, "-B", tmp_path / "none", f"-DFER_FAST_OPENVINO_DIR={tmp_path}").stderr
    assert f'there is no libopenvino_c.so in "{tmp_path}" now' in " ".join(
        said.split()
    )  # lines end where they are full
    assert run(*command, "-B", tmp_path / "there", f"-DFER_FAST_OPENVINO_DIR={OPENVINO}").stderr == ""


def test_a_prefix_may_be_copied_away(prefix, model, tmp_path):
    """To where no OpenVINO is: programs are linked all the same, and say what they lack when they run."""
    shutil.copytree(prefix, tmp_path / "copied", symlinks=True)
    programs = build_consumer(tmp_path / "build", tmp_path / "copied", programs=("classify",))
    command = (programs / "classify", model, "/dev/null", tmp_path / "out.bin")
    assert f"{tmp_path}/copied" in run("ldd", programs / "classify").stdout
    assert "engine=openvino\n" in run(*command, env=os.environ | {"FER_FAST_OPENVINO_DIR": str(OPENVINO)}).stdout
    done = run(*command, check=False, env=os.environ | {"FER_FAST_OPENVINO_DIR": str(tmp_path)})
    assert done.stderr.startswith(f"5 OpenVINO 2025.2 or later is not there: no libopenvino_c.so in '{tmp_path}'")


def test_threads_may_classify_while_the_program_ends_quickly(consumer, model):
    for _ in range(3):
        run(consumer / "detached", model, timeout=120)


def test_models_that_were_closed_leave_nothing(consumer, tmp_path):
    """Of memory less than half of their weights: what is free is not all given back at once."""
    threads, phases = 4, 8
    export_model("finder", "openvino", tmp_path / "finder.xml")
    export_model("tiny", "openvino", tmp_path / "tiny.xml")
    said = run(
        consumer / "soak", tmp_path / "finder.xml", tmp_path / "tiny.xml", threads, phases, 1, timeout=600
    ).stdout
    kib, files, tasks = np.array([line.split() for line in said.splitlines()], int).T
    assert len(kib) == phases and len(set(files)) == 1, said
    assert tasks[-1] <= tasks[0] + threads, said  # one that was joined may still be listed
    opened = threads * (phases - 1) * (tmp_path / "tiny.bin").stat().st_size
    assert (kib[-1] - kib[0]) * 1024 < opened / 2, said


def test_a_program_with_address_sanitizer(prefix, model, tmp_path):
    """Ours is built without, as an embedder's is."""
    (library,) = prefix.glob("lib*/libfer_fast.so.1")
    source = ROOT / "tests/cpp/consumer/classify.cpp"
    flags = ("-std=c++17", "-g", "-fsanitize=address", f"-I{prefix / 'include'}", f"-Wl,-rpath,{library.parent}")
    run("c++", *flags, source, library, "-pthread", "-o", tmp_path / "classify")
    told = os.environ | {"TBB_ENABLE_SANITIZERS": "1", "ASAN_OPTIONS": "detect_leaks=0"}
    _, said = answers_of(tmp_path / "classify", model, odd_images(9, 60)[0], tmp_path, threads=2, env=told)
    assert "engine=openvino\n" in said


#: What a program ships of OpenVINO.
SHIPPED = ("openvino_c", "openvino", "openvino_intel_cpu_plugin", "openvino_ir_frontend", "tbb")


def test_stripped_libraries_give_the_same_answers(consumer, model, tmp_path):
    given, _ = odd_images(20, 100)
    wanted, _ = answers_of(consumer / "classify", model, given, tmp_path)
    (tmp_path / "shipped").mkdir()
    for name in SHIPPED:
        (library,) = OPENVINO.glob(f"lib{name}.so*")
        run("strip", shutil.copy(library, tmp_path / "shipped"))
    told = os.environ | {"FER_FAST_OPENVINO_DIR": str(tmp_path / "shipped")}
    found, _ = answers_of(consumer / "classify", model, given, tmp_path, env=told)
    np.testing.assert_array_equal(found, wanted)
