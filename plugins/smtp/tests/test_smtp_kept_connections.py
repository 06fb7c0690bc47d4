"""When a kept connection is used again, probed, mended, replaced or let go; by a clock in hand."""

from typing import Any

import pytest

from sidecar import Rejected, Throttled, Unavailable, Unknown
from sidecar_smtp.pool import REST_LIMIT
from sidecar_smtp.session import NOOP_AFTER

MAIL = ["MAIL", "RCPT", "DATA"]


async def test_after_a_short_rest_it_is_used_as_it_is(
    stand_in: Any, connect: Any, message: Any, clock: Any
) -> None:
    server = await stand_in()
    smtp = await connect(server)
    await smtp.send(message(), timeout=5.0)
    clock.advance(NOOP_AFTER - 0.1)
    await smtp.send(message(), timeout=5.0)
    assert server.commands == ["EHLO", *MAIL, *MAIL]


async def test_after_a_longer_rest_it_is_probed(
    stand_in: Any, connect: Any, message: Any, clock: Any
) -> None:
    server = await stand_in()
    smtp = await connect(server)
    await smtp.send(message(), timeout=5.0)
    clock.advance(NOOP_AFTER)
    await smtp.send(message(), timeout=5.0)
    assert server.commands == ["EHLO", *MAIL, "NOOP", *MAIL]
    assert server.connections == 1


async def test_after_a_long_rest_it_is_let_go(
    stand_in: Any, connect: Any, message: Any, clock: Any
) -> None:
    server = await stand_in()
    smtp = await connect(server)
    await smtp.send(message(), timeout=5.0)
    clock.advance(REST_LIMIT)
    await smtp.send(message(), timeout=5.0)
    await smtp.__aexit__(None, None, None)
    assert server.connections == 2
    assert server.commands.count("QUIT") == 2
    assert "NOOP" not in server.commands


@pytest.mark.parametrize("answer", ["drop", "421 4.4.2 idle for too long", "500 what", "silence"])
async def test_one_that_fails_its_probe_is_replaced_within_the_send(
    answer: str, stand_in: Any, connect: Any, message: Any, clock: Any
) -> None:
    server = await stand_in(NOOP=answer)
    smtp = await connect(server)
    await smtp.send(message(), timeout=5.0)
    clock.advance(NOOP_AFTER)
    await smtp.send(message(), timeout=20.0)
    assert (server.connections, len(server.mails)) == (2, 2)


@pytest.mark.parametrize("answer", ["drop", "421 4.4.2 idle for too long"])
async def test_one_that_died_unnoticed_is_replaced_at_mail(
    answer: str, stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(MAIL=["250 ok", answer, "250 ok"])
    smtp = await connect(server)
    await smtp.send(message(), timeout=5.0)
    await smtp.send(message(), timeout=5.0)
    assert (server.connections, len(server.mails)) == (2, 2)


@pytest.mark.parametrize(("step", "mails"), [("RCPT", 1), ("DATA", 1), ("DOT", 2)])
async def test_one_that_dies_later_is_not_replaced(
    step: str, mails: int, stand_in: Any, connect: Any, message: Any
) -> None:
    good = "354 go" if step == "DATA" else "250 ok"
    server = await stand_in(**{step: [good, "drop", good]})
    smtp = await connect(server)
    await smtp.send(message(), timeout=5.0)
    with pytest.raises(Exception, match="connection was lost"):
        await smtp.send(message(), timeout=5.0)
    assert (server.connections, len(server.mails)) == (1, mails)


async def test_a_fresh_one_that_dies_at_mail_is_not_replaced(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(MAIL="drop")
    smtp = await connect(server)
    with pytest.raises(Unavailable):
        await smtp.send(message(), timeout=5.0)
    assert server.connections == 1


async def test_a_rate_that_is_used_up_is_not_tried_on_another_connection(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(MAIL=["250 ok", "421 4.7.0 rate limited"])
    smtp = await connect(server)
    await smtp.send(message(), timeout=5.0)
    with pytest.raises(Throttled):
        await smtp.send(message(), timeout=5.0)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("step", "refusals"),
    [("RCPT", ["550 5.1.1 no", "250 ok"]), ("DOT", ["554 5.6.0 no", "250 ok"])],
)
async def test_after_a_refused_mail_it_is_reset(
    step: str, refusals: list[str], stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(**{step: refusals})
    smtp = await connect(server)
    with pytest.raises(Rejected):
        await smtp.send(message(), timeout=5.0)
    await smtp.send(message(), timeout=5.0)
    assert server.connections == 1
    assert server.commands[-4:] == ["RSET", *MAIL]


@pytest.mark.parametrize(
    ("answer", "outcome"), [("421 4.3.0 closing", Unavailable), ("garbage", Unknown)]
)
async def test_after_an_answer_that_ends_the_session_it_is_not_used(
    answer: str, outcome: type[Exception], stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(DOT=[answer, "250 ok"])
    smtp = await connect(server)
    with pytest.raises(outcome):
        await smtp.send(message(), timeout=5.0)
    await smtp.send(message(), timeout=5.0)
    assert server.connections == 2
    assert "RSET" not in server.commands


async def test_where_reset_fails_it_is_replaced(stand_in: Any, connect: Any, message: Any) -> None:
    server = await stand_in(RCPT=["550 5.1.1 no", "250 ok"], RSET="drop")
    smtp = await connect(server)
    with pytest.raises(Rejected):
        await smtp.send(message(), timeout=5.0)
    await smtp.send(message(), timeout=5.0)
    assert (server.connections, len(server.mails)) == (2, 1)


async def test_closing_says_goodbye_and_a_later_send_begins_anew(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in()
    smtp = await connect(server)
    await smtp.send(message(), timeout=5.0)
    await smtp.__aexit__(None, None, None)
    assert server.commands[-1] == "QUIT"
    await smtp.send(message(), timeout=5.0)
    assert server.connections == 2
