"""Deadlines of a connection, and how many there may be: slow callers, silent ones, and too many."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, suppress

import pytest

from harness.process import PATIENCE, Sidecar, let_pass, wait_for
from harness.providers import config, twilio
from harness.standins import Vendor, twilio_accepts
from harness.wire import (
    SEND,
    Reply,
    connect,
    everything,
    get_request,
    is_closed,
    memory,
    replies,
    send_request,
    tell,
)
from sidecar.api.express import AT_ONCE

POST = b"POST /v1/send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
QUICK = "header_timeout: 1s, body_timeout: 1s"


@pytest.fixture(scope="module")
def sidecar(begin):
    return begin(QUICK)


def drip(connection: socket.socket, data: bytes) -> None:
    """One byte at a time, until it is closed."""
    pause = threading.Event()
    with suppress(OSError):
        for byte in data:
            connection.sendall(bytes([byte]))
            if pause.wait(0.05) or is_closed(connection):
                return


def test_a_silent_connection_is_closed(sidecar):
    with connect(sidecar) as connection:
        assert everything(connection) == b""


def test_a_slow_head_gets_408_and_a_close(sidecar):
    with connect(sidecar) as connection:
        drip(connection, POST + b"X-Slow: " + b"a" * 2000)
        (answer,) = replies(everything(connection))
    assert (answer.status, answer.problem["code"]) == (408, "slow_head")
    assert b"Connection: close" in answer.head


def test_a_slow_head_on_a_kept_connection_too(sidecar):
    with connect(sidecar) as connection:
        connection.sendall(get_request("/livez"))
        assert replies(connection.recv(65536))[0].status == 200
        connection.sendall(b"GET /li")
        (second,) = replies(everything(connection))
    assert second.problem["code"] == "slow_head"


@pytest.mark.parametrize(
    "request_",
    [
        send_request(),
        send_request(SEND, "Expect: 100-continue"),
        POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(SEND), SEND),
        get_request("/livez"),
    ],
    ids=["express", "expect", "chunks", "probe"],
)
@pytest.mark.parametrize("parser", ["", "1"], ids=["C", "Python"])
def test_a_caller_that_ends_its_side_gets_its_answer_and_a_close(begin, request_, parser):
    sidecar = begin(QUICK, AIOHTTP_NO_EXTENSIONS=parser)
    with connect(sidecar) as connection:
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
        assert replies(everything(connection))[-1].status == 200


def test_half_a_request_at_its_end_is_no_request(sidecar):
    with connect(sidecar) as connection:
        connection.sendall(send_request()[:-1])
        connection.shutdown(socket.SHUT_WR)
        assert everything(connection) == b""
    assert sidecar.inbox() == []


def test_a_slow_body_gets_408_and_a_close(sidecar):
    with connect(sidecar) as connection:
        connection.sendall(POST + b"Content-Length: 2000\r\n\r\n")
        drip(connection, b" " * 2000)
        (answer,) = replies(everything(connection))
    assert (answer.status, answer.problem["code"]) == (408, "slow_body")
    assert b"Connection: close" in answer.head
    assert sidecar.inbox() == []


def test_a_slow_body_that_nobody_reads_is_waited_for_no_longer(sidecar):
    with connect(sidecar) as connection:
        connection.sendall(POST.replace(b"/v1/send", b"/nothing") + b"Content-Length: 2000\r\n\r\n")
        drip(connection, b" " * 2000)
        (answer,) = replies(everything(connection))
    assert answer.status == 404


def test_a_kept_connection_outlives_the_head_deadline_while_it_asks_for_nothing(sidecar):
    with connect(sidecar) as kept, connect(sidecar) as silent:
        kept.sendall(get_request("/livez"))
        wait_for(lambda: is_closed(silent), "the silent one to be closed")
        with connect(sidecar) as another:  # and one head deadline more
            wait_for(lambda: is_closed(another), "another silent one to be closed")
        kept.sendall(get_request("/livez", "Connection: close"))
        assert [answer.status for answer in replies(everything(kept))] == [200, 200]


def test_an_idle_connection_is_closed_in_the_end(begin):
    with connect(begin("keep_alive: 1s")) as connection:
        connection.sendall(get_request("/livez"))
        assert [answer.status for answer in replies(everything(connection))] == [200]


def test_a_length_of_100_mb_is_refused_unread_and_chunks_without_end_too(sidecar):
    tell(sidecar, send_request())
    before = memory(sidecar)
    (answer, *_) = tell(sidecar, POST + b"Content-Length: 100000000\r\n\r\n" + b"x" * 1_000_000)
    assert (answer.status, answer.problem["code"]) == (413, "too_large")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with connect(sidecar) as connection:
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        with suppress(OSError):
            for _ in range(1600):  # 100 MiB
                connection.sendall(chunk)
        with suppress(OSError):
            (answer, *_) = replies(connection.recv(65536))
            assert (answer.status, answer.problem["code"]) == (413, "too_large")
    assert memory(sidecar) - before < 16 << 20
    assert sidecar.call("GET", "/livez").status == 200


def test_1000_silent_sockets_keep_nobody_out(begin, many_descriptors):
    if many_descriptors < 2000:
        pytest.skip("this machine allows too few descriptors")
    sidecar = begin("header_timeout: 3s, body_timeout: 3s")
    times = []
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(sidecar)) for _ in range(1000)]
        while not all(is_closed(one) for one in silent):
            began = time.monotonic()
            assert sidecar.call("GET", "/health").status == 200
            times.append(time.monotonic() - began)
            assert sidecar.send().status == 200
            assert len(times) < 10_000, "they are never closed"
    # 100 ms is the aim, and the middle one shows it; a loaded machine may spoil single ones.
    assert sorted(times)[len(times) // 2] < 0.1
    assert max(times) < 3.0
    assert sidecar.call("GET", "/livez").status == 200


def test_the_longest_silent_goes_first_then_the_longest_idle(begin):
    sidecar = begin("connections: 4")
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(sidecar)) for _ in range(2)]
        for one in idle:
            one.sendall(get_request("/livez"))
            one.recv(4096)
        silent = [stack.enter_context(connect(sidecar)) for _ in range(2)]
        more = [stack.enter_context(connect(sidecar))]
        wait_for(lambda: is_closed(silent[0]), "the first silent one to go")
        assert not any(map(is_closed, [silent[1], *idle, *more]))
        for one in (silent[1], *more):
            one.sendall(get_request("/livez"))
            one.recv(4096)
        more.append(stack.enter_context(connect(sidecar)))
        more[-1].sendall(get_request("/livez"))
        wait_for(lambda: is_closed(idle[0]), "the longest idle one to go")
        assert not any(map(is_closed, [idle[1], silent[1], *more]))


def test_whoever_is_being_served_is_not_sent_away_to_make_room(begin):
    """A burst is begun a few requests at a time: who waits for that is silent no more."""
    sidecar = begin("connections: 64, header_timeout: 6s")
    with ExitStack() as stack:
        early = [stack.enter_context(connect(sidecar)) for _ in range(64)]
        assert sidecar.call("GET", "/livez").status == 200  # so those before it were taken in
        # It stands still, so that everything comes in one step of its loop; and for longer than a
        # silent one may hold a seat that others want.
        with sidecar.stopped():
            let_pass(3.2)
            late = [stack.enter_context(connect(sidecar)) for _ in range(36)]
            for one in (*early, *late):
                one.sendall(send_request(SEND))
        statuses = []
        for one in (*early, *late):
            with suppress(ConnectionResetError):  # silent, as far as one could see
                statuses += [answer.status for answer in replies(one.recv(65_536))]
    assert statuses.count(200) > AT_ONCE
    assert len(sidecar.inbox()) == statuses.count(200)


@pytest.fixture
def vendor():
    stand_in = Vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    yield stand_in
    stand_in.close()


def post_all(sidecar: Sidecar, callers: int) -> list[list[Reply]]:
    """So many sends, each on a connection of its own, and none waits for another's answer."""
    with ExitStack() as stack:
        connections = []
        for _ in range(callers):
            connections.append(stack.enter_context(connect(sidecar, 60)))
            connections[-1].sendall(send_request(SEND, "Connection: close"))
        return [replies(everything(one)) for one in connections]


