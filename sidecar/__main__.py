"""The command `otp-sidecar`, also `python -m sidecar`."""

from __future__ import annotations

import sys
import time

STARTED = time.monotonic()


def main() -> None:
    """Run the command line. `health` takes a short way that imports no framework."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["health"] and "--help" not in arguments:
        from sidecar.probe import main as probe  # noqa: PLC0415  # the short way

        sys.exit(probe(arguments[1:]))
    from sidecar.cli import cli  # noqa: PLC0415  # click and what follows cost 100 ms

    cli(prog_name="otp-sidecar", obj=STARTED)


if __name__ == "__main__":
    main()
