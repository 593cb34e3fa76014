"""The backbones that a fusion model may have, by the names that configurations have for them."""

from __future__ import annotations

from fer_fast.models.fusion.backbone import Backbone
from fer_fast.models.fusion.face_resnet import FaceResNetBackbone
from fer_fast.models.fusion.resnet18 import ResNet18

BACKBONES: dict[str, Backbone] = {"resnet18": ResNet18(), "face-resnet": FaceResNetBackbone()}
