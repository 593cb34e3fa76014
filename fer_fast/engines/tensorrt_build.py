"""An ONNX graph comes in, a serialised TensorRT engine goes out; by TensorRT 10 or 11, or TensorRT for RTX."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fer_fast.engines.interface import OutOfTimeError
from fer_fast.machine.extras import pip_line
from fer_fast.machine.signals import held_back
from fer_fast.types import FerFastError, MissingExtraError

if TYPE_CHECKING:
    from fer_fast.machine.cache import Place
    from fer_fast.models.architecture import Sides

log = logging.getLogger(__name__)

#: Flavour -> modules that are imported, the last of them the interface, and what to install.
LIBRARIES: dict[str, tuple[tuple[str, ...], str]] = {
    "tensorrt": (("tensorrt",), pip_line("cuda")),
    "tensorrt-rtx": (
        ("tensorrt_rtx_libs", "tensorrt_rtx_bindings"),
        "pip install --no-deps tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings",
    ),
}
#: Of TensorRT's last error, where there was none.
SILENT = "it does not say why"
#: Oldest version of each flavour's interface.
_OLDEST = {"tensorrt": (10, 1), "tensorrt-rtx": (1, 0)}


def load_tensorrt(flavour: str) -> Any:
    """The interface of a flavour of TensorRT.

    Raises:
        MissingExtraError: it is not installed, or cannot be imported.
        FerFastError: it is too old.
    """
    modules, hint = LIBRARIES[flavour]
    try:
        library = [importlib.import_module(name) for name in modules][-1]
    except (ImportError, OSError) as error:
        raise MissingExtraError(f"{flavour} is not there ({error}): {hint}") from error
    if tuple(map(int, library.__version__.split(".")[:2])) < _OLDEST[flavour]:
        oldest = ".".join(map(str, _OLDEST[flavour]))
        raise FerFastError(f"{flavour} must be {oldest} or newer, not {library.__version__}: {hint}")
    return library


def build_engine(
    library: Any,
    onnx: bytes,
    batch_size: int,
    cards: tuple[str, ...] = (),
    sides: Sides | None = None,
    may_go_on: Callable[[], bool] | None = None,
    *,
    least: int = 1,
    timings: Place | None = None,
) -> bytes:
    """Compiles a graph whose types say the precision (strong typing), for batches of `least` to `batch_size`.

    Args:
        library: what `load_tensorrt` gives.
        onnx: the graph; one input, its first dimension the batch.
        batch_size: the largest batch.
        cards: compute capabilities such as 8.6, of TensorRT for RTX alone; none is this card, or for RTX all.
        sides: what images may be, of a graph whose input leaves them free.
        may_go_on: is asked at each step; False ends the build.
        least: the smallest batch; an engine of one batch alone needs to be good at no other.
        timings: where what was timed on this card lies, for the next engine; it is read, and written again.

    Raises:
        ValueError: a card that the library does not build for.
        FerFastError: TensorRT refuses the graph.
        OutOfTimeError: the build was ended.
    """
    messages = messages_of(library)
    builder = library.Builder(messages)
    flags = library.NetworkDefinitionCreationFlag
    strong = 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0  # TensorRT 11 is always so
    network = builder.create_network(strong)
    parser = library.OnnxParser(network, messages)
    if not parser.parse(onnx):
        reasons = "; ".join(str(parser.get_error(number).desc()) for number in range(parser.num_errors))
        raise FerFastError(f"TensorRT {library.__version__} does not take the graph: {reasons}")
    settings = builder.create_builder_config()
    settings.clear_flag(library.BuilderFlag.TF32)  # on by default, strongly typed or not; fp32 means fp32
    settings.add_optimization_profile(_profile(builder, network.get_input(0), least, batch_size, sides))
    if cards:
        known = capabilities(library)
        for card in cards:
            if card not in known:
                raise ValueError(f"cards must be of {', '.join(known)} for this TensorRT, not {card!r}")
        settings.num_compute_capabilities = len(cards)
        for place, card in enumerate(cards):
            settings.set_compute_capability(known[card], place)
    if timings is not None:
        take_timings(settings, timings)
    engine = _built(library, builder, network, settings, may_go_on)
    if engine is None:
        raise FerFastError(f"TensorRT {library.__version__} could not build the engine: {messages.last}")
    if timings is not None:
        keep_timings(settings, timings)
    return bytes(engine)


def take_timings(settings: Any, timings: Place) -> None:
    """Gives the builder what was timed before, or nothing yet; what it does not take, another driver's, is left."""
    timed = settings.create_timing_cache(bytes(timings.fetch() or b""))
    if timed is None or not settings.set_timing_cache(timed, False):
        log.info("what TensorRT timed before, %s, is of no use here and is timed again", timings.file)
        settings.set_timing_cache(settings.create_timing_cache(b""), False)


