"""`python -m soak --seconds 120 --seed 7`, with `tests` on the path; see `make soak`."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from pathlib import Path

from soak.run import LEAST, soak


def main() -> int:
    parser = argparse.ArgumentParser(description="A soak of the sidecar under every fault at once.")
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--rate", type=float, default=20.0, help="sends a second")
    parser.add_argument("--keep", type=Path, help="a directory for the evidence of a failure")
    asked = parser.parse_args()
    if asked.seconds < LEAST:
        parser.error(f"--seconds: {LEAST:.0f} at least, or it has no time for what it must do")
    return asyncio.run(soak(asked.seconds, asked.seed, asked.rate, asked.keep))


sys.exit(main())
