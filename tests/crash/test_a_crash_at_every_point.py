"""The process is killed at every step of a send; what its next life and the caller's retry do.

The recipient is no canary: the daemon's ledger, which these tests read, has it in full.
"""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from hashlib import sha256
from itertools import count

import pytest

from faultd.client import CHANNELS
from harness import oracle
from harness.leaks import CODE
from harness.process import PATIENCE, wait_for
from harness.providers import config
from sidecar.crash import POINTS

KINDS = ("twilio", "sendgrid", "ses", "smtp")
TO = {"sms": "+14155550123", "email": "somebody@example.com"}
_numbers = count()


class Case:
    """One message with its key, and what the providers' ledger says of it."""

    def __init__(self, faultd):
        self._faultd = faultd
        self.key = f"crash-{next(_numbers)}"
        self.text = f"Your code is {CODE} #{self.key}"

    @property
    def taken(self):
        """The providers that took it, in order; each took the same text."""
        mine = [one for one in self._faultd.ledger() if one["correlation"] == self.key]
        assert {one["sha256"] for one in mine} <= {sha256(self.text.encode()).hexdigest()}
        return [one["provider"] for one in mine]


class Lives:
    """The lives of one sidecar: each is begun, judged by what the one before left, and killed."""

    def __init__(self, start, faultd, directory, kind, policy="failover", more=""):
        self.faultd = faultd
        self.kind = kind
        self.channel = CHANNELS[kind]
        self.spare = f"spare_{self.channel}"
        sections = (faultd.section(kind), faultd.section(self.spare))
        self._text = config(self.channel, *sections, policy=f"on_unknown: {policy}", more=more)
        self._database = directory / "data" / "deliveries.db"
        self._start = start
        self._judge = None

    def send(self, case):
        headers = {"Idempotency-Key": case.key}
        to = TO[self.channel]
        return self.sidecar.send(self.channel, to=to, text=case.text, headers=headers)

    def begin(self, **environ):
        """The next life: recovery asks nobody, and leaves nothing open; then the last is judged."""
        before = self._asked()
        self.sidecar = self._start(self._text, **environ)
        assert self._asked() == before
        if self._judge is not None:
            assert list(oracle.unended(self._database)) == []
            self._judge()

    def die(self, point, taken, status, trail, sends=1):
        """Send in a life that ends at `point` in the last of `sends`; then `taken` have it.

        A later life answers the caller's retry with `status` and `trail`, out of the log.
        """
        self.begin(OTP_SIDECAR_CRASH_AT=point)
        case = Case(self.faultd)
        for _ in range(sends - 1):
            self.send(case)
        with pytest.raises((OSError, http.client.HTTPException)):
            self.send(case)
        assert self.sidecar.process.wait(PATIENCE) == -signal.SIGKILL
        self._expect(case, taken, status, trail)

    def die_after_the_dot(self, taken, status, trail):
        """The same where no place in the process tells: when the ledger has the message."""
        self.faultd.set(self.kind, "slow", delay=PATIENCE)
        self.begin()
        case = Case(self.faultd)
        caller = threading.Thread(target=self._send_in_vain, args=[case])
        caller.start()
        wait_for(lambda: case.taken, "the mail to be taken")
        self.sidecar.kill()
        caller.join(PATIENCE)
        self.faultd.heal()
        self._expect(case, taken, status, trail)

    def _send_in_vain(self, case):
        with suppress(OSError, http.client.HTTPException):
            self.send(case)

    def _expect(self, case, taken, status, trail):
        wait_for(lambda: len(case.taken) >= len(taken), f"the ledger to have {taken}")

        def judge():
            assert case.taken == taken
            if status is None:  # surely not sent
                answer = self.send(case)
                assert (answer.status, answer.json["replayed"]) == (200, False)
                assert answer.trail == trail
                assert case.taken == [trail[-1][0]]
                return
            for _ in range(2):
                answer = self.send(case)
                assert (answer.status, answer.json["replayed"]) == (status, True)
                assert answer.trail == trail
            both = [outcome for _, outcome in trail if outcome in ("unknown", "accepted")]
            assert answer.json["duplicate_possible"] is (len(both) > 1)
            assert case.taken == taken

        self._judge = judge

    def _asked(self):
        return [self.faultd.counts(name)["requests"] for name in (self.kind, self.spare)]


@pytest.fixture
def lives(start, faultd, tmp_path):
    return lambda *args, **more: Lives(start, faultd, tmp_path, *args, **more)


