"""`otp-sidecar alerts test`: one alert of nothing, sent at once, and what came of it."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from sidecar import logs, transport
from sidecar.alerts.courier import ask, why
from sidecar.alerts.letter import Letter, body_of, headers_of, new_id
from sidecar.alerts.model import Alert
from sidecar.alerts.signing import key_of
from sidecar.config import Config
from sidecar.delivery.errors import DeliveryError


def send_trial(config: Config) -> dict[str, Any]:
    """Send it by the settings of `config`; whether it was `delivered`.

    `status` is that of the answer, or None without one; `summary` a sentence, without a secret.
    """
    if config.alerts.webhook is None:
        return {"delivered": False, "status": None, "summary": "alerts.webhook is not set"}
    logs.redactor.add(config.secrets)
    logs.configure(stream=sys.stderr)
    transport.use(config.http_client)
    return asyncio.run(_send(config))


async def _send(config: Config) -> dict[str, Any]:
    settings = config.alerts
    assert settings.webhook is not None
    alert = Alert("test", "alerts", "this is a test: nothing is wrong")
    letter = Letter(new_id(), alert, time.time(), 0.0, 0.0)
    body = body_of(letter, config.environment)
    keys = [key_of(one.get_secret_value()) for one in settings.secret]
    headers = headers_of(letter.id, keys, int(time.time()), body)
    wire = transport.HttpTransport(allow_private=settings.allow_private)
    status = None
    try:
        reply = await ask(wire, settings.webhook, headers, body)
        status, said = reply.status, f"answered {reply.status}"
    except DeliveryError as error:
        said = why(error)
    finally:
        await wire.close()
    delivered = status is not None and 200 <= status < 300
    # The host alone: what else a URL has may be a secret.
    host = urlsplit(settings.webhook).netloc
    summary = f"{host}: {said}" if delivered else f"{host}: not delivered, {said}"
    return {"delivered": delivered, "status": status, "summary": logs.redactor.clean(summary)}
