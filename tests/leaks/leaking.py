"""Tests that leak, each in one way: run by `test_the_watch.py` and by nothing else.

Those called `leaks_*` must be found out, those called `unscanned_*` must fail for want of a scan,
those called `clean_*` must pass.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import logging
import os
import select
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import types
from contextlib import closing
from pathlib import Path

import pytest

from harness.leaks import CODE, EMAIL, PHONE, TOKEN

SAYS = f"print('sent to {PHONE}', flush=True)"
SAYS_ON_STDERR = f"import sys; print('sent to {PHONE}', file=sys.stderr)"
BLOCK = f"sms to {PHONE} (otp, m-1)\n  | Your code is {CODE}\n"
SERVER = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    server_version, sys_version = sys.argv[2], ""

    def do_GET(self):
        said = sys.argv[1].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.handle_request()
"""


def python(program, *arguments, **streams):
    return subprocess.Popen([sys.executable, "-c", program, *arguments], **streams)


def run(program, **streams):
    subprocess.run([sys.executable, "-c", program], check=True, **streams)


def ask(said, path="/health", name="aiohttp"):
    with python(SERVER, said, name, stdout=subprocess.PIPE, text=True) as process:
        connection = http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline()))
        connection.request("GET", path)
        assert connection.getresponse().read() == said.encode()
        connection.close()


def product(program, **names):
    """Run a program as code of the product would run in this process."""
    module = types.ModuleType("sidecar_pretended")
    vars(module).update(names)
    exec(program, vars(module))  # its name makes it the product's


def test_leaks_on_stdout():
    sys.stdout.write(PHONE)


def test_leaks_on_stderr():
    sys.stderr.write(base64.b64encode(f"Bearer {TOKEN}".encode()).decode())


def test_leaks_in_the_log():
    logging.getLogger("sdk").error("sent to %s", EMAIL)


def test_leaks_in_a_fixture_that_ends(request):
    request.addfinalizer(lambda: sys.stdout.write(CODE))


def test_leaks_by_an_inherited_stream():
    run(SAYS)


def test_leaks_by_a_pipe_read_at_once():
    run(SAYS, capture_output=True)


def test_leaks_on_a_pipe_read_at_once_as_text():
    run(SAYS_ON_STDERR, capture_output=True, text=True)


def test_leaks_on_a_pipe_read_by_the_line():
    with python(SAYS, stdout=subprocess.PIPE) as process:
        assert next(process.stdout)


def test_leaks_on_a_pipe_read_by_nobody():
    with python(SAYS, stdout=subprocess.PIPE) as process:
        process.wait()


def test_leaks_on_a_pipe_that_is_not_buffered():
    with python(SAYS, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout.read()


async def test_leaks_by_a_process_of_asyncio():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SAYS, stdout=asyncio.subprocess.PIPE
    )
    assert await process.communicate()


def test_leaks_by_a_process_that_took_too_long():
    slow = f"{SAYS}\nimport time; time.sleep(60)"
    with python(slow, stdout=subprocess.PIPE) as process:
        assert select.select([process.stdout], [], [], 60)[0]
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=0.1)
        process.kill()


def test_leaks_into_a_file_told_to_a_process(tmp_path):
    with (tmp_path / "stderr").open("wb") as errors:
        run(SAYS_ON_STDERR, stderr=errors)


def test_leaks_into_a_new_file_of_a_process(tmp_path):
    run(f"open('new', 'w').write('{CODE}')", cwd=tmp_path)


def test_leaks_into_a_file_of_the_product_in_this_process(tmp_path):
    product("open(path, 'w').write(text)", path=tmp_path / "x", text=json.dumps(EMAIL))


def test_leaks_into_a_database(tmp_path):
    with closing(sqlite3.connect(tmp_path / "deliveries.db")) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (?)", [PHONE.encode().hex()])
        db.commit()


