"""A second look at secrets that a provider calls wrong, and a trial before new ones are used."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, ClassVar

import pytest
import structlog

from sidecar import (
    AccountReport,
    AccountState,
    ConfigError,
    Misconfigured,
    Provider,
    ProviderConfig,
    Receipt,
    Secret,
    Unavailable,
)
from sidecar import rotation as rotation_module
from sidecar.config import load
from sidecar.rotation import LOOK_AGAIN_AFTER, Rotation
from sidecar.testing import ManualClock
from sidecar.world import build_world

TEXT = """
providers:
  acme: {token: "${file:token}"}
  other: {kind: acme, token: "${vault:acme}"}
  fixed: {kind: acme, token: canary-literal, optional: true}
chains: {sms: [acme, other, fixed]}
"""
OLD, NEW, THIRD = "canary-token-1", "canary-token-2", "canary-token-3"


class AcmeConfig(ProviderConfig):
    token: Secret
    sender: str = "s"


class Acme(Provider[AcmeConfig]):
    """`said` has what the account says to each token; `calls` what was asked of it."""

    kind, channels, Config = "acme", frozenset({"sms"}), AcmeConfig
    said: ClassVar[dict[str, Any]] = {}
    calls: ClassVar[list[tuple[str, str]]] = []

    def _note(self, call):
        token = self.config.token.get_secret_value()
        self.calls.append((call, token))
        return self.said.get(f"{call} {token}")

    async def __aenter__(self):
        if (error := self._note("open")) is not None:
            raise error
        return self

    async def __aexit__(self, *exc):
        self._note("close")

    async def check(self, *, timeout):
        said = self._note("check")
        if isinstance(said, BaseException):
            raise said
        return await said() if callable(said) else said

    async def send(self, message, *, timeout):
        return Receipt("a-1")


class Reloads:
    """Stands in for the reloader: counts who asks, and ends when it is told to."""

    def __init__(self):
        self.asked = 0
        self._end = asyncio.Event()

    def ask(self):
        self.asked += 1

    async def ended(self):
        await self._end.wait()

    async def end(self):
        self._end.set()
        for _ in range(5):
            await asyncio.sleep(0)


class Vault:
    """Stands in for the registry and its safe."""

    def __init__(self):
        self.safe, self.token, self.expired, self.lacks = self, "canary-vault-1", [], {}

    def resolve(self, references, environ):
        return dict.fromkeys(references, self.token)

    def expire(self, references):
        self.expired += sorted(map(str, references))

    def troubles(self, references):
        return dict(self.lacks)


class Stage:
    """A world, and the rotation that watches it."""

    def __init__(self, path):
        self.path, self.clock, self.vault, self.reloads = path, ManualClock(), Vault(), Reloads()
        self.loads = 0
        self.world = build_world(self.load(), self.clock)
        self.rotation = Rotation(
            self.vault, self.reloads, self.load, self.clock, lambda: self.world
        )
        self.rotation.watch(self.world)

    def load(self):
        self.loads += 1
        return load(
            self.path / "my.yaml",
            environ={},
            provider_class=lambda _: Acme,
            resolve=self.vault.resolve,
        )

    def write(self, text=TEXT, token=OLD):
        (self.path / "my.yaml").write_text(text)
        (self.path / "token").write_text(token)

    def look(self, name="acme"):
        return self.world.links[name].second_look()

    async def rehearse(self):
        """The token that `acme` would have after a reload."""
        wanted = await self.rotation.rehearse(self.load())
        return wanted.providers["acme"].settings.token.get_secret_value()


@pytest.fixture
async def stage(tmp_path, monkeypatch):
    Acme.said, Acme.calls = {}, []
    monkeypatch.setattr(rotation_module, "TRIAL", 0.2)
    (tmp_path / "my.yaml").write_text(TEXT)
    (tmp_path / "token").write_text(OLD)
    return Stage(tmp_path)


# The second look


async def test_who_has_nothing_that_may_change_is_not_looked_at(stage):
    assert stage.world.links["fixed"].second_look is None
    assert stage.world.links["acme"].second_look is not None


async def test_secrets_that_are_the_same_have_not_changed(stage):
    assert not await stage.look()
    assert stage.reloads.asked == 0


async def test_a_changed_file_is_a_change_and_asks_for_a_reload(stage):
    stage.write(token=NEW)
    assert await stage.look()
    assert stage.reloads.asked == 1


async def test_the_secrets_of_this_provider_are_fetched_anew_and_no_others(stage):
    await stage.look("acme")
    assert stage.vault.expired == []
    stage.vault.token = "canary-vault-2"
    assert await stage.look("other")
    assert stage.vault.expired == ["vault:acme"]


async def test_many_at_once_share_one_look(stage):
    before = stage.loads
    looks = [stage.look() for _ in range(5)]
    assert not any(await asyncio.gather(*looks))
    assert stage.loads == before + 1


async def test_after_a_look_in_vain_the_answer_is_no_for_a_minute(stage):
    await stage.look()
    stage.write(token=NEW)
    stage.clock.advance(LOOK_AGAIN_AFTER - 1)
    assert not await stage.look()
    stage.clock.advance(1)
    assert await stage.look()


async def test_another_provider_has_its_own_minute(stage):
    await stage.look("acme")
    stage.vault.token = "canary-vault-2"
    assert await stage.look("other")


async def test_a_change_is_good_until_the_reload_has_ended_and_then_no_more(stage):
    stage.write(token=NEW)
    assert await stage.look()
    assert await stage.look()
    assert stage.reloads.asked == 1
    await stage.reloads.end()
    assert not await stage.look(), "what came of the reload has to do"
    stage.clock.advance(LOOK_AGAIN_AFTER)
    assert await stage.look()


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("acme: {token", "acme: {timeout: 2s, token"),
        TEXT.replace("[acme, other, fixed]", "[other, acme]"),
        TEXT.replace("other: {kind", "other: {sender: r, kind"),
    ],
)
async def test_what_is_not_the_providers_own_is_no_change(stage, text):
    stage.write(text)
    assert not await stage.look()


async def test_a_file_with_a_fault_is_no_change_and_the_reload_tells_it(stage):
    stage.write("providers: [", token=NEW)
    assert not await stage.look()
    assert stage.reloads.asked == 0


async def test_a_provider_that_is_no_more_is_a_change(stage):
    stage.write(TEXT.replace("  acme:", "  #").replace("[acme, ", "["))
    assert await stage.look()


# The trial of new secrets


def report(state):
    return AccountReport(state, f"it is {state}")


async def never():
    await asyncio.Event().wait()


WRONG = Misconfigured("bad token", code=20003)
VERDICTS = {
    "wrong, and the old is right": (WRONG, report(AccountState.READY), OLD),
    "wrong, and the old cannot ask": (WRONG, Unavailable("down"), OLD),
    "wrong, and the old says nothing": (WRONG, None, OLD),
    "wrong, as the old one is": (WRONG, Misconfigured("revoked"), NEW),
    "wrong, and the old is blocked": (WRONG, report(AccountState.BLOCKED), NEW),
    "blocked, and the old is right": (report(AccountState.BLOCKED), None, OLD),
    "blocked, as the old one is": (
        report(AccountState.BLOCKED),
        report(AccountState.BLOCKED),
        NEW,
    ),
    "degraded": (report(AccountState.DEGRADED), None, NEW),
    "ready": (report(AccountState.READY), None, NEW),
    "nothing to ask": (None, WRONG, NEW),
    "down": (Unavailable("down"), None, NEW),
    "broken": (ValueError("canary"), None, NEW),
    "an exit": (SystemExit("canary"), None, NEW),
    "no report": ("fine", None, NEW),
    "no end": (never, None, NEW),
}


@pytest.mark.parametrize(("new", "old", "used"), VERDICTS.values(), ids=VERDICTS)
async def test_a_new_secret_is_used_unless_the_account_likes_the_old_one_better(
    stage, new, old, used
):
    stage.write(token=NEW)
    Acme.said = {f"check {NEW}": new, f"check {OLD}": old}
    assert await stage.rehearse() == used
    assert ("close", NEW) in Acme.calls
    assert ("close", OLD) not in Acme.calls


async def test_the_old_one_is_asked_only_where_the_new_one_is_refused(stage):
    stage.write(token=NEW)
    await stage.rehearse()
    assert Acme.calls == [("open", NEW), ("check", NEW), ("close", NEW)]


async def test_what_cannot_be_opened_is_for_the_reload_to_tell(stage):
    stage.write(token=NEW)
    Acme.said = {f"open {NEW}": Misconfigured("no")}
    assert await stage.rehearse() == NEW


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace('"${file:token}"', f"{NEW}"),
        TEXT.replace("acme: {", "acme: {sender: r, "),
        TEXT.replace("acme: {", "acme: {timeout: 2s, "),
    ],
    ids=["nothing", "a literal", "a setting too", "a setting of the chain"],
)
async def test_what_the_file_itself_says_is_not_tried_out(stage, text):
    stage.write(text)
    Acme.said = {f"check {NEW}": WRONG}
    await stage.rehearse()
    assert Acme.calls == []


async def test_a_provider_that_is_switched_off_is_not_tried_out(stage):
    stage.write(TEXT.replace("acme: {", "acme: {enabled: false, "))
    stage.world = build_world(stage.load(), stage.clock)
    stage.write(TEXT.replace("acme: {", "acme: {enabled: false, "), token=NEW)
    await stage.rehearse()
    assert Acme.calls == []


async def test_a_refusal_is_told_once_and_without_a_secret(stage):
    stage.write(token=NEW)
    Acme.said = {f"check {NEW}": WRONG, f"check {THIRD}": WRONG}
    with structlog.testing.capture_logs() as lines:
        await stage.rehearse()
        await stage.rehearse()
        assert len(lines) == 1
        stage.write(token=THIRD)
        await stage.rehearse()
        stage.write(token=OLD)
        await stage.rehearse()
        stage.write(token=THIRD)
        await stage.rehearse()
    assert len(lines) == 3
    assert lines[0]["event"] == "secret_refused"
    assert (lines[0]["provider"], lines[0]["reason"]) == ("acme", "bad token (20003)")


async def test_what_was_refused_leaves_the_other_providers_to_the_new_file(stage):
    stage.write(token=NEW)
    stage.vault.token = "canary-vault-2"
    Acme.said = {f"check {NEW}": WRONG}
    wanted = await stage.rotation.rehearse(stage.load())
    after = build_world(wanted, stage.clock, stage.world)
    assert after.links["acme"] is stage.world.links["acme"]
    assert after.links["other"].provider is not stage.world.links["other"].provider
    assert isinstance(wanted.providers, MappingProxyType)


# In the background


@pytest.fixture
def naps(monkeypatch):
    """Lets no time pass; the seconds that would have."""
    naps = []

    @asynccontextmanager
    async def nap(seconds):
        naps.append(seconds)
        raise TimeoutError
        yield

    monkeypatch.setattr("sidecar.rotation.asyncio.timeout", nap)
    return naps


async def test_the_time_between_two_reads_is_spread(stage, naps):
    for _ in range(300):
        await stage.rotation._pause()
    assert 270.0 <= min(naps) < 285.0 < 315.0 < max(naps) <= 330.0


async def test_trouble_is_told_once_and_tried_again_soon(stage, naps):
    stage.vault.lacks = {"vault:acme": "is throttled"}
    with structlog.testing.capture_logs() as lines:
        await stage.rotation._pause()
        await stage.rotation._pause()
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("secret_not_read", "is throttled")
    ]
    assert 27.0 <= min(naps) <= max(naps) <= 33.0
    stage.vault.lacks = {}
    with structlog.testing.capture_logs() as lines:
        await stage.rotation._pause()
    assert [line["event"] for line in lines] == ["secret_read_again"]


async def test_of_a_secret_that_nobody_refers_to_any_more_nothing_is_told(stage, naps):
    stage.vault.lacks = {"vault:acme": "is throttled"}
    await stage.rotation._pause()
    stage.vault.lacks = {}
    stage.write(TEXT.replace('"${vault:acme}"', "canary-literal"))
    stage.world = build_world(stage.load(), stage.clock)
    with structlog.testing.capture_logs() as lines:
        await stage.rotation._pause()
    assert lines == []


async def test_a_version_that_asks_for_it_sooner_is_heeded(stage):
    pausing = asyncio.create_task(stage.rotation._pause())
    await asyncio.sleep(0)
    stage.write(f"secrets: {{refresh: 1s}}\n{TEXT}")
    stage.world = build_world(stage.load(), stage.clock)
    stage.clock.advance(2.0)
    stage.rotation.watch(stage.world)
    await asyncio.wait_for(pausing, 10)


async def test_a_look_that_is_under_way_ends_with_the_rotation(stage):
    stage.write(token=NEW)
    running = asyncio.create_task(stage.rotation.run())
    await asyncio.sleep(0)
    assert await stage.look()
    running.cancel()
    await asyncio.wait({running})
    await asyncio.sleep(0)
    assert [t for t in asyncio.all_tasks() if t.get_name().startswith("second look")] == []


async def test_a_look_whatever_it_meets_has_an_answer(stage):
    def broken():
        raise ConfigError("canary")

    stage.rotation._load = broken
    assert not await stage.look()
