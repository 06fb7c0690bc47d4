"""`python -m faultd DIRECTORY [NAME=KIND ...]`; without names one provider of each kind."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from faultd.daemon import KINDS, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="faultd", description=__doc__)
    parser.add_argument("directory", type=Path, help="for ca.pem and ledger.jsonl")
    parser.add_argument("names", nargs="*", help=f"NAME=KIND; kinds: {', '.join(KINDS)}")
    chosen = parser.parse_args()
    names = [name.partition("=")[::2] for name in chosen.names] or [(k, k) for k in KINDS]
    with suppress(KeyboardInterrupt):
        asyncio.run(run(chosen.directory, names, watch_stdin=not sys.stdin.isatty()))


main()
