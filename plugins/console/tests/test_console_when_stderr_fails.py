"""Each case runs in a process of its own, whose stderr is really full, closed or unread."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

PROGRAM = """
import asyncio
from sidecar import DeliveryError, Message, ProviderConfig
from sidecar_console import Console

async def main():
    console = Console("console", ProviderConfig(kind="console"))
    message = Message(id="m", channel="sms", to="+14155552671", text="739184620517 " + "x" * 8000)
    for sent in range(100):
        try:
            await console.send(message, timeout=1.0)
        except DeliveryError as error:
            print(type(error).__name__, error.reason, len(console.inbox()) == sent, sep="|")
            return
    print("accepted")

asyncio.run(main())
"""


def outcome(program: str = PROGRAM, **streams: Any) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        env={k: v for k, v in os.environ.items() if k != "OTP_SIDECAR_ENV"},
        check=True,
        **streams,
    )
    return done.stdout.strip()


def test_a_full_disk_is_unavailable() -> None:
    with Path("/dev/full").open("w") as full:
        said = outcome(stderr=full)
    assert said == "Unavailable|stderr could not be written: ENOSPC|True"


def test_a_reader_that_went_away_is_unavailable(hand_over: Callable[[bytes], None]) -> None:
    reader, writer = pipe()
    with writer:
        reader.close()
        said = outcome(stderr=writer)
    hand_over(b"")
    assert said == "Unavailable|stderr could not be written: EPIPE|True"


def test_a_pipe_that_nobody_reads_ends_unavailable_and_does_not_hang(
    hand_over: Callable[[bytes], None],
) -> None:
    reader, writer = pipe()
    with reader:
        with writer:
            said = outcome(stderr=writer)
        hand_over(reader.read())
    assert said == "Unavailable|stderr could not be written: EAGAIN|True"


@pytest.mark.parametrize(
    "closing",
    [
        "import os; os.close(2)",
        "import sys; sys.__stderr__.close()",
        "import sys; sys.__stderr__ = None",
    ],
)
def test_a_closed_stderr_is_unavailable(closing: str) -> None:
    said = outcome(closing + "\n" + PROGRAM, stderr=subprocess.DEVNULL)
    assert said.startswith("Unavailable|stderr could not be written: ")


def test_a_file_takes_everything(tmp_path: Any) -> None:
    with (tmp_path / "err").open("w+") as file:
        assert outcome(stderr=file) == "accepted"
        file.seek(0)
        assert file.read().count("739184620517") == 100


def pipe() -> tuple[IO[bytes], IO[bytes]]:
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb"), os.fdopen(writer, "wb")
