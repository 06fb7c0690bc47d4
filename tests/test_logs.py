"""What a log line can hold, whoever writes it."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import logging
import re
import warnings

import pytest
import structlog

from sidecar import logs
from sidecar.redaction import FIELD_LIMIT, RETIRED


@pytest.fixture
def lines():
    out = io.StringIO()
    logs.configure(stream=out)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()
    logging.captureWarnings(capture=False)


def test_a_secret_is_struck_out_wherever_it_stands(lines):
    logs.redactor.add(["canary-secret", "canary-secret-longer", "short"])
    structlog.get_logger().info("x", url="https://u:canary-secret-longer@h", n=1, word="short")
    (line,) = lines()
    assert line["url"] == "https://u:***@h"
    assert (line["n"], line["word"]) == (1, "short")


def test_a_line_is_one_line_and_cut(lines):
    structlog.get_logger().info("x", evil="a\nb\x1b[31m%s", long="y" * 10**6)
    (line,) = lines()
    assert line["evil"] == "a\nb\x1b[31m%s"
    assert len(line["long"]) < 1100


def test_an_exception_is_named_and_not_quoted(lines):
    try:
        int("+14155552671 482913")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines()
    assert line["error"] == "ValueError"
    assert "482913" not in json.dumps(line)


def test_secrets_in_lists_and_mappings_are_struck_out_too(lines):
    logs.redactor.add(["canary-secret"])
    structlog.get_logger().info("x", nested=[{"a": ("canary-secret",)}])
    assert lines()[0]["nested"] == [{"a": ["***"]}]


def test_of_secrets_that_were_rotated_the_latest_are_struck_out_and_not_all_for_ever():
    redactor = logs.Redactor()
    redactor.add(["canary-fixed", "canary-token"])
    for number in range(RETIRED + 50):
        redactor.add(["canary-fixed", f"canary-{number:04}"])
    assert redactor.clean("canary-fixed") == "***"
    assert redactor.clean(f"canary-{RETIRED + 49:04} canary-0050") == "*** ***"
    assert redactor.clean("canary-0040 canary-token") == "canary-0040 canary-token"


def test_secrets_of_one_source_outlive_the_rotations_of_another():
    redactor = logs.Redactor()
    redactor.add(["canary-fixed"])
    for number in range(RETIRED + 50):
        redactor.add_tokens([f"canary-{number:04}"])
        redactor.add(["canary-fixed", f"canary-of-the-file-{number:04}"], "reload")
    assert redactor.clean("canary-fixed") == "***"
    redactor.add(["canary-other"], "reload")
    redactor.add_tokens(["canary-last"])
    assert redactor.clean("canary-fixed") == "***"


def test_secrets_in_use_are_struck_out_however_many_there_are():
    redactor = logs.Redactor()
    many = [f"canary-{number:04}" for number in range(RETIRED + 50)]
    redactor.add(many)
    redactor.add_tokens(["canary-token"])
    assert redactor.clean(" ".join(many[:20])) == " ".join(["***"] * 20)


def test_a_redactor_without_secrets_leaves_a_line_as_it_is():
    event = {"event": "delivery", "attempts": ["twilio: accepted"], "more": {"a": ("b", 1)}}
    assert logs.Redactor()(None, "info", dict(event)) == event
    long = {"event": "x" * (FIELD_LIMIT + 1), "short": "y"}
    assert logs.Redactor()(None, "info", dict(long)) == {**long, "event": "x" * 1000 + "..."}


def test_a_secret_is_struck_out_wherever_it_stands_in_a_line():
    redactor = logs.Redactor()
    redactor.add(["canary-secret"])
    event = {"event": "a", "list": ["b", {"c": ("canary-secret",)}], "number": 7, "none": None}
    assert redactor(None, "info", event) == {**event, "list": ["b", {"c": ["***"]}]}


def test_the_shortest_secret_that_is_struck_out_has_six_characters():
    redactor = logs.Redactor()
    redactor.add(["sixsix", "five5"])
    assert redactor.clean("sixsix five5") == "*** five5"


def test_where_no_secret_is_registered_nothing_is_struck_out():
    redactor = logs.Redactor()
    redactor.add([])
    redactor.add(["five5"])
    assert redactor.clean("five5") == "five5"


def test_a_secret_that_was_rotated_out_stays_struck_out():
    redactor = logs.Redactor()
    redactor.add(["canary-old"])
    redactor.add(["canary-old", "canary-new"])
    redactor.add(["canary-new"])
    assert redactor.clean("canary-old canary-new") == "*** ***"


def test_a_secret_is_a_text_and_no_pattern():
    redactor = logs.Redactor()
    redactor.add(["a.c+e(f"])
    assert redactor.clean("a.c+e(f abcce(f") == "*** abcce(f"


def test_of_a_secret_within_a_secret_nothing_is_left():
    redactor = logs.Redactor()
    redactor.add(["canary-secret", "a-canary-secret", "canary-secret-longer"])
    told = redactor.clean("a-canary-secret canary-secret-longer canary-secret")
    assert told == "*** *** ***"


def test_a_field_is_cut_where_it_is_longer_than_the_limit():
    redactor = logs.Redactor()
    assert redactor.clean("y" * 1000) == "y" * 1000
    assert redactor.clean("y" * 1001) == "y" * 1000 + "..."


def test_what_is_short_enough_without_its_secret_is_not_cut():
    redactor = logs.Redactor()
    redactor.add(["canary-secret"])
    assert redactor.clean("canary-secret" + "y" * 997) == "***" + "y" * 997


def test_a_line_that_holds_nothing_and_is_short_needs_no_second_look():
    redactor = logs.Redactor()
    assert redactor.passes("canary-secret")
    redactor.add(["canary-secret"])
    assert redactor.passes("y" * 1000)
    assert not redactor.passes("y" * 1001)
    assert not redactor.passes("a canary-secret")


def test_a_secret_is_struck_out_before_the_cut():
    redactor = logs.Redactor()
    redactor.add(["canary-secret"])
    assert "canary" not in redactor.clean("y" * 994 + "canary-secret")


def test_a_line_that_was_put_together_before_tells_its_place_alone(lines):
    logging.getLogger("somelib").error(f"sent {482913} to +14155550199")  # noqa: G004
    (line,) = lines()
    assert "482913" not in json.dumps(line)
    assert line["where"].startswith("test_logs:")


async def test_the_event_loops_complaint_names_the_class_alone(lines):
    asyncio.get_running_loop().set_exception_handler(logs.loop_trouble)

    async def fails():
        raise ValueError("482913")

    task = asyncio.create_task(fails())
    await asyncio.wait({task})
    del task
    gc.collect()
    (line,) = lines()
    assert (line["event"], line["error"]) == ("loop", "ValueError")
    assert "482913" not in json.dumps(line)


def test_another_librarys_line_keeps_its_template_and_loses_its_arguments(lines):
    logging.getLogger("somelib").warning("sent %s to %s", "482913", "+14155550199")
    (line,) = lines()
    assert line["message"] == "sent %s to %s"
    assert line["logger"] == "somelib"


@pytest.mark.parametrize(
    "name", ["info", "msg", "warning", "warn", "error", "critical", "fatal", "exception"]
)
@pytest.mark.parametrize("bound", [False, True])
async def test_a_plugins_line_keeps_its_template_and_loses_its_arguments(lines, name, bound):
    logger = structlog.get_logger().bind(a=1) if bound else structlog.get_logger()
    getattr(logger, name)("no route to %s", "+14155550199", b=2)
    await getattr(logger, f"a{name}")("no route to %(to)s", {"to": "+14155550199"}, b=2)
    first, second = lines()
    assert (first["event"], second["event"]) == ("no route to %s", "no route to %(to)s")
    assert first["b"] == second["b"] == 2
    assert "4155550199" not in json.dumps([first, second])


async def test_a_line_of_a_level_by_its_number_loses_its_arguments_too(lines):
    structlog.get_logger().log(logging.ERROR, "no route to %s", "+14155550199")
    await structlog.get_logger().alog(logging.WARNING, "no route to %s", "+14155550199")
    structlog.get_logger().log(logging.DEBUG, "no route to %s", "+14155550199")
    structlog.get_logger().debug("no route to %s", "+14155550199")
    told = [(line["level"], line["event"]) for line in lines()]
    assert told == [("error", "no route to %s"), ("warning", "no route to %s")]


def test_talkative_libraries_are_quiet_below_warning(lines):
    for name in ("botocore", "twilio.http_client", "python_http_client", "aiosmtplib", "urllib3"):
        logging.getLogger(name).info("BODY 482913")
        logging.getLogger(name).debug("BODY 482913")
    assert lines() == []


def test_time_level_and_event_come_first(lines):
    structlog.get_logger().info("hello", a=1)
    assert list(lines()[0]) == ["ts", "level", "event", "a"]


@pytest.mark.parametrize(
    "spelt",
    [
        base64.b64encode(b"AC000:canary/secret+1").decode(),
        base64.b64encode(b"AC00:canary/secret+1").decode(),
        base64.urlsafe_b64encode(b"AC0:canary/secret+1").decode(),
        "https://h/?key=canary%2Fsecret%2B1",
        b"canary/secret+1".hex(),
    ],
)
def test_a_secret_is_struck_out_in_other_spellings_too(lines, spelt):
    logs.redactor.add(["canary/secret+1"])
    structlog.get_logger().info("x", said=f"Authorization: Basic {spelt}")
    (line,) = lines()
    assert "***" in line["said"]
    assert len(line["said"]) < len(f"Authorization: Basic {spelt}") - 12


@pytest.mark.parametrize(
    "spelt",
    [
        "p&amp;ss&lt;w&quot;o&#x27;rd/12 3=é",
        "p&amp;ss&lt;w&quot;o&#39;rd/12 3=é",
        "p&amp;ss&lt;w&#34;o&#39;rd/12 3=é",
        "p&amp;ss&lt;w\"o'rd/12 3=é",
        "p%26ss%3Cw%22o%27rd%2F12%203%3D%C3%A9",
        "p%26ss%3cw%22o%27rd%2f12%203%3d%c3%a9",
        "p%26ss%3Cw%22o%27rd/12%203%3D%C3%A9",
        "p%26ss%3cw%22o%27rd/12%203%3d%c3%a9",
        "p%26ss%3Cw%22o%27rd%2F12+3%3D%C3%A9",
        "p%26ss%3cw%22o%27rd%2f12+3%3d%c3%a9",
        "p%26ss%3Cw%22o'rd%2F12%203%3D%C3%A9",
        r"p&ss<w\"o'rd/12 3=\u00e9",
        r"p&ss<w\"o'rd\/12 3=\u00e9",
        r"p&ss<w\"o'rd/12 3=é",
    ],
)
def test_a_secret_that_is_quoted_for_html_or_a_url_is_struck_out(lines, spelt):
    logs.redactor.add(["p&ss<w\"o'rd/12 3=é"])
    structlog.get_logger().info("x", said=f"key={spelt};")
    assert lines()[0]["said"] == "key=***;"


def test_a_template_that_was_put_together_before_loses_its_numbers_and_addresses(lines):
    logging.getLogger("somelib").error("%s: sent 482913 to +14155550199 for a@b.example", "x")
    assert lines()[0]["message"] == "%s: sent *** to *** for ***"


@pytest.mark.parametrize("code", ["4829", "48 29 13", "A1B2C3", "(482)-913", "\u0664\u0668\u0662"])
def test_such_a_template_loses_codes_however_they_are_written(lines, code):
    logging.getLogger("somelib").error(f"sent {code!r} in %s, %.3f s at %5d%%", "x", 0.1, 5)  # noqa: G004  # what is tried
    said = lines()[0]["message"]
    assert re.fullmatch(r"sent (\*\*\* ?)+ in %s, %\.3f s at %5d%%", said)


@pytest.mark.parametrize(("level", "told"), [(31, "warning"), (35, "warning"), (99, "error")])
def test_a_library_with_levels_of_its_own_is_heard(lines, level, told):
    logging.getLogger("somelib").log(level, "sent %s", "482913")
    (line,) = lines()
    assert (line["level"], line["message"]) == (told, "sent %s")


async def test_the_arguments_of_a_callback_that_fails_are_not_told(lines):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.loop_trouble)
    loop.call_soon(int, "+14155552671 482913")
    await asyncio.sleep(0)
    (line,) = lines()
    assert (line["message"], line["error"]) == ("Exception", "ValueError")


def test_the_text_of_a_warning_is_not_told(lines):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)  # over pytest's own recorder
        warnings.warn("sent 482913 to +14155550199", stacklevel=1)
    (line,) = lines()
    assert line["logger"] == "py.warnings"
    assert "482913" not in json.dumps(line)
