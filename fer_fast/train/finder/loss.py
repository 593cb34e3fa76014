"""The network's heads and a scene's faces come in, what the network must learn goes out.

As YuNet was trained (Wu et al. 2023, Section 3.4): cells are assigned to faces by SimOTA (Ge et al. 2021, "YOLOX",
Section 2.1), boxes learn by EIoU (Peng & Yu 2021); beside it, what a teacher says of the same scene.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_fast.models.finder.config import STRIDES

#: Weights of the losses of boxes and of landmarks, as YuNet's.
BOX_WEIGHT, LANDMARK_WEIGHT = 5.0, 0.1
#: Cells around a face's centre, to each side, that may be assigned to it; of the best overlaps, how many are counted.
RADIUS, CANDIDATES = 2.5, 10


class Cells(NamedTuple):
    """What the network says of the cells of a batch, in pixels of the scene; n cells.

    Attributes:
        face, object: logits [batch, n].
        boxes: [batch, n, 4]: left, top, right, bottom.
        landmarks: [batch, n, 10], in cells from the corner.
        corners: [n, 2]: x and y.
        strides: [n].
    """

    face: Tensor
    object: Tensor
    boxes: Tensor
    landmarks: Tensor
    corners: Tensor
    strides: Tensor


def cells_of(raw: list[Tensor]) -> Cells:
    """Reads what `FinderNetwork.raw` gives."""
    corners, strides = [], []
    for stride, each in zip(STRIDES, raw, strict=True):
        rows, columns = torch.meshgrid(*(torch.arange(length) for length in each.shape[2:]), indexing="ij")
        corners.append(torch.stack([columns.flatten(), rows.flatten()], dim=1) * stride)
        strides.append(torch.full((rows.numel(),), float(stride)))
    corner, step = torch.cat(corners).float(), torch.cat(strides)
    heads = torch.cat([each.flatten(2) for each in raw], dim=2).transpose(1, 2).float()
    centres = corner + heads[..., 2:4] * step[:, None]
    halves = heads[..., 4:6].clamp(max=8).exp() * step[:, None] / 2
    boxes = torch.cat([centres - halves, centres + halves], dim=2)
    return Cells(heads[..., 0], heads[..., 1], boxes, heads[..., 6:], corner, step)


def finder_loss(said: Cells, taught: Cells, faces: list[Tensor], distillation: float) -> dict[str, Tensor]:
    """The parts of a batch's loss; their sum is to be made small.

    Args:
        said: what the network says of the scenes.
        taught: what the teacher says of them.
        faces: of each scene float [faces, 14]: left, top, right, bottom, landmarks, in its pixels.
        distillation: share of the teacher's answers where a face is; elsewhere they are all that is learnt.
    """
    overlaps, chosen, targets = [], [], []
    for place, wanted in enumerate(faces):
        owner, overlap = assigned(said, place, wanted)
        mine = owner >= 0
        overlaps.append(overlap[mine])
        chosen.append(mine)
        targets.append(wanted[owner[mine]])
    mine, target = torch.stack(chosen), torch.cat(targets)
    count = mine.sum().clamp(min=1)
    taught_face, taught_object = taught.face.sigmoid(), taught.object.sigmoid()
    # Where no face is known the teacher's word alone counts: taught that all else is nothing, the network forgets the
    # blurred and half hidden faces that it was never sure of.
    soft = torch.where(mine, torch.lerp(torch.ones_like(taught_object), taught_object, distillation), taught_object)
    face = torch.cat(overlaps).lerp(taught_face[mine], distillation)
    losses = {
        "object": F.binary_cross_entropy_with_logits(said.object, soft, reduction="sum") / count,
        "face": F.binary_cross_entropy_with_logits(said.face[mine], face, reduction="sum") / count,
        "box": BOX_WEIGHT * eiou(said.boxes[mine], target[:, :4]).sum() / count,
    }
    # Elsewhere nothing else holds this head in its place.
    held = F.binary_cross_entropy_with_logits(said.face, taught_face, reduction="none") * taught_object.sqrt()
    losses["held"] = distillation * held[~mine].sum() / count
    corner = said.corners.expand(len(faces), -1, 2)[mine].repeat(1, 5)
    stride = said.strides.expand(len(faces), -1)[mine][:, None]
    points = (target[:, 4:] - corner) / stride
    losses["landmarks"] = LANDMARK_WEIGHT * F.smooth_l1_loss(said.landmarks[mine], points, reduction="sum") / count
    return losses


@torch.no_grad()
def assigned(said: Cells, place: int, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Of each cell of a scene the face that it must find, or -1; and how well its box is on that face.

    Args:
        said, place: the batch, and the scene's place in it.
        faces: [faces, 4 or more]: left, top, right, bottom.

    Returns:
        int64 [cells] and float [cells], 0 to 1.
    """
    count = len(said.strides)
    if not len(faces):
        return torch.full((count,), -1), torch.zeros(count)
    boxes, corners = faces[:, None, :4], said.corners[None]
    inside = ((corners > boxes[..., :2]) & (corners < boxes[..., 2:])).all(dim=2)
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2
    close = ((corners - middles).abs() < RADIUS * said.strides[:, None]).all(dim=2)
    candidates = inside | close
    overlaps = torch.where(candidates, iou(said.boxes[place][None], boxes), 0.0)  # [faces, cells]
    score = (said.face[place].sigmoid() * said.object[place].sigmoid()).sqrt().clamp(1e-6)
    costs = -score.log() - 3 * overlaps.clamp(min=1e-6).log()
    costs = costs + 1e5 * (~(inside & close)) + 1e9 * ~candidates
    amounts = overlaps.topk(min(CANDIDATES, count), dim=1).values.sum(dim=1).int().clamp(min=1)
    wanted = torch.zeros_like(candidates)
    order = costs.argsort(dim=1)
    for face, amount in enumerate(amounts.tolist()):
        wanted[face, order[face, :amount]] = True
    wanted &= candidates
    best = torch.where(wanted, costs, float("inf")).min(dim=0)
    owner = torch.where(wanted.any(dim=0), best.indices, -1)
    return owner, overlaps.gather(0, owner.clamp(min=0)[None])[0]


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes left, top, right, bottom: [..., 4] and [..., 4] to [...]."""
    sizes = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    both = sizes.clamp(min=0).prod(dim=-1)
    areas = (first[..., 2:] - first[..., :2]).prod(dim=-1) + (second[..., 2:] - second[..., :2]).prod(dim=-1)
    return both / (areas - both).clamp(min=1e-6)


def eiou(found: Tensor, wanted: Tensor) -> Tensor:
    """EIoU of pairs of boxes, [n, 4] and [n, 4] to [n]: 0 where they are the same; smooth near 0 (Peng & Yu's)."""
    hull = torch.maximum(found[:, 2:], wanted[:, 2:]) - torch.minimum(found[:, :2], wanted[:, :2])
    squares = hull.square().clamp(min=1e-6)
    middles = (found[:, :2] + found[:, 2:] - wanted[:, :2] - wanted[:, 2:]) / 2
    sizes = (found[:, 2:] - found[:, :2]) - (wanted[:, 2:] - wanted[:, :2])
    apart = middles.square().sum(dim=1) / squares.sum(dim=1) + (sizes.square() / squares).sum(dim=1)
    away = 1 - iou(found, wanted) + apart
    return torch.where(away < 0.1, 5 * away.square(), away - 0.05)
