"""The books: what each provider has cost this month and today, and whether one more may be sent.

They live in memory, on the event loop, and are what the log says at every start. Money is kept
aside before a provider is called and spent, or let go, when it is known what became of the call; so
of fifty that want the last of a budget one gets it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from decimal import Decimal
from weakref import WeakSet

from sidecar.alerts import Tell
from sidecar.delivery.clock import Clock
from sidecar.delivery.model import ZERO, Bill, Message, Money, SkipReason
from sidecar.delivery.tariff import Tariff
from sidecar.money.alarms import Alarms
from sidecar.money.budget import Account, Budget, Slate, Today, Units, Window
from sidecar.money.region import country_of
from sidecar.store.costs import DayCosts

WHOLE = ""
"""The name under which all providers together are kept: no provider can have it."""

SOON = 1.0
"""Seconds after which money that is only kept aside may have come back."""

_Name = tuple[str, str, Window]


class Books:
    """Everything that was spent in the month and on the day that are now (UTC).

    `whole` is the budget of all providers together, `budgets` has those of each, as they stand;
    None where no configuration said so yet.
    `tell` hears when a budget is nearly spent.
    """

    def __init__(self, clock: Clock, tell: Tell = lambda _: None) -> None:
        self._whole: Budget | None = None
        self._tills: WeakSet[ProviderTill] = WeakSet()
        self.budgets: dict[str, Budget | None] | None = None
        self.slates: set[Slate] = set()  # those with something on them
        self._clock = clock
        self._alarms = Alarms(tell)
        self._accounts: dict[_Name, Account] = {}
        self._units: dict[str, Units] = {}
        self._today = Today.at(clock.time())

    @property
    def whole(self) -> Budget | None:
        return self._whole

    @whole.setter
    def whole(self, budget: Budget | None) -> None:
        self._whole = budget
        for till in self._tills:
            till.is_limited = till.budget is not None or budget is not None

    def restore(self, costs: Iterable[DayCosts]) -> None:
        """Begin with what the log says was spent since the month began."""
        today = self.today()
        for one in costs:
            if not one.day.startswith(today.month):
                continue
            self.units_of(one.provider).used += one.units
            for name in (one.provider, WHOLE):
                self.account(name, one.currency, Window.MONTH).spent += one.amount
                if one.day == today.day:
                    self.account(name, one.currency, Window.DAY).spent += one.amount

    def till(self, name: str, tariff: Tariff, budget: Budget | None) -> ProviderTill:
        """The till of one provider. Others of the same name share what was spent."""
        till = ProviderTill(self, name, tariff, budget)
        self._tills.add(till)
        return till

    def today(self) -> Today:
        """The day that is; where a window has turned, its accounts are empty again."""
        now = self._clock.time()
        if now < self._today.ends:  # a clock that was set back stays in the day that it had reached
            return self._today
        before, self._today = self._today, Today.at(now)
        turned = {Window.DAY, *([Window.MONTH] if self._today.month != before.month else [])}
        for name in [name for name in self._accounts if name[2] in turned]:
            self._alarms.window_turned(name[0], name[2], self._accounts.pop(name))
        if Window.MONTH in turned:
            self._units.clear()
        return self._today

    def account(self, name: str, currency: str, window: Window) -> Account:
        self._wipe_slates()
        key = (name, currency, window)
        found = self._accounts.get(key)
        if found is None:
            found = self._accounts[key] = Account()
        return found

    def _wipe_slates(self) -> None:
        while self.slates:
            self.slates.pop().wipe()

    def units_of(self, name: str) -> Units:
        found = self._units.get(name)
        if found is None:
            found = self._units[name] = Units()
        return found

    def limits(
        self, name: str, budget: Budget | None, currency: str
    ) -> Iterator[tuple[str, Window, Decimal]]:
        """Every window that limits a provider: its own, then those of the whole."""
        for whose, one in ((name, budget), (WHOLE, self.whole)):
            if one is not None:
                for window, limit in one.limits(currency).items():
                    yield whose, window, limit

    def look(self, till: ProviderTill, refused: Container[tuple[str, Window]] = ()) -> None:
        """Tell where a level of a budget was reached, as those are that had to refuse."""
        currency = till.tariff.currency
        # A reload may have changed it, or taken the provider away, while a send was under way.
        budget = till.budget if self.budgets is None else self.budgets.get(till.name)
        for whose, window, limit in self.limits(till.name, budget, currency):
            self._alarms.look(
                whose,
                window,
                self.account(whose, currency, window),
                Money(limit, currency),
                refused=(whose, window) in refused,
            )

    def review(self) -> None:
        """Other budgets hold from now on: what was told of those before may be over."""
        self._wipe_slates()
        for (name, currency, window), account in self._accounts.items():
            if not account.told:
                continue
            budget = self.whole if name == WHOLE else (self.budgets or {}).get(name)
            limit = None if budget is None else budget.limits(currency).get(window)
            if limit is None:
                self._alarms.gone(name, window, account)
            else:
                self._alarms.look(name, window, account, Money(limit, currency))

    def seconds_to(self, window: Window) -> float:
        """Until the window turns."""
        return max(0.0, self.today().ends_of(window) - self._clock.time())


class Hold:
    """What one attempt keeps aside; see `sidecar.delivery.gate.Hold`."""

    __slots__ = ("_amount", "_slate", "_till", "_units", "bill")

    def __init__(self, till: ProviderTill, bill: Bill) -> None:
        self.bill = bill
        self._till: ProviderTill | None = till
        self._amount = bill.cost.amount if bill.cost is not None else ZERO
        # Of these very accounts: a window that turns meanwhile begins with others.
        self._slate = till.slate()
        self._units = till.books.units_of(till.name)
        self._units.held += bill.units
        if self._amount:
            self._slate.held += self._amount
            till.books.slates.add(self._slate)

    def settle(self, *, billable: bool) -> None:
        if (till := self._till) is None:
            return
        self._till = None
        units, amount, slate = self.bill.units, self._amount, self._slate
        self._units.held -= units
        if billable:
            self._units.used += units
        if amount:
            slate.held -= amount
            if billable:
                slate.spent += amount
            till.books.slates.add(slate)
        if billable and till.is_limited:
            till.books.look(till)


class ProviderTill:
    """The gate of one provider's money; see `sidecar.delivery.gate.Till`."""

    def __init__(self, books: Books, name: str, tariff: Tariff, budget: Budget | None) -> None:
        self.books = books
        self.name = name
        self.tariff = tariff
        self.budget = budget
        self.is_limited = budget is not None or books.whole is not None
        self._bills: dict[int, Bill] = {}  # by units, where nothing else decides
        self._slate: tuple[Today | None, Slate] = (None, Slate())

    def quote(self, message: Message) -> Bill:
        tariff = self.tariff
        units = tariff.units_of(message)
        if tariff.countries or tariff.free_per_month:
            return self._bill(units, self.free_left(), self._country(message))
        found = self._bills.get(units)
        if found is None:
            found = self._bills[units] = self._bill(units, 0, None)
        return found

    def _bill(self, units: int, free_left: int, country: str | None) -> Bill:
        amount = self.tariff.charge(units, free_left, country)
        return Bill(None if amount is None else Money(amount, self.tariff.currency), units)

    def dearness(self, message: Message | None) -> Decimal | None:
        if message is None:
            return self.tariff.charge(1, self.free_left())
        cost = self.quote(message).cost
        return None if cost is None else cost.amount

    def is_short(self, message: Message | None) -> bool:
        for whose, window, limit in self._limits():
            budget = self.books.whole if whose == WHOLE else self.budget
            soft = limit * budget.soft if budget is not None else limit
            if self._taken(whose, window) >= soft and (whose != WHOLE or self.dearness(message)):
                return True
        return False

    def shut(self, message: Message | None) -> SkipReason | None:
        if not self.is_limited:  # as nearly always
            return None
        exceeded = self._exceeded(message)
        if not exceeded:
            return None
        if message is not None:  # what is kept aside may come back: it is not spent
            unit = self.dearness(None) or ZERO
            self.books.look(
                self, [one[:2] for one in exceeded if self._spent(*one[:2]) + unit > one[2]]
            )
        return SkipReason.OVER_BUDGET

    def opens_in(self, message: Message | None = None) -> float | None:
        cost = self.dearness(message) or ZERO
        wait = 0.0
        for whose, window, limit in self._exceeded(message):
            if cost > limit and not self.tariff.free_per_month:  # nor will it fit when that turns
                return None
            is_spent = self._spent(whose, window) + cost > limit
            wait = max(wait, self.books.seconds_to(window) if is_spent else SOON)
        return wait

    def reserve(self, message: Message) -> Hold | SkipReason:
        if self.shut(message):
            return SkipReason.OVER_BUDGET
        return Hold(self, self.quote(message))

    def free_left(self) -> int:
        """Units of this month's allowance that nobody has used or keeps aside."""
        if not self.tariff.free_per_month:
            return 0
        self.books.today()
        units = self.books.units_of(self.name)
        return max(0, self.tariff.free_per_month - units.used - units.held)

    def slate(self) -> Slate:
        """Where one more message is written down, for its own windows and those of the whole."""
        today = self.books.today()
        if self._slate[0] is not today:
            currency = self.tariff.currency
            found = [
                self.books.account(whose, currency, window)
                for whose in (self.name, WHOLE)
                for window in Window
            ]
            self._slate = (today, Slate(found))
        return self._slate[1]

    def _exceeded(self, message: Message | None) -> Sequence[tuple[str, Window, Decimal]]:
        """Whose windows this message does not fit any more."""
        cost = self.dearness(message)
        if not cost:  # what is free fits always; what has no price cannot be weighed
            return ()
        return [
            (whose, window, limit)
            for whose, window, limit in self._limits()
            if self._taken(whose, window) + cost > limit
        ]

    def _limits(self) -> Iterator[tuple[str, Window, Decimal]]:
        return self.books.limits(self.name, self.budget, self.tariff.currency)

    def _spent(self, whose: str, window: Window) -> Decimal:
        return self.books.account(whose, self.tariff.currency, window).spent

    def _taken(self, whose: str, window: Window) -> Decimal:
        self.books.today()
        return self.books.account(whose, self.tariff.currency, window).taken

    def _country(self, message: Message) -> str | None:
        return country_of(message.to) if self.tariff.countries else None
