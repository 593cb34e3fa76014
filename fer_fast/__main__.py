"""`fer-fast` and `python -m fer_fast`: the first that runs of the command."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Runs the command; a Ctrl-C while it is still being imported ends the process as any other program's."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own would show where in the imports it came
    from fer_fast.cli import main as command

    command()


if __name__ == "__main__":
    main()
