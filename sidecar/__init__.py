"""OTP Sidecar: one-time codes get through, whichever provider has a bad day.

This is a plugin author's one import. Names that need a heavy library are loaded when first used, so
that commands such as `otp-sidecar health` stay quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
from sidecar.delivery.model import Message, Receipt
from sidecar.delivery.provider import AccountReport, AccountState, InboxItem, Provider
from sidecar.delivery.segments import Segments, count_segments

if TYPE_CHECKING:
    from sidecar.hookspecs import hookimpl
    from sidecar.settings import Duration, ProviderConfig, Secret
    from sidecar.transport import (
        HttpTransport,
        Reply,
        error_for_status,
        open_socket,
        tls_context,
    )

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
    "PluginNotFound",
    "Provider",
    "ProviderConfig",
    "Receipt",
    "Refused",
    "Rejected",
    "Reply",
    "Secret",
    "Segments",
    "Throttled",
    "Unavailable",
    "Unknown",
    "__version__",
    "count_segments",
    "error_for_status",
    "hookimpl",
    "open_socket",
    "tls_context",
]

_LAZY = {
    "hookimpl": "sidecar.hookspecs",
    "Duration": "sidecar.settings",
    "ProviderConfig": "sidecar.settings",
    "Secret": "sidecar.settings",
    "HttpTransport": "sidecar.transport",
    "Reply": "sidecar.transport",
    "error_for_status": "sidecar.transport",
    "open_socket": "sidecar.transport",
    "tls_context": "sidecar.transport",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
