"""What an error keeps of what a plugin says."""

import pytest

from sidecar.delivery import errors
from sidecar.delivery.errors import (
    ConfigError,
    DeliveryError,
    PluginNotFound,
    Rejected,
    Throttled,
    Unavailable,
)
from sidecar.delivery.model import Outcome


def test_there_is_one_class_per_outcome_that_a_plugin_can_name():
    raisable = {
        name.lower(): cls.outcome
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, DeliveryError) and cls is not DeliveryError
    }
    assert raisable.pop("localfault") is Outcome.LOCAL
    assert raisable == {
        name: Outcome(name)
        for name in ("rejected", "refused", "throttled", "unavailable", "unknown", "misconfigured")
    }


def test_the_faults_of_start_and_reload_stand_outside_the_tree():
    assert not issubclass(ConfigError, DeliveryError)
    assert issubclass(PluginNotFound, ConfigError)


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        (None, None),
        ("", None),
        (21610, "21610"),
        ("550 5.1.1", "550 5.1.1"),
        ("a\r\nb\x1b[31m\x00", "a b [31m"),
        ("é\ud800ü", None),
        ("4829é", "4829"),
        ("x" * 4_001, "x" * 4_000),
    ],
)
def test_a_code_is_printable_ascii_and_has_an_end(code, kept):
    assert Unavailable("no", code=code).code == kept


def test_a_reason_is_one_printable_line_and_has_an_end():
    error = Unavailable("not\r\nhere\ud800\u2028 … " + "x" * 5_000)
    assert error.reason.startswith("not here … x")
    assert errors.READ_LIMIT - 10 < len(error.reason) <= errors.READ_LIMIT
    assert str(error) == error.reason


class Markup(str):
    """What libraries make of text: it stays one when it is cut, and answers as it likes."""

    __slots__ = ()

    def isprintable(self):
        return True

    def __getitem__(self, _):
        return self

    def __str__(self):
        return self


def test_a_reason_and_a_code_are_plain_text_whatever_they_were_made_of():
    error = Unavailable(Markup("two\nlines" * 100), code=Markup("21\n610" * 100))
    assert (type(error.reason), type(error.code)) == (str, str)
    assert (error.reason, error.code) == ("two lines" * 100, "21 610" * 100)


def test_extras_of_single_outcomes():
    assert Rejected("no", final=True).final
    assert not Rejected("no").final
    assert Throttled("slow down", retry_after=7.0).retry_after == 7.0
    assert Throttled("slow down").retry_after is None
