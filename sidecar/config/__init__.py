"""The configuration: one strict YAML file becomes a frozen `Config`, or an error with all faults.

The way of a file: `document` (YAML with places), `variables` (`${...}` and `.env`), `model` and the
plugins' own settings (judged in `providers` and `chains`, put into words by `words`), `show` (what
is in effect, and why) and `schema` (what an editor completes from).
"""

from sidecar.config.addresses import TcpAddress, UnixAddress
from sidecar.config.alerting import Alerts
from sidecar.config.faults import ConfigFaults, Fault
from sidecar.config.files import glance, have_changed, look
from sidecar.config.loaded import Config, ProviderSection
from sidecar.config.loader import load
from sidecar.config.model import ChainSection, Limits, Log, Server
from sidecar.config.remarks import remarks
from sidecar.config.schema import schema
from sidecar.config.show import effective
from sidecar.config.starter import starter

__all__ = [
    "Alerts",
    "ChainSection",
    "Config",
    "ConfigFaults",
    "Fault",
    "Limits",
    "Log",
    "ProviderSection",
    "Server",
    "TcpAddress",
    "UnixAddress",
    "effective",
    "glance",
    "have_changed",
    "load",
    "look",
    "remarks",
    "schema",
    "starter",
]
