"""A configuration may come by a pipe, and one that nobody writes to holds nothing up."""

import os
import threading
from pathlib import Path

import pytest

from sidecar import config
from sidecar.config import ConfigFaults, files
from sidecar.config.tariffs import read_tariffs
from sidecar_console import Console

TEXT = b"providers: {console: {}}\nchains: {sms: [console]}\n"


def load(path):
    return config.load(path, environ={}, provider_class=lambda _: Console)


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "providers.yaml"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("read", [load, read_tariffs])
def test_a_named_pipe_that_nobody_writes_to_is_waited_for_only_so_long(pipe, read, monkeypatch):
    monkeypatch.setattr(files, "PATIENCE", 0.05)
    with pytest.raises(ConfigFaults, match="cannot be read: it has no end within"):
        read(pipe)


def test_a_named_pipe_is_read_whose_writer_comes_later(pipe):
    writer = threading.Timer(0.1, lambda: pipe.write_bytes(TEXT))
    writer.start()
    try:
        assert list(load(pipe).chains) == ["sms"]
    finally:
        writer.join()


@pytest.mark.parametrize("read", [load, read_tariffs])
@pytest.mark.parametrize("written", [b"", TEXT])
def test_a_pipe_without_an_end_is_waited_for_only_so_long(pipe, read, written, monkeypatch):
    monkeypatch.setattr(files, "PATIENCE", 0.05)
    end = os.open(pipe, os.O_RDWR)
    try:
        os.write(end, written)
        with pytest.raises(ConfigFaults, match="cannot be read: it has no end within"):
            read(pipe)
    finally:
        os.close(end)


def test_what_comes_by_a_pipe_is_read_until_its_end():
    reading, writing = os.pipe()
    go_on = threading.Event()

    def write():
        os.write(writing, TEXT[:10])
        go_on.wait()
        os.write(writing, TEXT[10:])
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    threading.Timer(0.05, go_on.set).start()  # most likely while it is being waited for
    try:
        assert list(load(Path(f"/dev/fd/{reading}")).chains) == ["sms"]
    finally:
        writer.join()
        os.close(reading)
