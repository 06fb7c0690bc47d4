"""Several commands on their way at once (RFC 2920), where the server offers it."""

import asyncio
from itertools import pairwise
from typing import Any

import aiosmtplib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import Receipt, Rejected, Unavailable, Unknown
from sidecar_smtp.dialogue import REPLY_LIMIT, Dialogue, Reply

OFFER = "250-stand-in\r\n250 PIPELINING"
MAIL = ["MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize(("offer", "seen"), [(OFFER, MAIL), ("250 stand-in", ["MAIL"])])
async def test_the_envelope_goes_out_whole_where_that_is_offered(
    offer: str, seen: list[str], stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(EHLO=offer, MAIL="silence")
    smtp = await connect(server)
    with pytest.raises(Unavailable):
        await smtp.send(message(), timeout=0.5)
    assert server.commands[1:] == seen
    assert server.mails == []


async def test_many_mails_on_one_connection_each_with_its_own_answer(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(EHLO=OFFER)
    smtp = await connect(server)
    for number in range(5):
        assert isinstance(await smtp.send(message(id=f"m-{number}"), timeout=5.0), Receipt)
    assert (server.connections, len(server.mails)) == (1, 5)
    assert server.commands == ["EHLO", *MAIL * 5]


@pytest.mark.parametrize(
    "script",
    [
        {"RCPT": ["550 5.1.1 no", "250 ok"], "DATA": ["554 5.5.1 nobody", "354 go"]},
        {
            "MAIL": ["552 5.3.4 no", "250 ok"],
            "RCPT": ["503 5.5.1 no", "250 ok"],
            "DATA": ["503 5.5.1 no", "354 go"],
        },
        {"DOT": ["554 5.6.0 no", "250 ok"]},
    ],
    ids=["RCPT", "MAIL", "DOT"],
)
async def test_a_refusal_is_that_of_its_step_and_leaves_the_session_usable(
    script: dict[str, list[str]], stand_in: Any, connect: Any, message: Any
) -> None:
    first = next(iter(script.values()))[0].partition(" no")[0]
    server = await stand_in(EHLO=OFFER, **script)
    smtp = await connect(server)
    with pytest.raises(Rejected) as caught:
        await smtp.send(message(), timeout=5.0)
    assert caught.value.code == first
    await smtp.send(message(), timeout=5.0)
    assert server.connections == 1
    assert server.commands[-4:] == ["RSET", *MAIL]


async def test_data_that_opened_for_a_refused_recipient_is_never_ended(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(EHLO=OFFER, RCPT=["550 5.1.1 no", "250 ok"])
    smtp = await connect(server)
    with pytest.raises(Rejected):
        await smtp.send(message(), timeout=5.0)
    await smtp.send(message(id="m-2"), timeout=5.0)
    assert (server.connections, len(server.mails)) == (2, 1)


async def test_data_that_opened_is_not_ended_by_leaving_either(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(EHLO=OFFER, RCPT="550 5.1.1 no")
    smtp = await connect(server)
    with pytest.raises(Rejected):
        await smtp.send(message(), timeout=5.0)
    await smtp.__aexit__(None, None, None)
    assert server.mails == []


@pytest.mark.parametrize("answer", ["drop", "421 4.4.2 idle for too long"])
async def test_a_kept_session_that_died_is_replaced_at_mail(
    answer: str, stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(EHLO=OFFER, MAIL=["250 ok", answer, "250 ok"])
    smtp = await connect(server)
    await smtp.send(message(), timeout=5.0)
    await smtp.send(message(), timeout=5.0)
    assert (server.connections, len(server.mails)) == (2, 2)


@pytest.mark.parametrize(
    ("step", "outcome", "mails"),
    [("RCPT", Unavailable, 1), ("DATA", Unknown, 1), ("DOT", Unknown, 2)],
)
async def test_one_that_dies_later_is_not_replaced(
    step: str, outcome: type, mails: int, stand_in: Any, connect: Any, message: Any
) -> None:
    good = "354 go" if step == "DATA" else "250 ok"
    server = await stand_in(EHLO=OFFER, **{step: [good, "drop", good]})
    smtp = await connect(server)
    await smtp.send(message(), timeout=5.0)
    with pytest.raises(outcome):
        await smtp.send(message(), timeout=5.0)
    assert (server.connections, len(server.mails)) == (1, mails)


async def test_a_farewell_between_two_mails_is_heard(
    stand_in: Any, connect: Any, message: Any
) -> None:
    """The word of a server that leaves is not taken for the answer to the next command."""
    server = await stand_in(EHLO=OFFER, DOT=["250 ok\r\n421 4.4.2 idle", "250 ok"])
    smtp = await connect(server)
    await smtp.send(message(), timeout=5.0)
    await smtp.send(message(id="m-2"), timeout=5.0)
    assert (server.connections, len(server.mails)) == (2, 2)


# The dialogue alone: how the bytes are cut must not matter


class Wire(asyncio.Transport):
    closed = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: Any) -> None: ...

    def abort(self) -> None:
        self.closed = True


def a_dialogue(replies: int) -> Dialogue:
    client: Any = type("Client", (), {"transport": Wire()})
    dialogue = Dialogue(client)
    dialogue.say(b"", replies=replies)
    return dialogue


WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
LINES = st.tuples(st.integers(200, 599), st.lists(WORDS, min_size=1, max_size=4))


@settings(deadline=None)
@given(told=st.lists(LINES, max_size=4), end=st.sampled_from(["\r\n", "\n"]), data=st.data())
def test_replies_are_told_apart_however_they_are_cut(told: Any, end: str, data: Any) -> None:
    wire = "".join(
        f"{code}{' ' if number == len(lines) else '-'}{line}{end}"
        for code, lines in told
        for number, line in enumerate(lines, start=1)
    ).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)))) | {0, len(wire)})
    dialogue = a_dialogue(len(told))
    for start, stop in pairwise(cuts):
        dialogue.data_received(wire[start:stop])

    async def read() -> list[Reply]:
        return [await dialogue.reply() for _ in told]

    assert asyncio.run(read()) == [Reply(code, "\n".join(lines)) for code, lines in told]
    assert (dialogue.alive, dialogue.awaited) == (True, 0)


@pytest.mark.parametrize(
    "wire",
    [
        *(b"hello\r\n", b"\r\n", b"2500 ok\r\n", b"25\r\n", b"950 x\r\n", b"250-a\r\nb\r\n"),
        *(b"2" * (REPLY_LIMIT + 1), b"250-a\r\n" * REPLY_LIMIT, b"\xff\xfe\r\n"),
    ],
)
async def test_nonsense_ends_the_dialogue(wire: bytes) -> None:
    dialogue = a_dialogue(1)
    dialogue.data_received(wire)
    assert not dialogue.alive
    with pytest.raises(aiosmtplib.SMTPResponseException) as caught:
        await dialogue.reply()
    assert caught.value.code == -1
    with pytest.raises(aiosmtplib.SMTPException):
        dialogue.say(b"NOOP\r\n")