def keep_timings(settings: Any, timings: Place) -> None:
    """Keeps what was timed, with what had been before."""
    if (timed := settings.get_timing_cache()) is not None:
        timings.store(bytes(timed.serialize()))


def _built(library: Any, builder: Any, network: Any, settings: Any, may_go_on: Callable[[], bool] | None) -> Any:
    """The serialised engine; None if TensorRT could not build it."""
    if may_go_on is None:
        return builder.build_serialized_network(network, settings)
    # TensorRT prints what is raised in a step, and goes on: a Ctrl-C would be lost.
    with held_back() as signals:
        monitor = monitor_of(library, lambda: not signals and may_go_on())
        settings.progress_monitor = monitor  # which TensorRT does not own
        engine = builder.build_serialized_network(network, settings)
    if engine is None and not may_go_on():
        raise OutOfTimeError("TensorRT's build was ended for want of time")
    return engine


def _profile(builder: Any, given: Any, smallest: int, batch_size: int, sides: Sides | None) -> Any:
    """The shapes that the engine takes; it is tuned for the largest."""
    least = most = tuple(given.shape)[1:]
    if sides is not None and not sides.fixed:
        *_, channels = most
        least, most = (sides.step, sides.step, channels), (sides.most, sides.most, channels)
    profile = builder.create_optimization_profile()
    largest = (batch_size, *most)
    profile.set_shape(given.name, (smallest, *least), largest, largest)
    return profile


def capabilities(library: Any) -> dict[str, Any]:
    """Compute capability, 8.6 for example, to the library's own name of it."""
    kinds = getattr(library, "ComputeCapability", None)
    names = [name for name in dir(kinds) if name.startswith("SM")]
    found = {f"{name[2:-1]}.{name[-1]}": getattr(kinds, name) for name in names}
    return dict(sorted(found.items(), key=lambda item: float(item[0])))


def messages_of(library: Any) -> Any:
    """What TensorRT says, in this package's log: it would print it."""

    class Messages(library.ILogger):  # type: ignore[misc]
        """TensorRT's logger; `last` is its last error."""

        def __init__(self) -> None:
            library.ILogger.__init__(self)
            self.last = SILENT

        def log(self, severity: Any, message: str) -> None:
            """Called by TensorRT."""
            if severity in (self.Severity.ERROR, self.Severity.INTERNAL_ERROR):
                self.last = message
            log.debug("TensorRT: %s", message)

    return Messages()


def monitor_of(library: Any, may_go_on: Callable[[], bool]) -> Any:
    """What TensorRT asks at each step of a build whether it may go on."""

    class Monitor(library.IProgressMonitor):  # type: ignore[misc]
        """TensorRT's progress monitor."""

        def __init__(self) -> None:
            library.IProgressMonitor.__init__(self)

        def phase_start(self, *_: Any) -> None:
            """Called by TensorRT."""

        def phase_finish(self, *_: Any) -> None:
            """Called by TensorRT."""

        def step_complete(self, *_: Any) -> bool:
            """Called by TensorRT."""
            return may_go_on()

    return Monitor()
