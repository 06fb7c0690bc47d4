"""The base of the file's sections."""

from __future__ import annotations

from sidecar.settings import Settings

ELSEWHERE = "elsewhere"
"""The type of an error that belongs to the key in its context, not to the section."""


class Section(Settings):
    """The base of these. A duration has a description already, so theirs must be given, not below.

    Not pydantic's `use_attribute_docstrings`: it would parse this file for every class, 35 ms of
    every start.
    """
