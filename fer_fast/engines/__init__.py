"""A model and a machine come in, an engine that turns uint8 pixels into what the model says of them goes out."""

from __future__ import annotations

from fer_fast.engines.choice import open_engine
from fer_fast.engines.interface import ENGINES, Engine

__all__ = ["ENGINES", "Engine", "open_engine"]