def test_where_all_are_busy_probes_are_answered_and_the_rest_is_shed_at_once(begin, vendor):
    sidecar = begin("connections: 8", more=config("sms", twilio(vendor.url)))
    with ExitStack() as stack:
        busy = [stack.enter_context(connect(sidecar)) for _ in range(8)]
        for one in busy:
            one.sendall(send_request(SEND, "Connection: close"))
        wait_for(lambda: len(vendor.requests) == 8, "eight sends under way")
        for path in ("/livez", "/readyz", "/health", "/metrics"):
            assert sidecar.call("GET", path).status == 200
        for answer in (sidecar.send(), sidecar.call("GET", "/v1/inbox"), sidecar.send()):
            assert (answer.status, answer.json["code"]) == (503, "overloaded")
            assert answer.json["retryable"]
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["Connection"] == "close"
        page = sidecar.call("GET", "/metrics").body
        assert b'otp_shed_total{reason="connections"} 3.0' in page
        assert vendor.gate is not None
        vendor.gate.set()
        for one in busy:
            assert [answer.status for answer in replies(everything(one))] == [200]
    assert sidecar.send().status == 200
    assert len(vendor.requests) == 9


def test_2000_sends_at_once_get_2000_answers(begin, many_descriptors):
    if many_descriptors < 4500:
        pytest.skip("this machine allows too few descriptors")
    sidecar = begin()
    answers = post_all(sidecar, 2000)
    assert {len(one) for one in answers} == {1}, "nobody is reset without an answer"
    found = [one[0].status for one in answers]
    assert set(found) <= {200, 503}
    assert found.count(200) >= 64 + 256, "as many as one provider and the queue take"
    assert all(a.problem["code"] == "overloaded" for (a,) in answers if a.status == 503)
    assert sidecar.send().status == 200


