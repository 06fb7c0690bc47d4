"""Fixtures of the tests of commands."""

from __future__ import annotations

from harness.fixtures import command, ctrl_c_is_heard, environ, stub

__all__ = ["command", "ctrl_c_is_heard", "environ", "stub"]  # fixtures, found by their names
