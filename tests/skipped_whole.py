"""Test files that are about an extra or a tool and are skipped where that is not installed; conftest.py asks.

The suite runs without torch, too. A file whose tests all need it, or another module that the package does not bring,
says so here; a single test has a marker instead (`needs_torch`, ...). test_pythons.py holds this list to what is so.
"""

from __future__ import annotations

from pathlib import Path

from fer_fast.machine.extras import is_installed

#: Names of test files, without test_ and .py, by the module that they need.
FILES: dict[str, tuple[str, ...]] = {
    "torch": (
        # The models and the fused op in torch, and the engines that run them or are compared with them.
        *("backbone", "brought", "cnn", "cpp_architectures", "ensemble", "face_resnet", "hog", "inception"),
        *("laid", "models", "quantised", "storage", "tokens", "torch_op", "traffic"),
        *("capture", "card", "engines_cuda", "engines_torch", "export", "fitted", "image", "replay", "tensorrt"),
        *("tensorrt_cut", "visualize", "visualize_layers"),
        # The benchmark compares with torch.
        *("bench_command", "bench_faces", "bench_measure", "bench_page", "bench_report", "bench_stages"),
        *(
            "augment",
            "bench_suites",
            "confidence_scores",
            "feature_loss",
            "hard_views",
            "kept_features",
            "learner",
            "recalibrate",
            "reproduction",
            "resume",
        ),
        *("start", "train", "train_finder", "train_refusals", "train_runs", "train_steps"),
    ),
    "onnx": ("exported_onnx", "yunet"),
    "matplotlib": ("faces_figure",),
    "fsspec": ("remote", "stored"),
    "aiohttp": ("remote_web",),
    "moto": ("stored_s3",),
    "nvidia.dali": ("dali",),
    "nvidia.nvimgcodec": ("nvidia", "nvimagecodec"),  # which DALI brings, too
    "ray": ("ray", "ray_nodes", "ray_pool", "ray_session"),
    "pytriton": ("triton_server",),
    "av": (
        *("classify_video", "film", "film_colours", "film_damage", "film_parts", "film_regions"),
        *("cli_watch", "draw_film", "timeline", "watch", "watch_streams"),
        *("finding", "films_command", "films_drawn", "films_resume", "films_run"),
    ),
    # They compile.
    "cmake": (
        *(
            "build",
            "cpp",
            "cpp_architectures",
            "cpp_calls",
            "cpp_faces",
            "cpp_frames",
            "cpp_openvino",
            "cpp_page",
            "cpp_prior",
            "cpp_projects",
            "cpp_surroundings",
            "cpp_targets",
        ),
        *("cpp_tensorrt", "cpp_torch", "cuda_architectures"),
    ),
}


def missing_for(path: Path) -> str | None:
    """Why a test file cannot run here; None where it can."""
    name = path.stem.removeprefix("test_")
    missing = [module for module, names in FILES.items() if name in names and not is_installed(module)]
    return f"{missing[0]} is not installed" if missing else None
