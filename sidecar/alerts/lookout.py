"""The lookout: makes alerts of what the observers hear, of circuits that open and of fallbacks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from sidecar.alerts.model import Alert, Fact, Tell
from sidecar.delivery.breaker import State
from sidecar.delivery.clock import Clock
from sidecar.delivery.link import Link
from sidecar.delivery.model import Attempt, Delivery, Outcome, SkipReason
from sidecar.delivery.policy import Verdict
from sidecar.hookspecs import hookimpl

CIRCUIT, FALLBACK = "circuit_open", "fallback"
QUIET = 600.0
"""Seconds without a fallback after which the first provider is believed to be back."""

_WELL = frozenset({State.CLOSED, State.DISABLED, State.ISOLATED})
"""States without an alert; who isolates a provider knows of it."""
_BY_CHOICE = frozenset(
    {
        SkipReason.NOT_CONFIGURED,
        SkipReason.DISABLED,
        SkipReason.ISOLATED,
        SkipReason.DEARER,
        SkipReason.SOFT_BUDGET,
    }
)
"""Skips after which the next provider is no fallback: somebody wanted it so."""

NEVER = float("-inf")


@dataclass(slots=True)
class _Channel:
    """What is known of one channel's fallbacks; moments are monotonic seconds.

    `recovered` says that the first provider has taken a message since the last one.
    """

    used_at: float = NEVER
    told_at: float = NEVER
    recovered: bool = False
    active: bool = False


class Lookout:
    """An observer. `links` are all declared providers, as they stand.

    `chains` has the names of the providers of each channel. `fallback_after` is in seconds: a
    fallback is told of at its first use after so long without one, and where fallbacks come again
    and again, at most so often.
    """

    def __init__(
        self,
        tell: Tell,
        links: Callable[[], Iterable[Link]],
        clock: Clock,
        chains: Mapping[str, Collection[str]],
        fallback_after: float = 3600.0,
    ) -> None:
        self.fallback_after = fallback_after
        self._chains = chains
        self._tell = tell
        self._links = links
        self._clock = clock
        self._open: set[str] = set()  # providers that an alert is active for
        self._channels: dict[str, _Channel] = {}

    @hookimpl
    def circuit_changed(self, provider: str, after: str) -> None:
        link = self._link(provider)
        # Told when the delivery has ended: the circuit may have closed by then, or be another's.
        if after == State.OPEN and link is not None and self._why_over(link) is None:
            self._open.add(provider)
            self._tell(_opened(link))
        elif after in _WELL:
            self._close(provider, _well(provider, after))

    @hookimpl
    def delivery_ended(self, delivery: Delivery) -> None:
        taken = delivery.receipt
        if taken is None:
            return
        first = _first_choice(delivery)
        if first.provider != taken.provider:
            self._fell_back(delivery.channel, first, taken)
        elif (channel := self._channels.get(delivery.channel)) is not None:
            channel.recovered = True

    def look(self) -> None:
        """Resolve what is over and nobody told of: an outage ends in silence as a rule."""
        for provider in list(self._open):
            link = self._link(provider)
            if link is None:
                self._close(provider, f"{provider} is no longer configured")
            elif (why := self._why_over(link)) is not None:
                self._close(provider, why)
        now = self._clock.monotonic()
        for name, channel in self._channels.items():
            if channel.active and channel.recovered and channel.used_at + QUIET <= now:
                channel.active = False
                words = f"the first provider of {name} takes messages again"
                self._tell(Alert(FALLBACK, name, words, resolved=True))

    def renew(self, chains: Mapping[str, Collection[str]]) -> None:
        """Other chains from now on; a channel that is not among them is forgotten."""
        self._chains = chains
        for name in self._channels.keys() - chains.keys():
            if self._channels.pop(name).active:
                self._tell(Alert(FALLBACK, name, f"{name} is no longer a channel", resolved=True))

    def _why_over(self, link: Link) -> str | None:
        """Why its circuit is nothing to tell of; None where it is open and in somebody's way."""
        if not link.enabled:  # nor could a trial close it
            return f"{link.name} is disabled"
        if not any(link.name in names for names in self._chains.values()):
            return f"{link.name} is in no chain"
        state = link.breaker.state
        return _well(link.name, state) if state in _WELL else None

    def _close(self, provider: str, summary: str) -> None:
        if provider in self._open:
            self._open.remove(provider)
            self._tell(Alert(CIRCUIT, provider, summary, resolved=True))

    def _fell_back(self, name: str, first: Attempt, taken: Attempt) -> None:
        if name not in self._chains:  # a reload took it away while this one was under way
            return
        channel = self._channels.setdefault(name, _Channel())
        now = self._clock.monotonic()
        due = now - self.fallback_after
        fresh = channel.used_at <= due or channel.told_at <= due
        channel.used_at, channel.recovered = now, False
        if fresh and not channel.active:
            channel.active, channel.told_at = True, now
            self._tell(_fallback(name, first, taken))

    def _link(self, name: str) -> Link | None:
        return next((link for link in self._links() if link.name == name), None)


def _first_choice(delivery: Delivery) -> Attempt:
    """The attempt at the provider that would have had the message on a good day."""
    for attempt in delivery.attempts:
        if attempt.tried or attempt.reason not in _BY_CHOICE:
            return attempt
    raise AssertionError("a delivery that was accepted has an attempt that was made")


def _opened(link: Link) -> Alert:
    reason = link.breaker.reason or "unknown"
    facts: dict[str, Fact] = {"kind": link.kind, "reason": reason}
    wait = link.breaker.seconds_to_half_open()
    if wait is not None:
        facts["tried_again_in_seconds"] = round(wait, 1)
    if reason == Verdict.MISCONFIGURED:
        words = f"{link.name} cannot be used{_because(link)}: mend it, then reload"
        return Alert(CIRCUIT, link.name, words, facts=facts, level="error")
    words = f"the circuit of {link.name} is open, {reason}: it is passed by until a trial succeeds"
    return Alert(CIRCUIT, link.name, words, facts=facts)


def _because(link: Link) -> str:
    """`, the API key was not accepted`, or `allow_private` is missing: who mends it has to know."""
    last = link.last_error
    misconfigured = last is not None and last.outcome is Outcome.MISCONFIGURED
    return f", {last.reason}" if last and misconfigured and last.reason else ""


def _well(provider: str, state: str) -> str:
    return f"the circuit of {provider} is {state}{' again' if state == State.CLOSED else ''}"


def _fallback(channel: str, first: Attempt, taken: Attempt) -> Alert:
    why = first.outcome.value if first.tried else str(first.reason)
    words = f"{channel} goes by {taken.provider}: {first.provider} is {why}"
    facts: dict[str, Fact] = {"provider": taken.provider, "first": first.provider, "because": why}
    return Alert(FALLBACK, channel, words, facts=facts)
