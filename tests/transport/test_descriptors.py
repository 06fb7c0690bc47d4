"""Out of descriptors: a fault of our own, so no provider is blamed. Real, so in a process apart."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, os, resource, sys
from sidecar import HttpTransport, open_socket
from sidecar.delivery.errors import DeliveryError

host = sys.argv[1]

async def main():
    transport = HttpTransport(allow_private=True)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for road in (
        lambda: transport.request("POST", f"http://{host}:{port}/", headers={}, timeout=5.0),
        lambda: open_socket(host, port, allow_private=True),
    ):
        try:
            await road()
        except DeliveryError as error:
            print(type(error).__name__, error)
    for one in taken:
        os.close(one)
    await transport.close()
    server.close()

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
asyncio.run(main())
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "no-such-host.invalid"])
def test_no_descriptor_left_is_a_local_fault(host):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, host],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.splitlines() == ["LocalFault no connection could be opened: EMFILE"] * 2
    assert done.stderr == ""
