"""The fixtures of the black-box tests, for clocks that jump and processes that stand still."""

from harness.fixtures import environ, start, vendor

__all__ = ["environ", "start", "vendor"]  # fixtures, found by their names
