"""How lines leave the process: in order, whole, and without a wait for whoever reads them."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
import threading

import pytest

from sidecar.lines import AT_ONCE, ENOUGH, Writer

NEVER = 3_600.0
"""Seconds between two looks of a loop that must not look by itself."""
PIPE = 4_096


def notice(lost):
    return b"lost %d\n" % lost


class Reader:
    """The other end: a pipe of one page, so that it is soon full."""

    def __init__(self):
        self.source, self.sink = os.pipe()
        fcntl.fcntl(self.sink, fcntl.F_SETPIPE_SZ, PIPE)
        os.set_blocking(self.source, False)

    def writer(self, **more):
        return Writer(self.sink, notice, **{"interval": NEVER, **more})

    def read(self):
        """What is there."""
        try:
            return os.read(self.source, PIPE)
        except BlockingIOError:
            return b""

    def drain(self, writer):
        """All that is left, with a writer that is asked again and again."""
        text = self.read()
        while not writer.flush():
            text += self.read()
        return text + self.read()


@pytest.fixture
def reader():
    opened = Reader()
    yield opened
    os.close(opened.source)
    os.close(opened.sink)


def numbered(count, length=0):
    return [b"%d%s\n" % (number, b"x" * length) for number in range(count)]


async def test_an_urgent_line_takes_those_along_that_waited(reader):
    writer = reader.writer()
    writer.write(b"one\n", now=False)
    assert reader.read() == b""
    writer.write(b"two\n", now=True)
    assert reader.read() == b"one\ntwo\n"


async def test_a_line_waits_for_the_interval_and_no_longer(reader):
    heard = asyncio.Event()
    asyncio.get_running_loop().add_reader(reader.source, heard.set)
    writer = reader.writer(interval=0.01)
    for line in (b"one\n", b"two\n"):  # the interval begins anew
        writer.write(line, now=False)
        text = b""
        while not text:
            heard.clear()
            await heard.wait()
            text = reader.read()
        assert text == line
    asyncio.get_running_loop().remove_reader(reader.source)


async def test_many_lines_wait_for_nothing(reader):
    writer = reader.writer()
    lines = numbered(ENOUGH)
    for line in lines:
        writer.write(line, now=False)
    assert reader.read() == b"".join(lines)


def test_without_a_loop_a_line_waits_for_nothing(reader):
    reader.writer().write(b"one\n", now=False)
    assert reader.read() == b"one\n"


async def test_what_found_no_room_is_tried_again(reader):
    heard = asyncio.Event()
    writer = reader.writer(interval=0.01)
    lines = numbered(20, length=1_000)
    for line in lines:
        writer.write(line, now=True)
    asyncio.get_running_loop().add_reader(reader.source, heard.set)
    text = b""
    while len(text) < sum(map(len, lines)):
        await heard.wait()
        heard.clear()
        text += reader.read()
    asyncio.get_running_loop().remove_reader(reader.source)
    assert text == b"".join(lines)


def test_lines_of_many_threads_are_whole_and_each_threads_in_order(reader):
    writer = reader.writer(most=10**6)
    each = 500

    def say(name):
        for number in range(each):
            writer.write(b"%d %d\n" % (name, number), now=True)

    threads = [threading.Thread(target=say, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    text = b""
    while any(thread.is_alive() for thread in threads):
        text += reader.read()
    text += reader.drain(writer)
    heard = [tuple(map(int, line.split())) for line in text.splitlines()]
    for name in range(4):
        assert [number for who, number in heard if who == name] == list(range(each))


@pytest.mark.parametrize("waits", [True, False])
def test_nobody_who_writes_waits_for_a_reader_and_what_is_lost_is_counted(reader, waits):
    os.set_blocking(reader.sink, waits)
    writer = reader.writer(most=ENOUGH)
    lines = numbered(20 * ENOUGH, length=100)
    for line in lines:
        writer.write(line, now=True)  # a write that waited would wait for ever
    assert not writer.flush(0.01)
    *kept, told = reader.drain(writer).splitlines(keepends=True)
    assert kept == lines[: len(kept)], "the first ones are kept, in order"
    assert ENOUGH <= len(kept) <= ENOUGH + PIPE // 100, "a bounded number waits"
    assert told == b"lost %d\n" % (len(lines) - len(kept))


def test_a_loss_is_told_once_and_the_next_one_is_counted_anew(reader):
    writer = reader.writer(most=0)
    writer.write(b"x\n", now=True)
    writer.write(b"y\n", now=True)
    writer._most = 1
    writer.write(b"one\n", now=True)
    assert reader.drain(writer) == b"one\nlost 2\n"
    writer._most = 0
    writer.write(b"z\n", now=True)
    assert reader.drain(writer) == b"lost 1\n"


def test_a_line_longer_than_a_write_is_whole(reader):
    writer = reader.writer()
    lines = [b"one\n", b"x" * (2 * AT_ONCE) + b"\n", b"two\n"]
    for line in lines:
        writer.write(line, now=True)
    assert reader.drain(writer) == b"".join(lines)


def test_the_last_words_wait_for_a_reader(reader):
    writer = reader.writer()
    lines = numbered(ENOUGH, length=200)
    for line in lines:
        writer.write(line, now=True)
    os.set_blocking(reader.source, True)
    heard = []

    def read():
        while sum(map(len, heard)) < sum(map(len, lines)):
            heard.append(os.read(reader.source, PIPE))

    slow = threading.Thread(target=read)
    slow.start()
    assert writer.flush(60)
    slow.join()
    assert b"".join(heard) == b"".join(lines)


def test_a_reader_that_is_gone_is_no_reason_to_fail():
    reader = Reader()
    writer = reader.writer()
    os.close(reader.source)
    for line in (b"one\n", b"two\n"):
        writer.write(line, now=True)
    assert writer.flush(), "nothing waits for it"
    assert writer._lost == 2
    os.close(reader.sink)


def test_what_did_not_fit_on_a_full_disk_tears_no_later_line(tmp_path):
    program = """
