"""The command `otp-sidecar`, also `python -m sidecar`."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time

STARTED = time.monotonic()
EX_SOFTWARE = 70


def main() -> None:
    """Run the command line. `health` takes a short way that imports no framework."""
    _have_streams()
    arguments = sys.argv[1:]
    if arguments[:1] == ["health"] and "--help" not in arguments:
        from sidecar.probe import main as probe  # noqa: PLC0415  # the short way

        sys.exit(probe(arguments[1:]))
    if arguments[:1] == ["run"]:
        # Imports leave next to no garbage, and looking for it took a tenth of the time to ready.
        # `serve` begins to collect.
        gc.disable()
        # Until it serves, a reload is asked for in vain, and the signal's default would end it.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from sidecar.cli import cli  # noqa: PLC0415  # click and what follows cost 100 ms
    from sidecar.delivery.errors import ConfigError  # noqa: PLC0415  # loaded by now
    from sidecar.options import EX_CONFIG  # noqa: PLC0415  # loaded by now

    try:
        cli(prog_name="otp-sidecar", obj=STARTED)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EX_CONFIG)
    except Exception as error:  # noqa: BLE001  # a traceback ends with the error's text
        sys.stderr.write(f"otp-sidecar failed, and should not have: {_where(error)}\n")
        sys.exit(EX_SOFTWARE)


def _where(error: BaseException) -> str:
    """The class of an error and its places, innermost first; its text may hold a secret."""
    from traceback import extract_tb  # noqa: PLC0415  # for this alone

    places = [f"{frame.filename}:{frame.lineno}" for frame in extract_tb(error.__traceback__)]
    return f"{type(error).__name__} at {' from '.join(places[:-4:-1])}"


def _have_streams() -> None:
    """Python has no stdout, or stderr, where the descriptor was closed before it started."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115  # to the end


if __name__ == "__main__":
    main()
