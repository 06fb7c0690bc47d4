"""The bench's own arithmetic: percentiles, the ledger against the log, what a goal reaches."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import ledger, report, sanity, svg
from bench.course import Chart, Findings
from bench.goals import GOALS, Goal
from bench.ledger import Entry, Mismatch, Row
from bench.rows.footprint import heaviest
from bench.rows.profile import OTHER, PARTS, THREAD, shares
from bench.sampled import TLS, whose
from bench.stats import Reading, differences, percentile, ratios
from bench.vendors import ANSWERS, NAMES, RECIPIENTS, vendor_of
from sidecar.privacy import mask

MUST = Goal("G1", "sends", "x", True, 1.0, 1.5, 2.5)
LESS = Goal("G4", "added", "ms", False, 0.6, 0.4, 0.25)
ENTRIES = [Entry("ses", "ses-1", "ada@example.com"), Entry("sns", "sns-2", "+14152000001")]
ROWS = [
    Row("r-1", "a***@e***.com", "ses-1", "accepted"),
    Row("r-2", "+1******0001", None, "unavailable"),
    Row("r-2", "+1******0001", "sns-2", "accepted"),
]


@pytest.mark.parametrize(
    ("part", "value"), [(0.0, 1), (0.5, 50), (0.9, 90), (0.99, 99), (0.999, 100), (1.0, 100)]
)
def test_a_percentile_is_a_value_that_was_there(part, value):
    assert percentile(list(range(100, 0, -1)), part) == value


def test_no_values_have_no_percentile():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_pairs_are_those_of_one_round():
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    assert differences([2.0, 9.0], [1.0, 3.0]) == [1.0, 6.0]
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])


def test_a_log_that_agrees_with_the_ledger_is_no_mismatch():
    ledger.compare(ENTRIES, ROWS, 2, "here")


@pytest.mark.parametrize(
    ("entries", "rows", "answered", "says"),
    [
        (ENTRIES, ROWS[:2], 1, "sns-2: taken, and the log has no accepted attempt"),
        (ENTRIES[:1], ROWS, 1, "r-2: accepted by the log, and never taken"),
        (ENTRIES, ROWS, 3, "3 callers were told of an acceptance, 2 are in the log"),
        (
            [Entry("ses", "ses-1", "bob@example.com"), ENTRIES[1]],
            ROWS,
            2,
            "r-1: the log has another recipient than ses-1",
        ),
    ],
)
def test_a_planted_mismatch_fails_the_bench(entries, rows, answered, says):
    with pytest.raises(Mismatch, match=says):
        ledger.compare(entries, rows, answered, "here")


def test_an_unknown_attempt_may_have_been_taken_and_counts_for_one():
    unknown = [ROWS[0], Row("r-2", "+1******0001", None, "unknown")]
    ledger.compare(ENTRIES, unknown, 1, "here")
    with pytest.raises(Mismatch, match="1 differences: sns-3"):
        ledger.compare([*ENTRIES, Entry("sns", "sns-3", "+14152000001")], unknown, 1, "here")


@pytest.mark.parametrize("recipient", ["u2000007@example.com", "+14152000007"])
def test_the_ledger_masks_as_the_log_does(recipient):
    assert ledger.mask(recipient) == mask(recipient)


@pytest.mark.parametrize(
    ("goal", "value", "column"),
    [
        (MUST, 2.5, "stretch"),
        (MUST, 1.6, "target"),
        (MUST, 1.0, "must"),
        (MUST, 0.99, "MISSED (must)"),
        (LESS, 0.25, "stretch"),
        (LESS, 0.3, "target"),
        (LESS, 0.6, "must"),
        (LESS, 0.61, "MISSED (must)"),
        (Goal("G7", "fair", "", True, None, 0.5, 0.8), 0.4, "MISSED (target)"),
    ],
)
def test_a_reading_reaches_a_column_or_misses_the_goal(goal, value, column):
    assert goal.reached(Reading.of([value])) == column


def test_the_page_says_of_a_missed_goal_that_it_is_missed():
    findings = Findings(readings={"G1": Reading.of([0.5, 0.2, 0.9]), "G2": Reading.of([1.7])})
    lines = report.goals(findings).splitlines()
    assert [line for line in lines if "MISSED" in line] == [
        f"| G1 | {GOALS[0].what} | 1 x | 1.5 x | 2.5 x | 0.5 x | 0.2 - 0.9 | **MISSED (must)** |"
    ]


def test_every_goal_has_a_row_measured_or_not():
    findings = Findings(missing={"G2": "node is missing"})
    page = report.page(findings, {})
    assert {goal.number for goal in GOALS} == {f"G{n}" for n in range(1, 15)}
    for goal in GOALS:
        assert page.count(f"| {goal.key} |") == 1
    assert "not measured: node is missing" in page


def test_a_smoke_test_sees_a_row_that_is_not_there_or_absurd():
    measured = Findings({goal.key: Reading.of([1.0]) for goal in GOALS}, compared=1)
    page = report.page(measured, {})
    assert sanity.amiss(measured, page, whole=True) == []
    assert sanity.amiss(measured, page.replace("| G9 |", ""), whole=True) == ["G9 has no row"]
    measured.readings["G1"] = Reading.of([float("nan")])
    del measured.readings["G2"]
    assert sanity.amiss(measured, page, whole=True) == [
        "G1 is no number: (nan,)",
        "G2 was not measured, and nobody says why",
    ]


def test_the_stub_knows_each_vendor_and_whom_its_body_is_for():
    heads = {
        b"POST /v2/email/outbound-emails HTTP/1.1": "ses",
        b"POST / HTTP/1.1": "sns",
        b"POST /2010-04-01/Accounts/AC0/Messages.json HTTP/1.1": "twilio",
        b"POST /v3/mail/send HTTP/1.1": "sendgrid",
        b"POST /raw HTTP/1.1": "raw",
    }
    assert [vendor_of(head) for head in heads] == list(heads.values())
    assert RECIPIENTS["sns"](b"Action=Publish&PhoneNumber=%2B1415&Message=x") == "+1415"
    assert RECIPIENTS["ses"](b'{"Destination": {"ToAddresses": ["a@b.c"]}}') == "a@b.c"


@pytest.mark.parametrize("vendor", ANSWERS)
def test_an_answer_is_as_long_as_it_says_and_names_the_message(vendor):
    head, _, body = (ANSWERS[vendor] % 7).partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}" in head.decode().lower()
    assert f"{NAMES[vendor]}{7:032d}".encode() in head + body


def test_a_picture_has_axes_a_legend_and_every_point():
    series = {"a < b": [(1.0, 10.0), (64.0, 2000.0)], "other": [(8.0, 100.0)]}
    drawn = svg.draw(Chart("x", "Title", "callers", "sends/s", series, log_y=True))
    assert drawn.count("<circle") == 3
    for text in ("Title", "callers", "sends/s", "a &lt; b", "other"):
        assert f">{text}</text>" in drawn


def test_the_heaviest_imports_are_told_by_package():
    told = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:       100 |        300 |   aiohttp.web\n"
        "import time:       900 |       2000 | aiohttp\n"
        "import time:       500 |        500 | yaml\n"
    )
    assert heaviest(told) == [("`aiohttp`", "2.0"), ("`yaml`", "0.5")]


def test_a_sample_counts_for_the_innermost_file_of_the_sidecar():
    frame = FakeFrame("/usr/lib/python3.13/enum.py", "/here/sidecar/api/door.py", "/here/x.py")
    assert whose(frame) == "sidecar/api/door.py"
    assert whose(FakeFrame("/here/plugins/aws/sidecar_aws/ses.py")) == "sidecar_aws/ses.py"
    assert whose(FakeFrame("/usr/lib/python3.13/ssl.py", "/here/sidecar/runner.py")) == TLS
    assert whose(FakeFrame("/sidecar/sidecar/delivery/link.py")) == "sidecar/delivery/link.py"
    assert whose(FakeFrame("/sidecar/.venv/lib/python3.13/json/decoder.py")) == ""
    assert whose(FakeFrame("/usr/lib/python3.13/threading.py")) == ""


class FakeFrame:
    """A stack of files, the innermost first."""

    def __init__(self, file, *below):
        self.f_code = SimpleNamespace(co_filename=file)
        self.f_back = FakeFrame(*below) if below else None


def test_the_shares_of_a_profile_are_all_of_it():
    samples = {
        "sidecar/api/door.py": 30,
        "sidecar_aws/ses.py": 40,
        "sidecar/metrics.py": 20,
        "": 10,
    }
    assert shares(samples, 0.2) == pytest.approx(
        {THREAD: 0.2, PARTS["api"]: 0.24, PARTS["plugin"]: 0.32, OTHER: 0.24}
    )
    assert shares({}, 0.0) == {THREAD: 0.0}


def test_what_a_profile_names_is_there():
    root = Path(__file__).parents[1] / "sidecar"
    for name in PARTS.keys() - {TLS, "plugin"}:
        assert (root / name).exists(), name