import os, resource, signal, sys
from sidecar.lines import Writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
writer = Writer(file, b"lost %d\\n".__mod__)
resource.setrlimit(resource.RLIMIT_FSIZE, (7, resource.RLIM_INFINITY))
writer.write(b"one\\n", now=True)
writer.flush()
for _ in range(2):
    writer.write(b"torn\\n", now=True)
    writer.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
writer.write(b"two\\n", now=True)
"""
    path = tmp_path / "lines"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60)
    assert path.read_bytes() == b"one\ntor\ntwo\nlost 2\n"


ENDS = {
    "a return": "",
    "an exit": "sys.exit(0)",
    "an error": "raise ValueError",
    "a signal's default made an exit": "signal.raise_signal(signal.SIGTERM)",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_nothing_is_lost_however_python_ends(end):
    program = f"""
import signal, sys
from sidecar import logs
logs.configure(human=False)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
for number in range(1000):
    logs.tell("info", "x", {{"number": number}})
{end}
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, timeout=60
    )
    assert ran.stdout.count(b'"event":"x"') == 1_000


def test_a_destructor_that_fails_in_the_middle_of_a_line_may_say_so():
    # A lock in the way of a line would be taken twice by one thread, and the process would hang.
    program = """
import gc
from sidecar import logs
logs.configure(human=False)
class Fails:
    def __del__(self):
        raise ValueError
gc.set_threshold(1, 1, 1)
for number in range(2000):
    one = Fails()
    one.itself = one
    del one
    logs.tell("info", "x", {"number": number})
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, timeout=60
    )
    assert ran.stdout.count(b'"event":"x"') == 2_000
    assert ran.stdout.count(b'"event":"unraisable"') == 2_000
