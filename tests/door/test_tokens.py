"""Tokens are rotated in the running process, and a file that goes bad locks nobody out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog

from harness.process import wait_for
from harness.wire import get_request, send_request, tell
from sidecar.tokens import TOKEN_RECHECK, TokenFile, read_tokens

OLD, NEW = "canary-token-old-0001", "canary-token-new-0002"


@pytest.fixture
def rig(tmp_path):
    """A token file, a clock, and what was learned."""

    class Rig:
        def __init__(self) -> None:
            self.path = tmp_path / "tokens"
            self.learned: set[str] = set()
            self.now = 0.0

        def write(self, content: str | bytes) -> None:
            raw = content.encode() if isinstance(content, str) else content
            self.path.write_bytes(raw)

        def opens(self, *tokens: str) -> list[bool]:
            self.now += TOKEN_RECHECK
            return [self.file.opens(token.encode()) for token in tokens]

        def make(self, content: str) -> None:
            self.write(content)
            self.file = TokenFile(self.path, self.learned.update, lambda: self.now)

    return Rig()


def test_a_rotation(rig):
    rig.make(f"{OLD}\n")
    assert rig.opens(OLD, NEW) == [True, False]
    rig.write(f"{OLD}\n{NEW}\n")
    assert rig.opens(OLD, NEW) == [True, True]
    rig.write(NEW)
    assert rig.opens(OLD, NEW) == [False, True]
    assert rig.learned == {OLD, NEW}


def test_a_swapped_symlink_is_a_change(rig, tmp_path):
    for name, token in (("one", OLD), ("two", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(token)
    data = tmp_path / "..data"
    data.symlink_to("one")
    file = TokenFile(data / "token", rig.learned.update, lambda: rig.now)
    assert file.opens(OLD.encode())
    (tmp_path / "swap").symlink_to("two")
    (tmp_path / "swap").replace(data)
    rig.now += TOKEN_RECHECK
    assert [file.opens(token.encode()) for token in (OLD, NEW)] == [False, True]


@pytest.mark.parametrize(
    "content",
    [b"", b"\n \n", b"one two three", b"\x00\xff\xfe", "gar\u00e4bage".encode(), b"x" * 20_000],
    ids=["empty", "blank", "three", "binary", "not ASCII", "large"],
)
def test_a_file_that_goes_bad_leaves_the_tokens_as_they_were_and_is_told_of_once(rig, content):
    rig.make(OLD)
    with structlog.testing.capture_logs() as told:
        rig.write(content)
        for _ in range(5):
            assert rig.opens(OLD, NEW) == [True, False]
        assert [line["event"] for line in told] == ["token_file_unusable"]
        assert told[0]["file"] == str(rig.path)
        rig.path.unlink()
        for _ in range(5):
            assert rig.opens(OLD, NEW) == [True, False]
        assert [line["event"] for line in told] == ["token_file_unusable"] * 2
        rig.write(NEW)
        assert rig.opens(OLD, NEW) == [False, True]
        rig.path.unlink()
        rig.opens(NEW)
    assert [line["event"] for line in told][2:] == ["tokens_changed", "token_file_unusable"]
    assert OLD not in str(told)


def test_what_is_offered_may_be_any_bytes(rig):
    rig.make(OLD)
    for offered in (b"", b"\xff\x00", OLD.encode() + b"\n", OLD.upper().encode(), b"x" * 100_000):
        assert not rig.file.opens(offered)


def test_a_file_without_a_token_is_none_at_the_start(tmp_path):
    path = tmp_path / "tokens"
    with pytest.raises(OSError, match="No such file"):
        read_tokens(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="it holds 0 tokens"):
        read_tokens(path)


def test_a_rotation_in_the_running_process(begin, tmp_path):
    path: Path = tmp_path / "tokens"
    path.write_text(OLD)
    sidecar = begin(f"token_file: '{path}'")

    def allowed() -> list[bool]:
        return [
            sidecar.call("GET", "/health", headers={"Authorization": f"Bearer {t}"}).status == 200
            for t in (OLD, NEW)
        ]

    def swap(content: str) -> None:
        fresh = tmp_path / "fresh"
        fresh.write_text(content)
        fresh.replace(path)

    assert allowed() == [True, False]
    swap(f"{OLD}\n{NEW}\n")
    wait_for(lambda: allowed() == [True, True], "both tokens")
    swap(NEW)
    wait_for(lambda: allowed() == [False, True], "the new token alone")
    path.unlink()

    def told() -> bool:
        assert allowed() == [False, True]
        return bool(sidecar.events("token_file_unusable"))

    wait_for(told, "a warning")
    for _ in range(3):
        assert allowed() == [False, True]
    assert len(sidecar.events("token_file_unusable")) == 1
    assert OLD not in "".join(sidecar.raw)
    assert NEW not in "".join(sidecar.raw)


NOT_EXEMPT = {
    "a query": get_request("/livez?x=1"),
    "an absolute target": get_request("http://localhost/livez"),
    "a doubled slash": get_request("//livez"),
    "an escape": get_request("/%6civez"),
    "a dot": get_request("/./livez"),
    "OPTIONS": get_request("/livez").replace(b"GET", b"OPTIONS"),
    "POST": send_request().replace(b"/v1/send", b"/livez"),
    "smuggled in a query": send_request().replace(b"/v1/send", b"/v1/send?x=/livez"),
    "smuggled in a fragment": send_request().replace(b"/v1/send", b"/v1/send#/livez"),
    "two tokens": get_request(
        "/health", f"Authorization: Bearer {OLD}", "Authorization: Bearer other"
    ),
    "another scheme": get_request("/health", f"Authorization: Basic {OLD}"),
    "two in one": get_request("/health", f"Authorization: Bearer {OLD}, Bearer {OLD}"),
    "a high byte": get_request("/health", "Authorization: Bearer \u00e9"),
}


@pytest.fixture(scope="module", params=["", "1"], ids=["C", "Python"])
def guarded(begin, request, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(OLD)
    return begin(f"token_file: '{path}'", AIOHTTP_NO_EXTENSIONS=request.param)


@pytest.mark.parametrize("name", NOT_EXEMPT)
def test_only_the_probes_themselves_are_exempt(guarded, name):
    answer = tell(guarded, NOT_EXEMPT[name])[0]
    assert answer.status in (400, 401), answer
    if answer.status == 401:
        assert answer.problem["code"] == "unauthorized"
        assert b"WWW-Authenticate: Bearer" in answer.head


def test_the_probes_are_exempt(guarded):
    for path in ("/livez", "/readyz"):
        assert tell(guarded, get_request(path))[0].status == 200


def test_a_named_pipe_holds_up_nothing(rig):
    rig.make(OLD)
    rig.path.unlink()
    os.mkfifo(rig.path)
    assert rig.opens(OLD, NEW) == [True, False]
    with pytest.raises(ValueError, match="not a regular file"):
        read_tokens(rig.path)
