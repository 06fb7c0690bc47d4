"""D3: what is in the place of the log when it starts; it is made, or one line says which it is."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest

from harness.process import run_command

CONSOLE = "providers: {console: {}}\nchains: {sms: [console]}\n"


def pragma(path, statement):
    with closing(sqlite3.connect(path)) as log:
        log.execute(statement)
        log.commit()


def damage(path):
    data = bytearray(path.read_bytes())
    data[100:] = os.urandom(len(data) - 100)
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


def another_programs(path):
    path.unlink()
    pragma(path, "create table theirs (x)")


def a_directory(path):
    path.unlink()
    path.mkdir()


BROKEN = {
    "corrupt": (damage, "damaged"),
    "cut off": (cut, "damaged"),
    "text": (lambda path: path.write_text("hello " * 1000), "not a database"),
    "another program's": (another_programs, "another program's"),
    "newer schema": (lambda path: pragma(path, "pragma user_version = 99"), "version 99"),
    "a directory": (a_directory, "directory"),
}


@pytest.fixture
def log(start, tmp_path):
    """The log of a sidecar that has run and was stopped."""
    sidecar = start(CONSOLE)
    assert sidecar.send(id="m-1").status == 200
    assert sidecar.stop() == 0
    return tmp_path / "data" / "deliveries.db"


@pytest.mark.parametrize("fault", BROKEN)
def test_what_is_no_log_of_ours_ends_it_with_69_and_one_line(log, tmp_path, environ, fault):
    spoil, words = BROKEN[fault]
    spoil(log)
    before = None if log.is_dir() else log.read_bytes()
    ended = run_command(tmp_path, environ, "run")
    assert ended.returncode == 69
    (line,) = ended.stderr.splitlines()
    assert "deliveries.db" in line
    assert words in line.lower()
    assert before is None or log.read_bytes() == before, "it is left as it was, to be looked at"


def test_a_directory_that_may_not_be_written_is_named(tmp_path, environ):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "providers.yaml").write_text(CONSOLE)
    (tmp_path / "data").mkdir(mode=0o500)
    ended = run_command(tmp_path, environ, "run")
    assert ended.returncode == 69
    (line,) = ended.stderr.splitlines()
    assert "cannot be written" in line


def test_a_missing_file_and_directory_are_made_for_the_owner_alone(log):
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.parent.stat().st_mode & 0o777 == 0o700


def test_an_empty_file_takes_every_step_of_the_schema(start, log):
    for path in (log, log.with_name(f"{log.name}-wal"), log.with_name(f"{log.name}-shm")):
        path.unlink(missing_ok=True)
    log.touch(mode=0o600)
    sidecar = start()
    assert sidecar.send(id="m-2").status == 200
    assert sidecar.call("GET", "/v1/messages/m-1").status == 404
    assert sidecar.call("GET", "/v1/messages/m-2").status == 200


def test_what_a_log_has_is_there_after_another_start(start, log):
    assert log.exists()
    assert start().call("GET", "/v1/messages/m-1").json["status"] == "accepted"


def test_a_key_that_was_lost_beside_its_log_is_told(start, log):
    start().stop()
    key = log.with_name(f"{log.name}.key")
    again = start()
    assert not again.events("log_key_lost")
    again.stop()
    key.unlink()
    (told,) = start().events("log_key_lost")
    assert key.name in told["do"]


def test_an_empty_file_has_lost_no_key(start, tmp_path):
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "deliveries.db").touch(mode=0o600)
    assert not start(CONSOLE).events("log_key_lost")
