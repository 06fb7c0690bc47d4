"""The command `otp-sidecar`, also `python -m sidecar`."""

from __future__ import annotations

import errno
import gc
import signal
import sys
import time
from collections.abc import Sequence

STARTED = time.monotonic()
EX_SOFTWARE, EX_IOERR, EX_INTERRUPTED = 70, 74, 130
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main() -> None:
    """Run the command line, and end with its exit code."""
    code: int | None
    try:
        code = _run(sys.argv[1:])
    except SystemExit as end:
        code = _ended(end.code, 1) if isinstance(end.code, str) else end.code
    except KeyboardInterrupt:  # also while the imports are under way
        code = EX_INTERRUPTED
    if "sidecar.aside" in sys.modules:
        from sidecar import aside  # noqa: PLC0415  # loaded, and a plugin's call may still run

        aside.end(code or 0)
    sys.exit(code)


def _run(arguments: Sequence[str]) -> int:
    """The exit code. `health` takes a short way that imports no framework."""
    from sidecar.streams import have_streams  # noqa: PLC0415  # where a Ctrl-C is heard

    have_streams()
    if arguments[:1] == ["health"] and not {"-h", "--help"} & set(arguments):
        from sidecar.probe import main as probe  # noqa: PLC0415  # the short way

        return probe(arguments[1:])
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
        return _ended(str(error), EX_CONFIG)
    except Exception as error:  # noqa: BLE001  # a traceback ends with the error's text
        if isinstance(error, OSError) and error.errno in NO_ROOM:  # of an unbuffered stream
            return _ended(f"cannot write: {error.strerror}", EX_IOERR)
        return _ended(f"otp-sidecar failed, and should not have: {_where(error)}", EX_SOFTWARE)
    return 0


def _ended(told: str, code: int) -> int:
    """Say why a command has ended, and give its exit code; a full disk is no fault of ours."""
    from sidecar.streams import tell, why_unwritten  # noqa: PLC0415  # loaded by now

    if why := why_unwritten():
        told, code = f"cannot write: {why}", EX_IOERR
    tell("stderr", f"{told}\n")
    return code


def _where(error: BaseException) -> str:
    """The class of an error and its places, innermost first; its text may hold a secret."""
    from traceback import extract_tb  # noqa: PLC0415  # for this alone

    places = [f"{frame.filename}:{frame.lineno}" for frame in extract_tb(error.__traceback__)]
    return f"{type(error).__name__} at {' from '.join(places[:-4:-1])}"


if __name__ == "__main__":
    main()
