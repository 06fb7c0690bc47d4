"""The fixtures of the black-box tests, for disks that fail the log."""

from harness.fixtures import environ, start, vendor

__all__ = ["environ", "start", "vendor"]  # fixtures, found by their names
