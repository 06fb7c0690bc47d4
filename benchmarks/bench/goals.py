"""The goals G1 to G14 with their columns, and which column a reading reaches."""

from __future__ import annotations

from dataclasses import dataclass

from bench.stats import Reading

FLAT = 1.05
"""What counts as flat: at most 5 % more memory, the bound that `make soak` keeps too."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure that a goal asks for. `more`: a larger figure is a better one."""

    key: str
    what: str
    unit: str
    more: bool
    must: float | None
    target: float | None = None
    stretch: float | None = None

    @property
    def number(self) -> str:
        """`G3` of `G3.sns`."""
        return self.key.partition(".")[0]

    def reached(self, reading: Reading | None) -> str:
        """The best column that the median reaches, `MISSED`, or that it was not measured."""
        if reading is None:
            return "not measured"
        columns = {"stretch": self.stretch, "target": self.target, "must": self.must}
        for name, bound in columns.items():
            if bound is not None and self._keeps(reading.median, bound):
                return name
        lowest = next(n for n, bound in reversed(columns.items()) if bound is not None)
        return f"MISSED ({lowest})"

    def _keeps(self, value: float, bound: float) -> bool:
        return value >= bound if self.more else value <= bound


_SDK = "sends/s at c=64 against the official SDK in 64 threads behind aiohttp"
_CLIENT = "CPU of the provider's `send()` against a raw POST through the same transport"
_RSS = "RSS"

GOALS = (
    Goal("G1", "sends/s at c=64, SES v2 over TLS, against a bare plain-text aiohttp proxy",
         "x", True, 1.0, 1.5, 2.5),
    Goal("G2", "sends/s at c=64 against notifme-sdk behind node's http", "x", True, 1.0, 1.5, 3.0),
    Goal("G3.ses", f"{_SDK}: SES", "x", True, 4.0, 6.0, 11.0),
    Goal("G3.sns", f"{_SDK}: SNS", "x", True, 4.0, 6.0, 11.0),
    Goal("G3.twilio", f"{_SDK}: Twilio", "x", True, 4.0, 6.0, 11.0),
    Goal("G3.sendgrid", f"{_SDK}: SendGrid", "x", True, 4.0, 6.0, 11.0),
    Goal("G3.sendgrid_plain", f"{_SDK}: SendGrid, that one in plain text", "x", True,
         4.0, 6.0, 11.0),
    Goal("G3.apprise", "sends/s at c=64, SendGrid, against Apprise behind gunicorn",
         "x", True, 8.0, 15.0, 30.0),
    Goal("G4", "added p50 at one in flight, over calling the stub", "ms", False, 0.6, 0.4, 0.25),
    Goal("G5.p50", "added p50 at 500/s, upstream 100 ms", "ms", False, 1.0, 0.5, 0.3),
    Goal("G5.p99", "added p99 at 500/s, upstream 100 ms", "ms", False, 3.0, 1.0, 1.0),
    Goal("G6.goodput", "2,000 in flight at 500 ms upstream: goodput against the ideal 4,000/s",
         "", True, 0.85, 0.97, 0.99),
    Goal("G6.cpu", "CPU a send at 2,000 in flight against that at 100", "x", False,
         1.3, 1.15, 1.05),
    Goal("G7.never", "connections never served in an overload of 2,000", "", False, 0.0),
    Goal("G7.fair", "the least served of these connections against their mean", "", True,
         None, 0.5, 0.8),
    Goal("G8.ses", f"{_CLIENT}: SES", "x", False, 2.0, 1.5, 1.2),
    Goal("G8.twilio", f"{_CLIENT}: Twilio", "x", False, 2.0, 1.5, 1.2),
    Goal("G8.sendgrid", f"{_CLIENT}: SendGrid", "x", False, 2.0, 1.5, 1.2),
    Goal("G9", "SMTP mails/s over kept STARTTLS sessions against `aiosmtplib.send()` per mail",
         "x", True, 5.0, 7.0, 10.0),
    Goal("G10.failing", "a failing provider first: extra CPU against one more POST", "x", False,
         1.2),
    Goal("G10.open", "a provider first whose circuit is open: extra CPU", "%", False,
         3.0, 2.0, 1.0),
    Goal("G11", "durable claim and attempt rows: CPU a send", "us", False, 100.0, 50.0, 15.0),
    Goal("G12.default", f"{_RSS} when ready, default file", "MB", False, 55.0, 45.0, 34.0),
    Goal("G12.six", f"{_RSS} when ready, all six kinds", "MB", False, 80.0, 60.0, 45.0),
    Goal("G12.crowd", f"{_RSS} with 2,000 in flight", "MB", False, 110.0, 75.0, 55.0),
    Goal("G13.default", "exec to ready, default file", "ms", False, 600.0, 350.0, 150.0),
    Goal("G13.six", "exec to ready, all six kinds", "ms", False, 800.0, 500.0, 250.0),
    Goal("G14.rss", "RSS after 100,000 sends against that after 50,000", "x", False, FLAT),
    Goal("G14.rows", "CPU a send with 10^6 rows in the log against 10^3", "x", False, 1.1),
)  # fmt: skip
