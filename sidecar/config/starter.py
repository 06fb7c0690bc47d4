"""The commented file that a person begins with."""

from __future__ import annotations

from importlib.resources import files


def starter() -> str:
    """The text of `providers.yaml` as it is shipped, for `otp-sidecar config init`."""
    return files("sidecar").joinpath("starter.yaml").read_text(encoding="utf-8")
