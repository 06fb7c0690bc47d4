"""What an operator should hear of at once: told by anybody, written once, and sent to a webhook."""

from sidecar.alerts.model import Alert, Tell

__all__ = ["Alert", "Tell"]
