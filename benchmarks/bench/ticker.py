"""Moments to the microsecond on an event loop, whose own timers are whole milliseconds."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable

_ABSOLUTE = 1  # TFD_TIMER_ABSTIME, Linux's <sys/timerfd.h>
_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Ticker:
    """Calls `tick` on `loop` once for each `at`; a later `at` replaces an earlier one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: Callable[[], None]) -> None:
        self._loop = loop
        self._tick = tick
        self._timer = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._timer < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        loop.add_reader(self._timer, self._rung)

    def at(self, moment: float) -> None:
        """Ring at `moment`, in seconds of `time.monotonic`; at once where it has passed."""
        seconds, rest = divmod(max(moment, 1e-9), 1.0)
        timer = _Timer(_Timespec(0, 0), _Timespec(int(seconds), max(1, int(rest * 1e9))))
        if _libc.timerfd_settime(self._timer, _ABSOLUTE, ctypes.byref(timer), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        self._loop.remove_reader(self._timer)
        os.close(self._timer)

    def _rung(self) -> None:
        try:
            os.read(self._timer, 8)
        except BlockingIOError:  # set anew between the ring and this
            return
        self._tick()
