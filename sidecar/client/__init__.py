"""The app's side: send a one-time code through the sidecar. Standard library alone.

    from sidecar.client import Client, MaybeSent, NotSent, Rejected

    client = Client()  # one for the whole app; AsyncClient is its like for asyncio
    answer = client.send(channel="sms", to=number, text=text, key=f"login-{attempt.id}")

The contract:

1. One key for each login attempt, not for each try: a try again has the same key and the same
   message; a new code (the user asked for another) has a new one. No number, no code in a key.
2. `NotSent` (502, 503, 504): surely not sent. Try again under the same key, after `retry_after`.
3. `MaybeSent` (connection lost, no answer in time): ask again under the same key. Within 24 hours
   that settles what became of it, and never sends twice.
4. An answer that is `unknown` (202), and a `MaybeSent` that cannot be settled: treat it as sent.
   Show the page for entering the code and offer a resend; send no second code by yourself.
5. `InFlight` (409): the same key is under way elsewhere. Ask again under it after `retry_after`.
6. `Rejected` (422): tell the user. `BadRequest`: mend the app. Neither gets better by a retry.

Nothing is tried again unless `retries` says so. The one exception is a kept connection that ends
without a byte of an answer: the same request, under the same key, goes once more on a fresh one.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sidecar.client.answer import Answer, Attempt, Cost
from sidecar.client.blocking import Client
from sidecar.client.errors import (
    BadReply,
    BadRequest,
    InFlight,
    MaybeSent,
    NoAnswer,
    NotSent,
    Rejected,
    SendError,
    Unreachable,
)

if TYPE_CHECKING:
    from sidecar.client.aio import AsyncClient

__all__ = [
    "Answer",
    "AsyncClient",
    "Attempt",
    "BadReply",
    "BadRequest",
    "Client",
    "Cost",
    "InFlight",
    "MaybeSent",
    "NoAnswer",
    "NotSent",
    "Rejected",
    "SendError",
    "Unreachable",
]


def __getattr__(name: str) -> Any:
    if name != "AsyncClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    client = import_module("sidecar.client.aio").AsyncClient  # asyncio costs 30 ms
    globals()[name] = client
    return client
