"""Distillation: the answers of trained models as a part of the faces' targets, computed once and kept in the run."""

from __future__ import annotations

import dataclasses
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from fer_fast.classifier import Classifier
from fer_fast.datasets.resized import plain
from fer_fast.train.faces import Faces
from fer_fast.train.record import keep_tensor, kept_tensor


def taught(train: Faces, teachers: list[str], share: float, cache: Path, device: str = "auto") -> Faces:
    """Blends the teachers' mean answer into the targets (Hinton et al. 2015, at temperature 1).

    A teacher answers each face once, as it is and mirrored: a lone annotator's slip and a rare reading of a face weigh
    less than what the teachers learnt from all faces.

    Args:
        train: faces to learn from.
        teachers: names of packaged models, or paths of checkpoints.
        share: of the answers in the targets, 0 to 1.
        cache: beside this name the answers are kept, a file a teacher, or are taken from there.
        device: auto, cpu or cuda: where the teachers run.

    Raises:
        ValueError: if a teacher lacks a class of the faces; of one that has more the rest is left out.
        CheckpointError: if a teacher is missing or damaged.
        FerFastError: if the cache cannot be written.
    """
    answers = torch.stack([_answers(train, teacher, cache, device) for teacher in teachers]).mean(dim=0)
    return dataclasses.replace(train, targets=train.targets.lerp(answers, share))


def _answers(train: Faces, teacher: str, cache: Path, device: str) -> Tensor:
    """One teacher's probabilities of the faces' classes, float32 [images, classes]."""
    with Classifier(teacher, device=device) as classifier:
        if lacking := [name for name in train.classes if name not in classifier.classes]:
            rule = f"must have the classes of the data, {', '.join(train.classes)}"
            raise ValueError(f"teacher {teacher!r} {rule}; it lacks {lacking[0]!r}")
        # By the model alone: a run that goes on elsewhere, in another precision, keeps the answers that it began with.
        model = classifier.identity.split()[0]
        file = cache.with_name(f"{cache.stem}-{model}{cache.suffix}")
        digest = hashlib.blake2b(train.pixels.numpy().tobytes(), digest_size=16).hexdigest()
        about = {"model": model, "faces": digest}
        found = kept_tensor(file, "answers", about)
        if found is None:
            found = _ask(classifier, train.pixels)
            keep_tensor(file, "answers", found, about)
        return _of_classes(found, classifier.classes, train.classes)


def _of_classes(answers: Tensor, known: tuple[str, ...], wanted: tuple[str, ...]) -> Tensor:
    """Probabilities of the wanted classes, which sum to 1, or are 0; as they are where these are the known ones."""
    if known == wanted:
        return answers
    asked = answers[:, [known.index(name) for name in wanted]]
    # Of a face of which the teacher is sure that it is none of them, it says nothing.
    return asked / asked.sum(dim=1, keepdim=True).clamp_min(torch.finfo(asked.dtype).tiny)


def _ask(classifier: Classifier, faces: Tensor) -> Tensor:
    def answer(batch: Tensor) -> Tensor:
        pixels = plain(batch, classifier.image_size).byte().permute(0, 2, 3, 1)  # [batch, size, size, 3]
        views = [classifier.predict_batch(view.contiguous().numpy()) for view in (pixels, pixels.flip(2))]
        return torch.from_numpy(views[0] + views[1]) / 2

    with ThreadPoolExecutor(classifier.streams) as pool:
        return torch.cat(list(pool.map(answer, torch.split(faces, classifier.batch_size))))
