"""The fixtures of the black-box tests, for guests that misbehave."""

from harness.fixtures import environ, start, vendor

__all__ = ["environ", "start", "vendor"]  # fixtures, found by their names
