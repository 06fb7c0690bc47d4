"""The fixtures of the black-box tests, for more sends than there is room for."""

from harness.fixtures import environ, start, vendor

__all__ = ["environ", "start", "vendor"]  # fixtures, found by their names
