"""The courier: brings alerts to the webhook, one at a time, and again where that failed.

A task of its own; whoever tells an alert only puts a letter into a bounded bag. What the receiver
does - hang, fail, vanish - holds up the letters and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog

from sidecar.alerts.bag import Bag
from sidecar.alerts.letter import LIFE, TRIES, Letter, body_of, headers_of, new_id
from sidecar.alerts.model import Alert
from sidecar.alerts.signing import key_of
from sidecar.config import Alerts
from sidecar.delivery.clock import Clock
from sidecar.delivery.errors import DeliveryError
from sidecar.lasting import Lasting
from sidecar.transport import BodyLost, HttpTransport, Reply

TIMEOUT = 10.0
"""Seconds for one POST. Acknowledging takes none; the next try brings what took longer."""
LONGEST_REST = 3_600.0
"""Seconds of the longest `Retry-After` that is believed."""
LAST_TRY = 0.5
"""Seconds at the end for what was told in the drain, where that took all the time."""
GONE = 410

Count = Callable[[str], None]


class Courier:
    """Sends what `post` is given. `count` hears how each ended: delivered, failed or dropped.

    `wall` gives the machine's own time, in Unix seconds: receivers compare it with theirs.
    """

    def __init__(
        self,
        settings: Alerts,
        environment: str,
        clock: Clock,
        count: Count,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._count = count
        self._wall = wall
        self._bag = Bag()
        self._task: Lasting | None = None
        self._woken: asyncio.Future[None] | None = None
        self._transport: HttpTransport | None = None
        self._private = False
        self._end: float | None = None  # of the hurry, on the event loop's clock
        self._closing = False
        self._failing = self._full = False  # what was said already
        self._gone = False
        self._rests_until = 0.0
        self._take(settings, environment)

    def post(self, alert: Alert, at: float) -> None:
        """Take an alert that happened `at`, in Unix seconds; it goes on its way in a moment."""
        if self._settings.webhook is None:
            return
        now = self._clock.monotonic()
        if self._bag.put(Letter(new_id(), alert, at, now, now)):
            self._count("dropped")
            if not self._full:
                self._full = True
                _say("warning", "alerts_dropped", do="see to the webhook: its queue is full")
        self._wake()

    def renew(self, settings: Alerts, environment: str) -> None:
        """Other settings from now on; what waits is tried by them."""
        if self._gone or settings != self._settings:
            self._gone, self._rests_until = False, 0.0
            self._bag.all_due(self._clock.monotonic())
        self._take(settings, environment)
        self._wake()

    def start(self) -> None:
        if self._settings.webhook is not None:
            self._dial()  # loads certificates, which no send should wait for
        self._task = Lasting(self._run)

    def hurry(self, seconds: float) -> None:
        """The process ends: from now on nothing waits for its time, and `seconds` are left."""
        self._end = asyncio.get_running_loop().time() + seconds
        self._wake()

    async def close(self) -> None:
        """End, when everything was tried once more or the time of the hurry is over."""
        if self._task is None:
            return
        self._closing = True
        self._wake()
        now = asyncio.get_running_loop().time()
        await self._task.end(max(LAST_TRY, (self._end or now) - now))
        if left := self._bag.empty():
            for _ in range(left):
                self._count("dropped")
            _say("warning", "alerts_unsent", alerts=left)
        await self._hang_up()

    # The task

    async def _run(self) -> None:
        while True:
            now = self._clock.monotonic()
            for stale in self._bag.older_than(now - LIFE):
                self._give_up(stale)
            letter = self._bag.next(now, hurry=self._end is not None) if self._may() else None
            if letter is not None:
                await self._bring(letter)
            elif self._closing:
                return
            else:
                await self._rest(now)

    def _may(self) -> bool:
        rests = self._clock.monotonic() < self._rests_until
        return self._settings.webhook is not None and not (self._gone or rests)

    async def _rest(self, now: float) -> None:
        """Until a letter is due, or somebody comes."""
        idle = self._end is not None or self._gone or self._settings.webhook is None
        due = now + LIFE if idle else max(self._bag.next_due(), self._rests_until)
        self._woken = asyncio.get_running_loop().create_future()
        await self._clock.wait(self._woken, min(max(0.0, due - now), LIFE))
        self._woken = None

    async def _bring(self, letter: Letter) -> None:
        letter.tries += 1
        letter.hurried = self._end is not None
        self._bag.out, asked = letter, self._settings
        answer: Reply | str
        try:
            answer = await self._ask(letter)
        except DeliveryError as error:
            answer = why(error)
        except Exception as error:  # noqa: BLE001  # the task must live on, whatever it is
            answer = type(error).__name__
        finally:
            self._bag.out = None
        if isinstance(answer, Reply) and 200 <= answer.status < 300:
            self._delivered(letter)
            return
        if isinstance(answer, Reply) and asked is self._settings:  # else another's answer
            self._heed(answer)
        self._failed(letter, answer)

    async def _ask(self, letter: Letter) -> Reply:
        url = self._settings.webhook
        assert url is not None
        body = body_of(letter, self._environment)
        headers = headers_of(letter.id, self._keys, int(self._wall()), body)
        if self._transport is not None and self._private is not self._settings.allow_private:
            await self._hang_up()
        transport = self._transport or self._dial()
        return await ask(transport, url, headers, body)

    # What follows

    def _delivered(self, letter: Letter) -> None:
        self._bag.remove(letter)
        self._count("delivered")
        if self._failing:
            _say("info", "alert_webhook_works")
        self._failing = self._full = False

    def _heed(self, answer: Reply) -> None:
        """Do as the receiver wants: no more at all, or not before a moment."""
        if answer.status == GONE:
            self._gone = True
            do = "see to the webhook, then reload: nothing is sent there until then"
            _say("error", "alert_webhook_gone", why=f"answered {GONE}", do=do)
        rest = min(answer.retry_after() or 0.0, LONGEST_REST)
        self._rests_until = max(self._rests_until, self._clock.monotonic() + rest)

    def _failed(self, letter: Letter, answer: Reply | str) -> None:
        if not (self._failing or self._gone):
            self._failing = True
            told = f"answered {answer.status}" if isinstance(answer, Reply) else answer
            _say("warning", "alert_webhook_failed", why=told)
        if letter.tries >= TRIES:
            self._give_up(letter)
        else:
            letter.put_off(self._clock.monotonic())

    def _give_up(self, letter: Letter) -> None:
        self._bag.remove(letter)
        self._count("failed")
        _say(
            "error",
            "alert_webhook_gave_up",
            alert=letter.alert.event,
            subject=letter.alert.subject,
            tries=letter.tries,
        )

    # Small things

    def _take(self, settings: Alerts, environment: str) -> None:
        self._settings = settings
        self._environment = environment
        self._keys = [key_of(one.get_secret_value()) for one in settings.secret]

    def _dial(self) -> HttpTransport:
        self._private = self._settings.allow_private
        self._transport = HttpTransport(allow_private=self._private)
        return self._transport

    async def _hang_up(self) -> None:
        old, self._transport = self._transport, None
        if old is not None:
            await old.close()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


async def ask(transport: HttpTransport, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
    """What the webhook answers to one POST. Raises `DeliveryError` where it answers nothing."""
    try:
        return await transport.request("POST", url, headers=headers, body=body, timeout=TIMEOUT)
    except BodyLost as error:
        return Reply(*error.head)  # its status has said it all: nobody reads the body


def why(error: DeliveryError) -> str:
    """Why no answer came. The transport's own sentences are made for providers."""
    return error.reason.replace("the provider", "the webhook")


def _say(level: str, event: str, **facts: object) -> None:
    getattr(structlog.get_logger(), level)(event, **facts)
