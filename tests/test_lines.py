"""How lines leave the process: in order, whole, and without a wait for whoever reads them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading

import pytest

from sidecar.lines import ENOUGH, Writer

NEVER = 3_600.0
"""Seconds between two looks of a writer that must be told when to look."""
PIPE = 4_096


def notice(lost):
    return b"lost %d\n" % lost


class Reader:
    """The other end: a pipe of one page, so that it is soon full."""

    def __init__(self):
        self.source, self.sink = os.pipe()
        fcntl.fcntl(self.sink, fcntl.F_SETPIPE_SZ, PIPE)
        self.writers = []

    def writer(self, **more):
        writer = Writer(self.sink, notice, **{"interval": NEVER, **more})
        self.writers.append(writer)
        return writer

    def until(self, end):
        """What is read until it ends so; the test's own time limit ends a wait in vain."""
        text = b""
        while not text.endswith(end):
            text += os.read(self.source, PIPE)
        return text

    def close(self):
        os.close(self.source)  # whoever waits for room in it waits no more
        for writer in self.writers:
            writer.close()
            writer._thread.join(10)
            assert not writer._thread.is_alive()
        os.close(self.sink)


@pytest.fixture
def reader():
    opened = Reader()
    yield opened
    opened.close()


def numbered(count, length=0):
    return [b"%d%s\n" % (number, b"x" * length) for number in range(count)]


def test_an_urgent_line_takes_those_along_that_waited(reader):
    writer = reader.writer()
    writer.write(b"one\n", now=False)
    writer.write(b"two\n", now=True)
    assert reader.until(b"two\n") == b"one\ntwo\n"


def test_a_line_waits_for_the_interval_and_no_longer(reader):
    reader.writer(interval=0.01).write(b"one\n", now=False)
    assert reader.until(b"one\n") == b"one\n"


def test_many_lines_wait_for_nothing(reader):
    writer = reader.writer()
    lines = numbered(ENOUGH)
    for line in lines:
        writer.write(line, now=False)
    assert reader.until(lines[-1]) == b"".join(lines)


def test_lines_of_many_threads_are_whole_and_each_threads_in_order(reader):
    writer = reader.writer(interval=0.001, most=10**6)
    each = 500

    def say(name):
        for number in range(each):
            writer.write(b"%d %d\n" % (name, number), now=not number % 7)

    threads = [threading.Thread(target=say, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    text = b""
    while text.count(b"\n") < 4 * each:
        text += os.read(reader.source, PIPE)
    for thread in threads:
        thread.join()
    heard = [tuple(map(int, line.split())) for line in text.splitlines()]
    for name in range(4):
        assert [number for who, number in heard if who == name] == list(range(each))


def test_nobody_who_writes_waits_for_a_reader_and_what_is_lost_is_counted(reader):
    writer = reader.writer(most=ENOUGH)
    lines = numbered(20 * ENOUGH, length=100)
    for line in lines:
        writer.write(line, now=True)  # a write that waited would wait for ever
    assert not writer.flush(0.01)
    text = b""
    while b"lost" not in text or not text.endswith(b"\n"):
        text += os.read(reader.source, PIPE)
    *kept, told = text.splitlines(keepends=True)
    assert kept == lines[: len(kept)], "the first ones are kept, in order"
    assert 0 < len(kept) <= 3 * ENOUGH + PIPE // 100, "a bounded number waits"
    assert told == b"lost %d\n" % (len(lines) - len(kept))


def test_a_loss_is_told_once_and_the_next_one_is_counted_anew(reader):
    writer = reader.writer(most=0)
    writer.write(b"x\n", now=True)
    writer.flush()
    writer._most = 1
    for line in (b"one\n", b"two\n"):
        writer.write(line, now=True)
        writer.flush()
    assert reader.until(b"two\n") == b"one\nlost 1\ntwo\n"


def test_what_waits_is_written_by_a_flush(reader):
    writer = reader.writer()
    writer.write(b"one\n", now=False)
    assert writer.flush()
    assert os.read(reader.source, PIPE) == b"one\n"


def test_the_end_waits_for_no_reader_and_later_lines_are_lost(reader):
    writer = reader.writer()
    for line in numbered(ENOUGH, length=1_000):
        writer.write(line, now=True)
    writer.close()
    writer.write(b"late\n", now=True)
    assert not writer.flush(0.0)


def test_after_the_end_a_line_is_written_at_once(reader):
    writer = reader.writer()
    writer.write(b"one\n", now=False)
    writer.close()
    writer.close()
    assert os.read(reader.source, PIPE) == b"one\n"
    writer.write(b"two\n", now=False)
    assert os.read(reader.source, PIPE) == b"two\n"


def test_a_descriptor_that_does_not_wait_loses_nothing_while_it_is_full(reader):
    os.set_blocking(reader.sink, False)
    writer = reader.writer()
    lines = numbered(ENOUGH, length=200)
    for line in lines:
        writer.write(line, now=True)
    assert reader.until(lines[-1]) == b"".join(lines)


def test_a_reader_that_is_gone_is_no_reason_to_fail():
    reader = Reader()
    writer = reader.writer()
    os.dup2(os.open(os.devnull, os.O_RDONLY), reader.source)  # nobody holds the pipe's other end
    writer.write(b"one\n", now=True)
    assert writer.flush(), "the thread goes on"
    assert writer._lost == 1
    reader.close()


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
writer.close()
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