def test_leaks_into_a_folder_of_its_own(tmp_path_factory):
    run(f"open('new', 'w').write('{CODE}')", cwd=tmp_path_factory.mktemp("own"))


def test_leaks_into_a_folder_that_is_gone():
    with tempfile.TemporaryDirectory() as folder:
        run(f"open('new', 'w').write('{CODE}')", cwd=folder)


def test_leaks_into_a_folder_that_was_removed(tmp_path):
    (tmp_path / "data").mkdir()
    run(f"open('new', 'w').write('{CODE}')", cwd=tmp_path / "data")
    shutil.rmtree(tmp_path / "data")


def test_leaks_into_a_file_that_was_removed(tmp_path):
    run(f"open('new', 'w').write('{CODE}')", cwd=tmp_path)
    (tmp_path / "new").unlink()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.mark.parametrize("number", [1, 2])
def test_leaks_into_a_folder_that_tests_share(shared, number):
    run(f"open('new{number}', 'w').write('{CODE}')", cwd=shared)


def test_leaks_in_an_answer():
    ask(f'{{"reason": "no such number: {PHONE}"}}')


def test_leaks_in_an_answer_beside_the_inbox():
    ask(CODE, "/v1/inboxes")


def test_leaks_in_an_answer_read_from_a_socket():
    with python(SERVER, CODE, "x", stdout=subprocess.PIPE) as process:
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while connection.recv(7):
                pass


async def test_leaks_in_an_answer_read_by_asyncio():
    with python(SERVER, CODE, "x", stdout=subprocess.PIPE) as process:
        port = int(process.stdout.readline())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert await reader.read()
        writer.close()
        await writer.wait_closed()


def test_leaks_the_block_of_the_console_on_stdout():
    run(f"print({BLOCK!r})", capture_output=True)


def test_leaks_on_stderr_beside_the_block(tmp_path):
    run(f"import sys; sys.stderr.write({BLOCK + PHONE!r})", capture_output=True)


def test_unscanned_a_fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def test_unscanned_a_command_of_the_system():
    assert os.system("true") == 0


def test_unscanned_a_pipe_of_its_own():
    reader, writer = os.pipe()
    run(SAYS, stdout=writer)
    os.close(writer)
    os.close(reader)


def test_clean_inputs(tmp_path):
    (tmp_path / "providers.yaml").write_text(f"api_key: {TOKEN}")
    (tmp_path / "new").write_text(CODE)
    (tmp_path / "new").rename(tmp_path / "tokens")
    (tmp_path / "guest.py").write_text(f"CODE = {CODE!r}")
    run("import guest", cwd=tmp_path, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""})
    assert list(tmp_path.glob("__pycache__/*.pyc"))


def test_clean_blocks_of_the_console(tmp_path):
    run(f"import sys; sys.stderr.write({BLOCK!r})", capture_output=True)
    run(f"import sys; sys.stderr.write({BLOCK!r})")
    with (tmp_path / "stderr").open("wb") as errors:
        run(f"import sys; sys.stderr.write({BLOCK!r})", stderr=errors)


def test_clean_inbox():
    ask(f'{{"messages": ["{CODE}"]}}', "/v1/inbox")
    ask(f"<li>{CODE}</li>", "/inbox")


def test_clean_stand_ins():
    ask(PHONE, name="Werkzeug/3.1")


def test_clean_pipe_that_is_handed_over(hand_over):
    reader, writer = os.pipe()
    run("print('fine')", stdout=writer)
    os.close(writer)
    hand_over(os.read(reader, 100))
    os.close(reader)


def test_clean_output(tmp_path):
    run("open('new', 'w').write('fine'); print('fine')", cwd=tmp_path, capture_output=True)
    ask("fine")


def test_outlives_the_session():
    quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = python("import time; time.sleep(60)", stdout=subprocess.PIPE, **quiet)
    Path("pid").write_text(str(process.pid))
    globals()["kept"] = process


def test_ends_the_session():
    pytest.exit("enough", returncode=0)
