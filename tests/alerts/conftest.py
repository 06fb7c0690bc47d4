"""What a test of alerts needs: a clock, a road to a receiver, and what was said."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from harness.alerting import Road
from harness.webhooks import KEY, secret_of
from sidecar.config import Alerts
from sidecar.testing import Answer, ManualClock, stub_server


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def logged():
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def road(clock):
    """Open a road whose stub says these answers, the last one again and again."""
    async with AsyncExitStack() as stack:

        async def begin(*answers, keys=(KEY,)):
            stub = await stack.enter_async_context(stub_server(*(answers or (Answer(204),))))
            secrets = [secret_of(key) for key in keys]
            url = f"{stub.url}/alerts"
            one = Road(stub, clock, Alerts(webhook=url, secret=secrets, allow_private=True))
            one.courier.start()
            stack.push_async_callback(one.courier.close)
            return one

        yield begin
