"""What a provider costs: its class's tariff, with the file's own price on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sidecar.config.draft import Draft
from sidecar.config.loaded import ProviderSection
from sidecar.config.model import Root
from sidecar.delivery.provider import Provider
from sidecar.delivery.tariff import Per, Tariff
from sidecar.settings import BudgetSection, PriceOverride

HERE = "this configuration"
"""The source of a tariff that the file changes."""


def tariff_of(cls: type[Provider[Any]], price: PriceOverride | None) -> Tariff | None:
    """The tariff in effect; None where neither the class nor the file knows a price."""
    published = cls.tariff
    if price is None:
        return published
    changed = with_price(published or Tariff(Per.MESSAGE, None), price)
    return replace(changed, dated="", source=HERE)


def with_price(base: Tariff, price: PriceOverride) -> Tariff:
    """`base`, but for what `price` says."""
    currency = next(iter(price.currencies()), base.currency)
    if currency != base.currency:  # its own prices say nothing in another currency
        base = replace(base, price=None, countries=MappingProxyType({}), currency=currency)
    unit = price.per_segment or price.per_message
    if unit is not None:
        per = Per.SEGMENT if price.per_segment is not None else Per.MESSAGE
        # Of the published countries none is kept beside a price of the file's own.
        base = replace(base, per=per, price=unit.amount, countries=MappingProxyType({}))
    if price.countries:
        told = {country: amount.amount for country, amount in price.countries.items()}
        base = replace(base, countries=MappingProxyType({**base.countries, **told}))
    if price.free_per_month is not None:
        base = replace(base, free_per_month=price.free_per_month)
    return base


def check_currencies(
    draft: Draft, root: Root | None, providers: Mapping[str, ProviderSection | None]
) -> None:
    """Note a fault where a budget is in another currency than what it is to limit."""
    whole = root.budget if root is not None else None
    for name, section in providers.items():
        if section is None:
            continue
        tariff = section.tariff
        if section.budget is not None:
            path = ("providers", name, "budget")
            if tariff is None or tariff.price is None:
                message = "needs a price: give the provider `price: {per_message: ...}` or so"
                draft.fault(path, message, at_key=True)
            elif tariff.currency != _currency(section.budget):
                draft.fault(path, _other(section, tariff), at_key=True)
        priced = tariff is not None and (tariff.price or tariff.countries)
        if whole and tariff and priced and tariff.currency != _currency(whole):
            draft.fault(("budget",), _other(section, tariff), at_key=True)


def _currency(budget: BudgetSection) -> str:
    return next(iter(budget.currencies()))


def _other(section: ProviderSection, tariff: Tariff) -> str:
    return (
        f"is in another currency than the price of `{section.name}`, which is in {tariff.currency}:"
        " give that provider a `price:` in the budget's currency"
    )
