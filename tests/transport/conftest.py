"""Servers on loopback that keep or break the protocol, and a transport that may reach them."""

import asyncio
import socket
import threading
from importlib import import_module
from importlib.util import find_spec

import pytest

from sidecar import transport as door
from sidecar.transport import HttpTransport


def pytest_asyncio_loop_factories(config, item):
    """Both loops: they differ in when they write, and in how TLS ends."""
    factories = {"asyncio": asyncio.new_event_loop}
    if find_spec("uvloop"):
        factories["uvloop"] = import_module("uvloop").new_event_loop
    return factories


@pytest.fixture(params=["lean", "aiohttp"], autouse=True)
def engine(request):
    """Every test of this folder runs with both engines, unless it says otherwise."""
    door.use(request.param)
    yield request.param
    door.use("lean")


@pytest.fixture
async def transport(engine):
    wire = HttpTransport(allow_private=True)
    yield wire
    await wire.close()


@pytest.fixture
async def serve():
    """Start a server whose connections are handed to a function; its port comes back."""
    servers, handlers = [], []

    async def start(handler, **options):
        async def handle(reader, writer):
            handlers.append(asyncio.current_task())
            try:
                await handler(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.transport.abort()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, **options)
        servers.append(server)
        return server.sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()
    for task in handlers:
        task.cancel()
    await asyncio.gather(*handlers, return_exceptions=True)


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def deaf_port():
    """A port whose queue of connections is full, so that the next SYN is dropped."""
    clients = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        for _ in range(16):
            client = socket.socket()
            client.settimeout(0.1)
            clients.append(client)
            try:
                client.connect(address)
            except TimeoutError:
                break
        else:
            pytest.skip("this system accepts connections beyond the queue of a listening socket")
        yield address[1]
        for client in clients:
            client.close()


class NameService:
    """Lets names resolve to addresses of the test's choice, and notes what was asked for."""

    def __init__(self, system):
        self.system = system
        self.answers = {}
        self.asked = []
        self.gone_on = threading.Event()

    def __call__(self, host, port, *args, **kwargs):
        self.asked.append(host)
        known = self.answers.get(host, [host])
        addresses = known() if callable(known) else known
        return [row for one in addresses for row in self.system(one, port, *args, **kwargs)]

    def hang(self):
        """An answer that does not come before `let_go`, and is none then."""
        self.gone_on.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def let_go(self):
        self.gone_on.set()


@pytest.fixture
def getaddrinfo(monkeypatch):
    names = NameService(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", names)
    yield names
    names.let_go()
