"""Fixtures of the tests of commands."""

from harness.fixtures import command, environ

__all__ = ["command", "environ"]  # fixtures, found by their names
