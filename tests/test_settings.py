"""Durations, secrets, and what every provider's settings refuse."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from sidecar.delivery.breaker import BreakerSettings
from sidecar.settings import BreakerOverride, Duration, ProviderConfig, Secret, parse_duration

CANARY = "canary-7f3a"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("10s", 10.0),
        ("250ms", 0.25),
        ("5m", 300.0),
        ("24h", 86400.0),
        ("30d", 2_592_000.0),
        ("1.5s", 1.5),
        (" 2s ", 2.0),
        ("4", 4.0),
        (4, 4.0),
        (0.25, 0.25),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_read(written, seconds):
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "",
        "s",
        "-1s",
        -1,
        "1 s",
        "1S",
        "1h30m",
        "1e3",
        "1_000s",
        "\u0661s",  # an Arabic digit
        ".5s",
        "ten",
        "10s\nx",
        True,
        None,
        [],
        math.inf,
        math.nan,
        pytest.param(10**5000, id="5000 digits"),
    ],
)
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(ValueError, match=r"duration|digits"):
        parse_duration(written)


@given(st.floats(min_value=0.001, max_value=3e8).map(lambda seconds: round(seconds, 3)))
def test_a_bare_number_is_seconds(seconds):
    assert parse_duration(seconds) == parse_duration(f"{seconds}s") == seconds


class Keyed(ProviderConfig):
    api_key: Secret = Secret(CANARY)
    sender: str = "noreply@example.com"
    wait: Duration = 1.0


@pytest.mark.parametrize("secret", [Secret(CANARY), Secret("")])
def test_a_secret_prints_as_stars_even_when_empty(secret):
    assert str(secret) == "***"
    assert repr(secret) == "Secret('***')"
    assert f"{secret}" == "***"


def test_a_secret_gives_its_value_when_asked_by_name():
    assert Secret(CANARY).get_secret_value() == CANARY


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        lambda config: config.model_dump_json(),
        lambda config: str(config.model_dump()),
        lambda config: str(config.model_dump(mode="json")),
    ],
)
def test_settings_print_no_secret(show):
    printed = show(Keyed(kind="keyed"))
    assert CANARY not in printed
    assert "***" in printed


@pytest.mark.parametrize(
    "given_",
    [
        {"sender": f"{CANARY}\r\nBcc: x"},
        {"api_key": f"{CANARY}\n"},
        {"api_key": [CANARY]},
        {"timeout": CANARY},
        {"no_such_key": CANARY},
        {"sender": {"a": CANARY}},
    ],
)
def test_an_error_prints_no_value_that_was_given(given_):
    with pytest.raises(ValidationError) as caught:
        Keyed.model_validate({"kind": "keyed", **given_})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("character", ["\r", "\n", "\x00", "\x1b", "\x7f", "\t"])
@pytest.mark.parametrize("key", ["api_key", "sender", "kind"])
def test_control_characters_are_refused_in_every_text(key, character):
    with pytest.raises(ValidationError, match="control characters"):
        Keyed.model_validate({"kind": "keyed", key: f"a{character}b"})


def test_settings_are_frozen():
    config = Keyed(kind="keyed")
    with pytest.raises(ValidationError):
        config.timeout = 1.0


def test_what_every_provider_takes():
    config = ProviderConfig.model_validate({"kind": "x", "timeout": "2s"})
    assert config.timeout == 2.0
    defaults = ProviderConfig(kind="x")
    assert (defaults.timeout, defaults.enabled, defaults.optional) == (4.0, True, False)
    assert not defaults.allow_private
    assert defaults.breaker is None


@pytest.mark.parametrize("timeout", ["0s", "31s", "-1s"])
def test_a_provider_s_timeout_has_bounds(timeout):
    with pytest.raises(ValidationError):
        ProviderConfig.model_validate({"kind": "x", "timeout": timeout})


def test_the_breaker_section_and_the_breaker_agree_on_names_and_defaults():
    section = BreakerOverride().model_dump()
    assert BreakerSettings(**section) == BreakerSettings()


@pytest.mark.parametrize(
    "given_",
    [
        {"failure_threshold": 0},
        {"success_threshold": 0},
        {"growth": 0.5},
        {"growth": math.nan},
        {"jitter": 1.0},
        {"jitter": -0.1},
        {"failure_rate": 0.0},
        {"failure_rate": 1.1},
        {"minimum": 0},
        {"recovery_timeout": "-1s"},
    ],
)
def test_the_breaker_section_refuses_what_makes_no_sense(given_):
    with pytest.raises(ValidationError):
        BreakerOverride.model_validate(given_)


def test_a_duration_shows_in_the_schema_how_it_is_written():
    class Timed(BaseModel):
        wait: Duration

    field = Timed.model_json_schema()["properties"]["wait"]
    assert {"type": "string"} in field["anyOf"]
    assert "250ms" in field["description"]
