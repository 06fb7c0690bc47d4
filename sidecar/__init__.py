"""OTP Sidecar: one-time codes get through, whichever provider has a bad day.

A plugin author's one import. Every name is loaded when it is first used, so that a health probe
pays for none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidecar.delivery.errors import (
        ConfigError,
        DeliveryError,
        LocalFault,
        Misconfigured,
        PluginNotFound,
        Refused,
        Rejected,
        Throttled,
        Unavailable,
        Unknown,
    )
    from sidecar.delivery.model import Message, Money, Receipt
    from sidecar.delivery.provider import AccountReport, AccountState, InboxItem, Provider
    from sidecar.delivery.segments import Segments, count_segments
    from sidecar.delivery.tariff import Tariff
    from sidecar.delivery.verified import Verified
    from sidecar.hookspecs import hookimpl
    from sidecar.network import open_socket, tls_context
    from sidecar.secret_source import NoSecret, SecretSource
    from sidecar.settings import Duration, ProviderConfig, Secret
    from sidecar.transport import HttpTransport, Reply, error_for_status

__version__ = "0.1.0"

__all__ = [
    "AccountReport",
    "AccountState",
    "ConfigError",
    "DeliveryError",
    "Duration",
    "HttpTransport",
    "InboxItem",
    "LocalFault",
    "Message",
    "Misconfigured",
    "Money",
    "NoSecret",
    "PluginNotFound",
    "Provider",
    "ProviderConfig",
    "Receipt",
    "Refused",
    "Rejected",
    "Reply",
    "Secret",
    "SecretSource",
    "Segments",
    "Tariff",
    "Throttled",
    "Unavailable",
    "Unknown",
    "Verified",
    "__version__",
    "count_segments",
    "error_for_status",
    "hookimpl",
    "open_socket",
    "tls_context",
]

_ROOMS = {
    "sidecar.delivery.errors": "ConfigError DeliveryError LocalFault Misconfigured PluginNotFound"
    " Refused Rejected Throttled Unavailable Unknown",
    "sidecar.delivery.model": "Message Money Receipt",
    "sidecar.delivery.provider": "AccountReport AccountState InboxItem Provider",
    "sidecar.delivery.segments": "Segments count_segments",
    "sidecar.delivery.tariff": "Tariff",
    "sidecar.delivery.verified": "Verified",
    "sidecar.hookspecs": "hookimpl",
    "sidecar.network": "open_socket tls_context",
    "sidecar.secret_source": "NoSecret SecretSource",
    "sidecar.settings": "Duration ProviderConfig Secret",
    "sidecar.transport": "HttpTransport Reply error_for_status",
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_ROOM_OF[name]), name)
    globals()[name] = value  # the next look-up does not come here
    return value
