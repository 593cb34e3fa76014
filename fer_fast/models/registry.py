"""The name of an architecture comes in, the architecture goes out; other distributions may bring some of their own."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fer_fast.models.architecture import Architecture
from fer_fast.models.config import ClassifierConfig

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

    from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint

#: Where other distributions say theirs: an entry point's name is the architecture's, its object the architecture.
GROUP = "fer_fast.architectures"
#: Those of this package: name to module, which is imported when it is asked for, and class.
_OWN: dict[str, tuple[str, str]] = {
    "fusion": ("fer_fast.models.fusion.architecture", "FusionArchitecture"),
    "ensemble": ("fer_fast.models.ensemble.architecture", "EnsembleArchitecture"),
    "face-resnet": ("fer_fast.models.face_resnet.architecture", "FaceResNetArchitecture"),
    "inception": ("fer_fast.models.inception.architecture", "InceptionArchitecture"),
    "cnn": ("fer_fast.models.cnn.architecture", "CNNArchitecture"),
    "yunet": ("fer_fast.models.finder.architecture", "FinderArchitecture"),
}
#: Whose checkpoints do not say it: they are older than there were others.
UNSAID = "fusion"


def known_architectures() -> list[str]:
    """Names of the package's own and of all that is installed beside it."""
    return sorted({*_OWN, *_entry_points().names})


@cache
def architecture_named(name: str) -> Architecture[Any]:
    """An architecture; of the package's own names nobody else's is taken.

    Raises:
        ValueError: there is none of this name, two distributions bring one, or what is brought is none.
    """
    if name in _OWN:
        module, attribute = _OWN[name]
        own: Architecture[Any] = getattr(import_module(module), attribute)()
        return own
    points = [*_entry_points().select(name=name)]
    if len(points) > 1:
        whose = " and ".join(sorted(map(_distribution, points)))
        raise ValueError(f"architecture {name!r} must be of one distribution, not of {whose}")
    if not points:
        raise ValueError(
            f"architecture must be one of {', '.join(known_architectures())}, not {name!r}; "
            "another one may need the package that brings it"
        )
    return _brought(points[0])


def architecture_of(checkpoint: Checkpoint | FinderCheckpoint) -> Architecture[Any]:
    """The architecture of a checkpoint."""
    return architecture_named(checkpoint.config.architecture)


def config_of(values: Any) -> Any:
    """The configuration that a checkpoint's metadata says, JSON's values, by the architecture that it names.

    Raises:
        ValueError: there is no such architecture, or its configuration has other rules.
        TypeError: a value is of another type.
    """
    if not isinstance(values, dict):
        raise ValueError(f"it must be values by name, not {values!r}")
    own = dict(values)
    return architecture_named(str(own.pop("architecture", UNSAID))).config.from_dict(own)


def _brought(point: EntryPoint) -> Architecture[Any]:
    """What another distribution brings."""
    whose = f"architecture {point.name!r} of {_distribution(point)}"
    try:
        found = point.load()
        found = found() if isinstance(found, type) else found
    except (Exception, SystemExit) as error:  # whatever somebody's module does
        raise ValueError(f"{whose} cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(found, Architecture):
        raise ValueError(f"{whose} must be a fer_fast.models.architecture.Architecture, not {found!r}")
    config = getattr(found, "config", None)
    if not isinstance(config, type) or not issubclass(config, ClassifierConfig):
        raise ValueError(f"{whose} must have a class of ClassifierConfig as its config, not {config!r}")
    if (said := getattr(config, "architecture", None)) != point.name:
        raise ValueError(f"{whose} must have a configuration of that name, not {said!r}")
    found.version = point.dist.version if point.dist else ""
    return found


def _entry_points() -> EntryPoints:
    """Of all installed distributions; what has an own name alone never pays for importing what reads them."""
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown distribution"
