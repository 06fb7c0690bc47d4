"""An official SDK called in process, one call after the other: what an app pays without a server.

python sdk_alone.py KIND URL SECONDS

Prints the calls made, the seconds they took, and the seconds of CPU.
"""

from __future__ import annotations

import sys
import time

from calls import CALLS


def main() -> None:
    kind, url, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    call = CALLS[kind](url)
    to = "+14152000000" if kind in ("sns", "twilio") else "u1@example.com"
    for _ in range(5):
        call(to, "warm")
    began, before, made = time.monotonic(), time.process_time(), 0
    while time.monotonic() - began < seconds:
        call(to, "Your code is 482913. It is good for five minutes. Do not share it.")
        made += 1
    print(made, time.monotonic() - began, time.process_time() - before)  # noqa: T201  # the bench reads it


if __name__ == "__main__":
    main()
