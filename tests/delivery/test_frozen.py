"""A value that is made quickly is the frozen dataclass that it would be without."""

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace

import pytest

from sidecar.delivery.frozen import made_quickly
from sidecar.delivery.model import Attempt, Delivery, Message


def declared(called):
    @dataclass(frozen=True, slots=True)
    class Value:
        name: str
        size: int = 3
        secret: str = field(default="", repr=False)
        seen: list[str] = field(default_factory=list, compare=False)

        def __post_init__(self):
            if not self.name:
                raise ValueError("no name")

    Value.__name__ = Value.__qualname__ = called
    return Value


Slow, Quick = declared("Slow"), made_quickly(declared("Quick"))


GIVEN = [
    (("a",), {}),
    (("a", 1), {}),
    (("a",), {"secret": "s"}),
    ((), {"size": 0, "name": "b"}),
    (("a", 1, "s", ["x"]), {}),
]


@pytest.mark.parametrize(("args", "named"), GIVEN)
def test_it_holds_and_shows_what_it_was_given(args, named):
    slow, quick = Slow(*args, **named), Quick(*args, **named)

    assert type(quick) is Quick
    assert asdict(quick) == asdict(slow)
    assert repr(quick) == repr(slow).replace("Slow", "Quick")
    assert hash(quick) == hash(slow)


@pytest.mark.parametrize(("args", "named"), GIVEN)
@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, replace, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_a_copy_is_equal_and_as_frozen(args, named, again):
    quick = Quick(*args, **named)

    other = again(quick)

    assert type(other) is Quick
    assert (other, asdict(other)) == (quick, asdict(quick))
    with pytest.raises(FrozenInstanceError):
        other.size = 9


def test_what_is_compared_and_what_is_not():
    assert Quick("a", seen=["x"]) == Quick("a")
    assert Quick("a") != Quick("a", 4)
    assert len({Quick("a"), Quick("a", 3), Quick("b")}) == 2


def test_a_factory_makes_each_its_own():
    assert Quick("a").seen is not Quick("a").seen


@pytest.mark.parametrize(
    ("args", "named"), [((), {}), (("a", 1, "s", [], 5), {}), (("a",), {"no": 1})]
)
def test_what_it_does_not_take(args, named):
    for cls in (Slow, Quick):
        with pytest.raises(TypeError):
            cls(*args, **named)


def test_its_own_check_is_made():
    with pytest.raises(ValueError, match="no name"):
        Quick("")
    with pytest.raises(ValueError, match="no name"):
        replace(Quick("a"), name="")


@pytest.mark.parametrize(
    "change", [lambda one: setattr(one, "name", "b"), lambda one: delattr(one, "name")]
)
def test_it_is_frozen(change):
    quick = Quick("a")

    with pytest.raises(FrozenInstanceError):
        change(quick)

    assert quick.name == "a"


def test_it_has_no_room_for_anything_else():
    assert not hasattr(Quick("a"), "__dict__")


@pytest.mark.parametrize("cls", [Attempt, Delivery, Message])
def test_the_values_of_a_send_are_made_so(cls):
    """By position: a field at another's place would be a wrong record."""
    required = [f.name for f in fields(cls)]
    values = {name: f"<{name}>" for name in required}
    if cls is Message:
        values["extra"] = {}

    one = cls(*values.values())

    assert {name: getattr(one, name) for name in required if name != "extra"} == {
        name: value for name, value in values.items() if name != "extra"
    }
    assert cls(**values) == one


class Named(Quick):
    def shout(self):
        return self.name.upper()


@dataclass(frozen=True, slots=True)
class Longer(Quick):
    more: int = 7


def test_a_subclass_is_made_in_its_own_way():
    assert Named("a").shout() == "A"
    assert (Longer("a", more=8).more, Longer("a").more, Longer("a").size) == (8, 7, 3)
    assert Longer("a").seen is not Longer("a").seen
    with pytest.raises(FrozenInstanceError):
        Named("a").name = "b"
    with pytest.raises(ValueError, match="no name"):
        Named("")


def test_what_it_cannot_make_it_does_not_take():
    @dataclass(frozen=True, slots=True)
    class Hidden:
        size: int = field(init=False, default=3)

    with pytest.raises(AssertionError):
        made_quickly(Hidden)
