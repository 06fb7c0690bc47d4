"""aiohttp without the system's CAs: whatever uses one of its contexts finds them there.

Each in a process of its own, for here aiohttp has been imported long ago.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
import trustme

from harness.process import PATIENCE

SETUP = """
import gc, os, ssl, sys, threading
from sidecar.thrift import import_aiohttp

def stored(context):
    return super(ssl.SSLContext, context).cert_store_stats()["x509_ca"]

def contexts():
    import_aiohttp()
    found = [one for one in gc.get_objects() if isinstance(one, ssl.SSLContext)]
    assert found and not any(map(stored, found))
    return found

def put_on(context):
    return context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="h")
"""
USES = {
    "asyncio": "put_on(one)",
    "a thread": "one.wrap_socket(__import__('socket').socket(), server_hostname='h')",
    "a look": "assert one.cert_store_stats()['x509_ca'] == 1",
    "a list": "assert len(one.get_ca_certs(True)) == 1",
}
OTHER = """
import _ssl

class Other(ssl.SSLContext):
    for name, value in vars(ssl.SSLContext).items():
        if isinstance(value, property) and name in vars(_ssl._SSLContext):
            locals()[name] = vars(_ssl._SSLContext)[name]  # as truststore's own ones

    def set_default_verify_paths(self):
        told.append(self)

told, ssl.SSLContext = [], Other
import_aiohttp()
import aiohttp
assert told and all(type(one) is Other for one in told)
assert "set_default_verify_paths" in vars(Other)
"""
AT_ONCE = """
one, *_ = contexts()
reading, go_on, order = threading.Event(), threading.Event(), []

def slowly(self, *places, really=ssl.SSLContext.load_verify_locations):
    reading.set()
    go_on.wait(PATIENCE)
    order.append("read")
    really(self, *places)

def use():
    put_on(one)
    order.append(stored(one))

ssl.SSLContext.load_verify_locations = slowly
first, second = threading.Thread(target=use), threading.Thread(target=use)
first.start()
assert reading.wait(PATIENCE)
second.start()
second.join(0.2)  # one that does not wait would have ended
go_on.set()
first.join()
second.join()
assert order == ["read", 1, 1]
"""


@pytest.fixture
def run(tmp_path):
    for name in ("own", "other"):
        trustme.CA().cert_pem.write_to_path(tmp_path / f"{name}.pem")
    pems = (tmp_path / "other.pem").read_bytes()
    (tmp_path / "other.pem").write_bytes(trustme.CA().cert_pem.bytes() + pems)

    def to_its_end(script):
        ended = subprocess.run(
            [sys.executable, "-c", f"PATIENCE = {PATIENCE}\n{SETUP}{script}"],
            cwd=tmp_path,
            env={"SSL_CERT_FILE": str(tmp_path / "own.pem")},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")

    return to_its_end


@pytest.mark.parametrize("use", USES)
def test_who_uses_one_finds_them_read(run, use):
    run(f"for one in contexts():\n    {USES[use]}\n    assert stored(one) == 1")


def test_who_makes_one_of_his_own_does_too(run):
    run("contexts()\nassert stored(ssl.create_default_context()) == 1")


def test_two_at_once_both_find_them_read(run):
    run(AT_ONCE)


def test_they_are_those_of_when_it_was_imported(run):
    run(
        "one, *_ = contexts()\nos.environ['SSL_CERT_FILE'] = 'other.pem'\n"
        "put_on(one)\nassert stored(one) == 1"
    )


def test_what_could_not_be_read_is_read_by_the_next(run):
    run(
        "one, *_ = contexts()\nos.rename('own.pem', 'gone')\n"
        "try:\n    put_on(one)\nexcept FileNotFoundError:\n    os.rename('gone', 'own.pem')\n"
        "put_on(one)\nassert stored(one) == 1"
    )


def test_where_another_class_has_taken_the_place_it_is_left_alone(run):
    run(OTHER)