def test_a_limit_of_64_descriptors_sheds_and_recovers(begin, vendor, tmp_path):
    assert vendor.gate is not None
    vendor.gate.set()
    limited = begin_limited(begin, vendor)
    (few,) = limited.events("few_descriptors")
    assert few["connections"] < few["wanted"] == 512
    with ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(connect(limited))
        assert wait_for(lambda: limited.call("GET", "/livez").status == 200, "a probe's answer")
    answers = post_all(limited, 150)
    statuses = [answer.status for one in answers for answer in one]
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 1
    wait_for(lambda: limited.send().status == 200, "it to recover, without a restart")
    circuit = limited.health("sms", "twilio")["circuit"]
    assert (circuit["state"], circuit["consecutive_failures"]) == ("closed", 0)
    assert limited.events("cannot_accept") == []
    assert limited.events("loop") == []


def begin_limited(begin, vendor):
    popen = subprocess.Popen

    def limited(*args, **options):
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))  # noqa: E731
        return popen(*args, **options, preexec_fn=limit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.process.subprocess.Popen", limited)
        return begin(more=config("sms", twilio(vendor.url)))


def test_a_caller_that_hangs_up_before_its_body_sends_nothing(sidecar):
    before = len(sidecar.inbox())
    with connect(sidecar) as connection:
        connection.sendall(POST + b"Content-Length: 200\r\n\r\n" + SEND[:20])
    assert sidecar.call("GET", "/livez").status == 200
    assert len(sidecar.inbox()) == before
    assert sidecar.events("internal_error") == []


def test_a_caller_that_hangs_up_at_once_has_its_answer_under_its_key(sidecar):
    with connect(sidecar) as connection:
        connection.sendall(send_request(SEND, "Idempotency-Key: gone-1"))
    sent = json.loads(SEND)

    def replayed():
        answer = sidecar.call("POST", "/v1/send", sent, {"Idempotency-Key": "gone-1"})
        return answer.status == 200 and answer

    answer = wait_for(replayed, "the send to end")
    assert answer.json["status"] == "accepted"
    assert sidecar.call("GET", f"/v1/messages/{answer.json['id']}").json["status"] == "accepted"
    assert sum(item["id"] == answer.json["id"] for item in sidecar.inbox()) == 1


def test_an_answer_that_nobody_reads_is_given_up(begin):
    sidecar = begin()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", sidecar.port))
        with suppress(OSError):
            for _ in range(200):
                connection.settimeout(0.2)
                connection.sendall(get_request("/openapi.json") * 50)

        def cut():
            try:
                connection.send(b"\r\n")
            except BlockingIOError:
                return False
            except OSError as error:
                return not isinstance(error, TimeoutError)
            return False

        connection.setblocking(False)
        wait_for(cut, "the connection to be cut")


def test_the_second_listener_has_the_same_manners(begin, tmp_path):
    sidecar = begin(f"{QUICK}, ops_listen: '127.0.0.1:0'")
    ops = int(sidecar.events("ready")[0]["listen"][1].rpartition(":")[2])

    def ask(request: bytes) -> list:
        with socket.create_connection(("127.0.0.1", ops), PATIENCE) as connection:
            connection.sendall(request)
            return replies(everything(connection))

    assert ask(b"") == []
    assert ask(b"GET /li")[0].problem["code"] == "slow_head"
    assert ask(b"nonsense\r\n\r\n")[0].problem["code"] == "malformed"
    assert ask(get_request("/nothing", "Connection: close"))[0].problem["code"] == "not_found"
    (answer,) = ask(b"PUT /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.problem["code"] == "method_not_allowed"
    assert ask(get_request("/livez", "Connection: close"))[0].status == 200
    assert ask(get_request("/v1/inbox", "Connection: close"))[0].status == 404


def test_core_dumps_are_off(sidecar):
    assert resource.prlimit(sidecar.process.pid, resource.RLIMIT_CORE) == (0, 0)
