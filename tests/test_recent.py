"""What the log cannot say is not sent again for a retry, and not remembered for ever."""

from dataclasses import replace

import pytest
from test_dispatcher import fails, opened

from sidecar import recent
from sidecar.declined import KeyReused, LogRefuses
from sidecar.delivery.errors import Unknown
from sidecar.delivery.model import Status


@pytest.fixture
async def house():
    house = await opened([], degrade=True)
    house.log.broken = {"claim"}
    return house


@pytest.mark.parametrize("named", [{"key": "k"}, {"id": "m-1"}])
async def test_a_retry_is_answered_and_sends_nothing(house, named):
    first = await house.send(**named)
    again = await house.send(**named)
    assert (again.id, again.status, again.replayed) == (first.id, Status.ACCEPTED, True)
    house.log.broken.clear()  # also when the log is back
    assert (await house.send(**named)).replayed
    assert house.calls == 1


@pytest.mark.parametrize("named", [{"key": "k"}, {"id": "m-1"}, {"key": "k", "id": "m-1"}])
async def test_what_has_a_key_and_an_id_is_found_by_either(house, named):
    first = await house.send("k", id="m-1")
    again = await house.send(**named)
    assert (again.id, again.replayed, house.calls) == (first.id, True, 1)


@pytest.mark.parametrize("named", [{"key": "k"}, {"id": "m-1"}])
async def test_what_was_logged_before_is_not_sent_again_while_the_log_is_away(house, named):
    house.log.broken.clear()
    first = await house.send("k", id="m-1")
    assert first.logged
    house.log.broken = {"claim"}
    again = await house.send(**named)
    assert again == replace(first, replayed=True)
    with pytest.raises(KeyReused):
        await house.send(**named, text="Your code is 2")
    assert house.calls == 1


@pytest.mark.parametrize("logged", [True, False])
async def test_what_may_have_been_sent_is_not_sent_again_either(house, logged):
    house.providers[0].script.append(lambda m: unknown())
    house.log.broken = set() if logged else {"claim"}
    assert (await house.send("k")).status is Status.UNKNOWN
    house.log.broken = {"claim"}
    assert (await house.send("k")).replayed
    assert house.calls == 1


def unknown():
    raise Unknown("x")


async def test_an_id_under_another_key_is_refused_as_the_log_does(house):
    await house.send("k", id="m-1")
    with pytest.raises(KeyReused):
        await house.send("k2", id="m-1")
    assert house.calls == 1


async def test_what_is_sent_again_is_the_latest_to_be_forgotten(house, monkeypatch):
    monkeypatch.setattr(recent, "LIMIT", 3)
    for key in "abc":
        await house.send(key)
    house.clock.advance(house.dispatcher.routes.keep_keys)
    for key in "ad":
        await house.send(key)
    assert (await house.send("a")).replayed


async def test_with_refuse_nothing_is_answered_from_memory():
    house = await opened([])
    await house.send("k")
    house.log.broken = {"claim"}
    with pytest.raises(LogRefuses):
        await house.send("k")


async def test_the_key_with_another_message_is_refused(house):
    await house.send("k")
    with pytest.raises(KeyReused):
        await house.send("k", text="Your code is 2")
    assert house.calls == 1


async def test_without_a_key_each_is_sent(house):
    await house.send()
    await house.send()
    assert house.calls == 2


async def test_what_was_surely_not_sent_may_run_again(house):
    house.providers[0].script.append(lambda m: fails())
    assert (await house.send("k")).status is Status.FAILED
    assert (await house.send("k")).status is Status.ACCEPTED
    assert house.calls == 2


async def test_a_key_is_forgotten_after_its_time(house):
    await house.send("k")
    house.clock.advance(house.dispatcher.routes.keep_keys)
    assert not (await house.send("k")).replayed
    assert house.calls == 2


async def test_only_so_many_are_remembered(house, monkeypatch):
    monkeypatch.setattr(recent, "LIMIT", 2)
    for key in "abc":
        await house.send(key)
    assert [(await house.send(key)).replayed for key in "cba"] == [True, True, False]
