"""The fixtures of the black-box tests, for guests that misbehave."""

from harness.fixtures import ctrl_c_is_heard, environ, start, vendor

__all__ = ["ctrl_c_is_heard", "environ", "start", "vendor"]  # fixtures, found by their names