@pytest.mark.parametrize("policy", ["failover", "stop"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_may_have_been_sent_is_told_and_not_sent_again(lives, kind, policy):
    one = lives(kind, policy)
    # The first `sending` row is in the log with the claim: from then on it may have been sent.
    one.die("claim", [], 202, [(kind, "unknown")])
    one.die("sending", [], 202, [(kind, "unknown")])
    if kind == "smtp":
        one.die_after_the_dot([kind], 202, [(kind, "unknown")])
    else:
        one.die("left", [kind], 202, [(kind, "unknown")])
    one.die("accepted", [kind], 202, [(kind, "unknown")])
    one.die("written", [kind], 200, [(kind, "accepted")])
    one.begin()


@pytest.mark.parametrize("kind", ["sendgrid", "smtp"])
def test_after_a_failover_from_an_unknown_there_are_two_at_most(lives, faultd, kind):
    one = lives(kind)
    faultd.set(kind, "lost")
    both, unknown = [kind, one.spare], [(kind, "unknown"), (one.spare, "unknown")]
    one.die("sending:2", [kind], 202, unknown)
    # The mail's own step has no place: the spare's is the first.
    one.die("left" if kind == "smtp" else "left:2", both, 202, unknown)
    one.die("accepted", both, 202, unknown)
    one.die("written", both, 200, [(kind, "unknown"), (one.spare, "accepted")])
    one.begin()


def test_with_stop_an_unknown_is_the_end_and_survives(lives, faultd):
    one = lives("twilio", "stop")
    faultd.set("twilio", "lost")
    one.die("written", ["twilio"], 202, [("twilio", "unknown")])
    one.begin()


@pytest.mark.parametrize(("kind", "policy"), [("ses", "failover"), ("smtp", "stop")])
def test_a_crash_in_the_second_attempt_keeps_the_first(lives, faultd, kind, policy):
    one = lives(kind, policy)
    faultd.set(kind, "refuse")
    one.die("sending:2", [], 202, [(kind, "unavailable"), (one.spare, "unknown")])
    faultd.heal()
    one.begin()


@pytest.mark.parametrize(("kind", "policy"), [("twilio", "stop"), ("smtp", "failover")])
def test_what_surely_was_not_sent_runs_again_and_is_sent_once(lives, faultd, kind, policy):
    """No provider can be foreseen, so that the claim stands alone in the log."""
    one = lives(kind, policy)
    for name in (kind, one.spare):
        faultd.set(name, "auth")
    # The first send opens every circuit.
    one.die("claim:2", [], None, [(kind, "accepted")], sends=2)
    faultd.heal()
    one.begin()
    (recovered,) = one.sidecar.events("recovered")
    assert (recovered["attempts"], recovered["deliveries"]) == (0, 1)


def test_a_second_run_of_a_key_is_written_ahead_too(lives, faultd):
    one = lives("twilio", more="breaker: {enabled: false}")
    unknown = [("twilio", "unknown")]
    for point, taken, status, trail in (
        ("sending:3", [], 202, unknown),
        ("left:3", ["twilio"], 202, unknown),
        ("accepted", ["twilio"], 202, unknown),
        ("written:2", ["twilio"], 200, [("twilio", "accepted")]),
    ):
        for name in ("twilio", one.spare):
            faultd.set(name, "status", times=1)
        one.die(point, taken, status, trail, sends=2)
    one.begin()


# The variable


def refused(tmp_path, environ, asked, more=""):
    text = "server: {listen: '127.0.0.1:0'}\nproviders: {twilio: {account_sid: AC"
    text += f"{'0' * 32}, auth_token: canary-twilio-token-0001, sender: '+15005550006'}}}}\n"
    path = tmp_path / "providers.yaml"
    path.write_text(f"{text}chains: {{sms: [twilio]}}\n{more}")
    ended = subprocess.run(
        [sys.executable, "-m", "sidecar", "run", "-c", str(path)],
        cwd=tmp_path,
        env={**environ, "OTP_SIDECAR_CRASH_AT": asked},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 78
    (line,) = ended.stderr.splitlines()
    return line


@pytest.mark.parametrize("asked", ["nowhere", "claim-1", "CLAIM", ":2"])
def test_a_point_that_is_none_is_refused_with_those_that_are(tmp_path, environ, asked):
    assert "there are: claim, sending, left, accepted, written" in refused(tmp_path, environ, asked)


@pytest.mark.parametrize("asked", ["claim:0", "claim:-1", "claim:two", "claim:1:2"])
def test_a_number_that_is_none_is_refused(tmp_path, environ, asked):
    assert "a number from 1" in refused(tmp_path, environ, asked)


def test_the_points_are_described(request):
    text = (request.config.rootpath / "CONTRIBUTING.md").read_text()
    lines = [f"| `{point}` | {means} |" for point, means in POINTS.items()]
    assert "\n".join(lines) in text


def test_production_refuses_to_be_killed(tmp_path, environ):
    line = refused(tmp_path, environ, "claim", more="environment: production\n")
    assert "OTP_SIDECAR_CRASH_AT is for tests" in line
