"""The commands as a person types them: what they print, and what they exit with."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.leaks import PHONE
from harness.process import PATIENCE, wait_for
from harness.providers import config, sendgrid, ses, smtp, sns, twilio
from harness.standins import sendgrid_accepts

CONSOLE = "providers: {console: {}}\nchains: {sms: [console], email: [console]}\n"


def url_of(sidecar) -> str:
    return f"http://127.0.0.1:{sidecar.port}"


def test_version_and_help(command):
    assert command("version").stdout == "otp-sidecar 0.1.0\n"
    helped = command("--help")
    for name in ("run", "check", "config", "providers", "send", "health", "explain", "version"):
        assert name in helped.stdout
    assert command("nonsense").returncode == 2


def test_init_prints_a_file_that_is_valid(command, tmp_path):
    printed = command("config", "init")
    assert printed.returncode == 0
    (tmp_path / "my.yaml").write_text(printed.stdout)
    checked = command("check", "my.yaml")
    assert checked.returncode == 0, checked.stderr
    assert "not configured, lacks SES_SENDER" in checked.stdout


def test_check_points_at_every_fault_at_once(command, tmp_path):
    text = command("config", "init").stdout
    broken = text.replace("sendgrid:", "sendgird:", 1).replace("deadline: 10s", "deadline: soon")
    (tmp_path / "my.yaml").write_text(broken)
    checked = command("check", "my.yaml")
    assert checked.returncode == 78
    assert "did you mean `sendgrid`?" in checked.stderr
    lines = checked.stderr.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("my.yaml:") for line in lines)
    assert checked.stdout == ""


def test_config_show_hides_secrets_and_says_where_values_came_from(command, tmp_path):
    (tmp_path / "providers.yaml").write_text(config("email", sendgrid("http://127.0.0.1:1")))
    shown = command("config", "show")
    assert shown.returncode == 0
    assert "SG.canary" not in shown.stdout
    assert 'providers.sendgrid.api_key: "***"  # providers.yaml:' in shown.stdout
    assert "limits.deadline: 10.0  # default" in shown.stdout
    assert json.loads(command("config", "show", "--json").stdout)["limits"]["deadline"] == 10


def test_config_schema_is_the_committed_one(command, request):
    committed = (request.config.rootpath / "config" / "providers.schema.json").read_text()
    assert command("config", "schema").stdout == committed


def test_providers_list(command):
    rows = json.loads(command("providers", "list", "--json").stdout)
    kinds = {row["kind"]: row for row in rows}
    assert kinds.keys() >= {"console", "sendgrid", "ses", "smtp", "sns", "twilio"}
    assert kinds["ses"]["distribution"] == "otp-sidecar-aws"
    assert kinds["console"]["development_only"] is True
    assert command("providers", "list").stdout.splitlines()[0].startswith("console")


def test_send_prints_the_walk(command, start, tmp_path):
    sidecar = start(CONSOLE)
    sent = command("send", "--channel", "sms", "--to", PHONE, "--url", url_of(sidecar))
    assert sent.returncode == 0, sent.stderr
    assert "console          accepted" in sent.stdout
    assert "accepted by console" in sent.stdout
    variables = {"OTP_SIDECAR_URL": url_of(sidecar), "TEST_EMAIL": "ada@example.com"}
    answer = json.loads(command("send", "--channel", "email", "--json", **variables).stdout)
    assert answer["status"] == "accepted"
    refused = command("send", "--channel", "sms", "--to", "12345", **variables)
    assert refused.returncode == 1
    assert "E.164" in refused.stderr
    assert command("send", "--channel", "sms", **variables).returncode == 2


def test_a_command_says_whether_its_token_is_lacking_or_wrong(command, start, tmp_path):
    good, bad = "canary-token-" + "g" * 24, "canary-token-" + "b" * 24
    (tmp_path / "tokens").write_text(good)
    (tmp_path / "providers.yaml").write_text(
        "server: {listen: '127.0.0.1:0', token_file: tokens}\n"
        "providers: {console: {}}\nchains: {sms: [console]}\n"
    )
    sidecar = start(config=tmp_path / "providers.yaml")
    ask = ("explain", "--channel", "sms", "--url", url_of(sidecar))
    assert "put one of its file into OTP_SIDECAR_TOKEN" in command(*ask).stderr
    assert "is none of those" in command(*ask, OTP_SIDECAR_TOKEN=bad).stderr
    assert command(*ask, OTP_SIDECAR_TOKEN=good).returncode == 0


def test_explain_says_that_the_latest_reload_failed(command, start):
    sidecar = start("providers: {console: {}}\nchains: {sms: [console]}\n")
    ask = ("explain", "--channel", "sms", "--url", url_of(sidecar))
    assert "reload" not in command(*ask).stdout
    sidecar.config.write_text("providers: {console: {colour: red}}\nchains: {sms: [console]}\n")
    wait_for(lambda: sidecar.events("reload_failed"), "the reload")
    told = command(*ask).stdout
    assert "failed: " in told
    assert "providers.yaml:1:" in told
    assert "this is the configuration of " in told


def test_explain_says_who_is_in_and_who_is_out(command, start, vendor):
    down = vendor(lambda r: (401, {}, b'{"code": 20003}'))
    off = sns("http://127.0.0.1:1").replace("sns: {", "sns: {enabled: false, ")
    sidecar = start(config("sms", twilio(down.url), off))
    sidecar.send()
    told = command("explain", "--channel", "sms", "--url", url_of(sidecar))
    assert told.returncode == 0
    assert "1. twilio           out  circuit_open, for" in told.stdout
    assert "2. sns              out  disabled" in told.stdout
    assert command("explain", "--channel", "fax", "--url", url_of(sidecar)).returncode == 1


def test_health_for_probes(command, start):
    sidecar = start(CONSOLE)
    assert command("health", "--url", url_of(sidecar)).stdout == "ok\n"
    assert command("health", "--ready", OTP_SIDECAR_URL=url_of(sidecar)).returncode == 0
    sidecar.stop()
    gone = command("health", "--wait", "200ms", "--url", url_of(sidecar))
    assert gone.returncode == 1
    assert "no answer" in gone.stderr
    assert command("health", "--nonsense").returncode == 2
    assert command("health", "--url", "ftp://x").returncode == 2
    assert "--wait" in command("health", "--help").stdout


def test_health_imports_no_framework():
    script = (
        "import sys; from sidecar.__main__ import main\n"
        "sys.argv = ['otp-sidecar', 'health', '--url', 'http://127.0.0.1:1']\n"
        "try: main()\nexcept SystemExit as end: assert end.code == 1\n"
        "print(sorted({'aiohttp', 'asyncio', 'click', 'pydantic', 'yaml'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert ran.stdout == "[]\n"


def test_no_sidecar_ends_with_69_and_says_how_to_start_one(command):
    for arguments in (("send", "--to", PHONE), ("explain",)):
        ended = command(*arguments, "--channel", "sms", "--url", "http://127.0.0.1:1")
        assert ended.returncode == 69
        assert "otp-sidecar run" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_check_online_reaches_each_account_and_sends_nothing(
    command, tmp_path, moto, vendor, mailbox
):
    stand_in = vendor(sendgrid_accepts)
    stand_in.answer_get = lambda request: (200, {}, b'{"scopes": ["mail.send"]}')
    text = config("email", ses(moto.url), sendgrid(stand_in.url), smtp(mailbox))
    (tmp_path / "providers.yaml").write_text(text)
    checked = command("check", "--online", "--json")
    reports = {r["provider"]: r for r in json.loads(checked.stdout)}
    assert reports["sendgrid"]["state"] == "ready", reports
    assert reports["smtp"]["state"] == "ready", reports
    assert reports["ses"]["state"] in ("ready", "degraded"), reports
    assert checked.returncode == 0
    assert stand_in.requests == []
    assert mailbox.mails == []
    assert moto.kept("ses", "Message") == []

    stand_in.answer_get = lambda request: (401, {}, b"{}")
    told = command("check", "--online")
    assert told.returncode == 1
    assert "sendgrid         blocked         the API key was not accepted" in told.stdout


@pytest.mark.parametrize(
    ("channel", "to", "told"),
    [("sms", "foo", "+14155550123"), ("email", "foo", "ada@example.com"), ("sms", "4155", "+1415")],
)
def test_explain_refuses_what_is_no_recipient(command, channel, to, told):
    refused = command("explain", "--channel", channel, "--to", to, "--url", "http://127.0.0.1:1")
    assert refused.returncode == 2
    assert told in refused.stderr


UNUSABLE = """
alerts: {secret: "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"}
limits: {deadline: 500ms}
providers:
  console: {}
  spare: {kind: console}
  twilio: {optional: true, account_sid: "${A_SID}", auth_token: "x", sender: "+15005550006"}
  idle: {kind: console, enabled: false}
chains: {sms: [twilio, idle], email: [console]}
"""
WHY = "`twilio` lacks A_SID; `idle` is disabled"
REMARKS = [
    f"chains.sms: nothing can be sent, no provider of it can be used: {WHY}",
    "limits.deadline: nothing can be sent, no provider is tried with less than 0.5 s left",
    "alerts.secret: signs nothing, since `alerts.webhook` is not set",
]


def test_check_warns_of_what_is_valid_and_probably_not_meant(command, tmp_path):
    (tmp_path / "providers.yaml").write_text(UNUSABLE)
    told = command("check")
    assert told.returncode == 0
    assert told.stderr.splitlines() == [f"warning: {remark}" for remark in REMARKS]
    assert told.stdout.splitlines()[-2:] == ["in no chain:", f"  {'spare':<16} configured"]
    assert json.loads(command("check", "--json").stdout)["warnings"] == REMARKS
    (tmp_path / "providers.yaml").write_text(CONSOLE)
    assert command("check").stderr == ""


def test_a_start_warns_likewise(start):
    sidecar = start(UNUSABLE)
    assert [line["remark"] for line in sidecar.events("configuration")] == REMARKS
