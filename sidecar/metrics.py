"""Prometheus metrics: counters kept by an observer, gauges computed from the state when scraped."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar import __version__
from sidecar.delivery.account import STATES
from sidecar.delivery.breaker import State
from sidecar.delivery.model import Attempt, Delivery, Outcome
from sidecar.delivery.policy import ABSENT
from sidecar.dispatcher import Dispatcher
from sidecar.hookspecs import hookimpl
from sidecar.money.books import Books
from sidecar.money.gauges import BudgetGauges, Links
from sidecar.reload import ReloadState
from sidecar.tallies import Durations, Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Hears of deliveries; `page()` is the text format. Labels come from the configuration only."""

    def __init__(self) -> None:
        self.registry = reg = CollectorRegistry()
        self._requests = Tally(
            "otp_requests", "Sends that ended, by status.", ["channel", "status"], reg
        )
        self._request_seconds = Durations(
            "otp_request_duration_seconds",
            "Time from the claim to the answer.",
            ["channel", "status"],
            _BUCKETS,
            reg,
        )
        self._attempts = Tally(
            "otp_attempts", "Attempts, by outcome.", ["channel", "provider", "outcome"], reg
        )
        self._attempt_seconds = Durations(
            "otp_attempt_duration_seconds",
            "Time of one attempt.",
            ["channel", "provider"],
            _BUCKETS,
            reg,
        )
        self._failovers = Tally(
            "otp_failovers",
            "Steps from one provider to the next.",
            ["channel", "from", "to", "reason"],
            reg,
        )
        self._transitions = Tally(
            "otp_breaker_transitions", "Changes of a circuit's state.", ["provider", "to"], reg
        )
        self._unknown = Tally(
            "otp_unknown", "Attempts that may have been taken.", ["provider"], reg
        )
        self._cost = Tally(
            "otp_cost", "What attempts cost that may be billed.", ["provider", "currency"], reg
        )
        self._shed = Tally("otp_shed", "Sends that were not begun.", ["reason"], reg)
        self.alerts = Tally("otp_alerts", "Alerts that were told.", ["event"], reg)
        self.alert_webhook = Tally(
            "otp_alert_webhook", "What became of alerts' POSTs.", ["result"], reg
        )
        self.alerts_active = Gauge("otp_alerts_active", "Alerts that are active.", registry=reg)
        self.loop_lag = _gauge_of_lag(reg)
        _show_build(reg)

    def watch(
        self, dispatcher: Dispatcher, links: Links, reloads: Callable[[], ReloadState]
    ) -> None:
        """Compute the gauges from these when scraped."""
        self.registry.register(_State(dispatcher, links, reloads))

    def watch_money(self, books: Books, links: Links) -> None:
        """Show what is spent of each budget when scraped."""
        self.registry.register(BudgetGauges(books, links))

    def shed(self, reason: str) -> None:
        """Count a send that was declined before it began."""
        self._shed.add(reason)

    def page(self) -> bytes:
        return generate_latest(self.registry)

    @hookimpl
    def delivery_ended(self, delivery: Delivery) -> None:
        channel, status = delivery.channel, delivery.status
        self._requests.add(channel, status)
        if delivery.ended_at is not None:
            seconds = max(0.0, delivery.ended_at - delivery.started_at)
            self._request_seconds.observe(seconds, channel, status)
        for attempt in delivery.attempts:
            provider, outcome = attempt.provider, attempt.outcome
            self._attempts.add(channel, provider, outcome)
            if attempt.tried:
                self._attempt_seconds.observe(attempt.seconds, channel, provider)
            if outcome is Outcome.UNKNOWN:
                self._unknown.add(provider)
            cost = attempt.cost
            if cost is not None and cost.amount:
                self._cost.add(provider, cost.currency, by=cost.amount)
        if len(delivery.attempts) > 1:
            self._count_steps(channel, delivery.attempts)

    def _count_steps(self, channel: str, attempts: Sequence[Attempt]) -> None:
        for one, following in pairwise(a for a in attempts if a.reason not in ABSENT):
            why = one.outcome if one.tried else one.reason or ""
            self._failovers.add(channel, one.provider, following.provider, why)

    @hookimpl
    def circuit_changed(self, provider: str, before: str, after: str) -> None:
        del before
        self._transitions.add(provider, after)


def _show_build(registry: CollectorRegistry) -> None:
    build = Gauge("otp_build_info", "What is running.", ["version", "python"], registry=registry)
    build.labels(__version__, platform.python_version()).set(1)


def _gauge_of_lag(registry: CollectorRegistry) -> Gauge:
    text = "The longest delay of the event loop within the last minute."
    return Gauge("otp_event_loop_lag_seconds", text, registry=registry)


class _State(Collector):
    def __init__(
        self, dispatcher: Dispatcher, links: Links, reloads: Callable[[], ReloadState]
    ) -> None:
        self._dispatcher = dispatcher
        self._links = links
        self._reloads = reloads

    def collect(self) -> Iterator[Metric]:
        breakers = GaugeMetricFamily(
            "otp_breaker_state", "1 for the state a circuit is in.", labels=["provider", "state"]
        )
        zombies = GaugeMetricFamily(
            "otp_zombie_attempts", "Attempts abandoned and still running.", labels=["provider"]
        )
        for link in self._links():
            state = link.breaker.state
            for one in State:
                breakers.add_metric([link.name, one.value], float(one is state))
            zombies.add_metric([link.name], link.zombies)
        yield breakers
        yield self._accounts()
        yield zombies
        yield self._inflight()
        yield _gauge("otp_log_unwritten", "Ended sends the log lacks.", self._dispatcher.unwritten)
        replays = CounterMetricFamily("otp_idempotent_replays", "Answers given from the log.")
        replays.add_metric([], self._dispatcher.replays)
        yield replays
        reloads = self._reloads()
        yield _gauge(
            "otp_config_last_reload_successful",
            "1 where the configuration in effect is the latest that was seen.",
            float(reloads.error is None),
        )
        yield _gauge(
            "otp_config_last_reload_success_timestamp_seconds",
            "When the configuration in effect was loaded.",
            reloads.loaded_at,
        )

    def _accounts(self) -> Metric:
        text = "1 for the state that the latest check of an account found."
        family = GaugeMetricFamily("otp_account_state", text, labels=["provider", "state"])
        for link in self._links():
            for state in STATES:
                found = state == link.standing.account.finding.state
                family.add_metric([link.name, state], float(found))
        return family

    def _inflight(self) -> Metric:
        family = GaugeMetricFamily("otp_inflight", "Sends under way.", labels=["channel"])
        for channel, count in self._dispatcher.by_channel().items():
            family.add_metric([channel], count)
        return family


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family
