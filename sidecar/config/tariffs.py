"""A file of tariffs, such as `config/tariffs/2025-10.yaml`: prices by kind or by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from sidecar.config.document import parse
from sidecar.config.draft import Draft
from sidecar.config.faults import FaultLog, Place
from sidecar.config.files import read
from sidecar.config.prices import with_price
from sidecar.config.variables import Expansion
from sidecar.delivery.tariff import Per, Tariff
from sidecar.settings import PriceOverride, Settings


class TariffFile(Settings):
    """What such a file holds."""

    dated: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    source: str = Field(min_length=1)
    tariffs: dict[str, PriceOverride]


def read_tariffs(path: Path) -> Mapping[str, Tariff]:
    """The tariffs in the file at `path`, by kind or name; none has anything but what it says.

    Raises `ConfigFaults`, a `ConfigError`, with every fault and its place.
    """
    faults = FaultLog(str(path))
    try:
        data = read(path)
    except (OSError, ValueError) as error:
        faults.add(Place(), f"cannot be read: {getattr(error, 'strerror', None) or 'its name'}")
        data = b""
    faults.raise_any()
    document = parse(data, faults)
    draft = Draft(document, Expansion(value=document.value), faults)
    found = draft.validated(TariffFile, (), document.value)
    faults.raise_any()
    assert found is not None
    nothing = Tariff(Per.MESSAGE, None, dated=found.dated, source=found.source)
    return {name: with_price(nothing, price) for name, price in found.tariffs.items()}
