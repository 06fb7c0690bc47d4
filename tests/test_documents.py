"""What the documents say, compared with what the code does."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from types import SimpleNamespace

import pytest

import sidecar
from sidecar import hookspecs
from sidecar.api.docs import openapi
from sidecar.api.schema import SendRequest
from sidecar.api.sending import _ENDS
from sidecar.config import Alerts
from sidecar.config.model import ChainSection, Limits, Log, Preflight, Secrets, Server
from sidecar.declined import Declined
from sidecar.delivery.model import Outcome, Status
from sidecar.metrics import Metrics
from sidecar.registry import Registry
from sidecar.settings import BreakerOverride, ProviderConfig
from sidecar.transport import Reply


@pytest.fixture(scope="module")
def root(request):
    return request.config.rootpath


@pytest.fixture(scope="module")
def document(root):
    return lambda name: (root / name).read_text()


def first_cells(text):
    """The words in backticks of the first column of every table."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_every_field_of_a_send_is_described_and_no_other(document):
    text = document("docs/http-api.md").partition("| header |")[0]
    assert first_cells(text) == set(SendRequest.model_fields)


def test_every_code_of_a_problem_is_described(document, root):
    text = document("docs/http-api.md")
    source = "".join(path.read_text() for path in (root / "sidecar" / "api").glob("*.py"))
    codes = set(re.findall(r'Problem\(\s*\d{3},\s*"([a-z_]+)"', source))
    codes |= {code for _, code, _ in _ENDS.values()}
    codes |= {declined.code for declined in Declined.__subclasses__()}
    codes -= {"not_found"}
    assert len(codes) > 15
    assert codes - set(re.findall(r"`([a-z_]+)`", text)) == set()


def test_every_status_is_in_the_openapi_document(document):
    statuses = set(re.findall(r"^\| (\d{3}) \|", document("docs/http-api.md"), re.MULTILINE))
    told = set(openapi()["paths"]["/v1/send"]["post"]["responses"])
    assert statuses <= told
    assert told - statuses == {"417", "500"}


def test_every_setting_is_described_and_no_other(document):
    text = document("docs/configuration.md")
    general, breaker, provider, chain = re.split(r"^### .*$", text, flags=re.MULTILINE)[:4]
    sections = {"server": Server, "log": Log, "limits": Limits}
    sections |= {"alerts": Alerts, "preflight": Preflight, "secrets": Secrets}
    names = {f"{s}.{key}" for s, model in sections.items() for key in model.model_fields}
    names |= {"version", "environment", "breaker", "budget", "http_client", "providers", "chains"}
    assert first_cells(general) == names
    assert first_cells(breaker) == set(BreakerOverride.model_fields)
    registry = Registry()
    kinds = {entry.name for entry in registry.installed()}
    assert first_cells(provider) == set(ProviderConfig.model_fields) | kinds
    for line in provider.splitlines():
        if line.startswith("| `") and (kind := line.split("`")[1]) in kinds:
            keys = set(re.findall(r"`([^`]+)`", line)) - {kind}
            own = registry.provider_class(kind).Config.model_fields.keys()
            assert keys == own - ProviderConfig.model_fields.keys(), kind
    assert first_cells(chain.partition("## Variables")[0]) == set(ChainSection.model_fields)


def test_every_outcome_and_status_has_its_words(document):
    assert first_cells(document("docs/why.md")) == {outcome.value for outcome in Outcome}
    glossary = document("docs/glossary.md")
    for status in Status:
        assert status is Status.PENDING or f"`{status.value}`" in glossary


def test_every_metric_is_described_and_no_other(document):
    described = {w for w in first_cells(document("docs/operations.md")) if w.startswith("otp_")}
    page = Metrics().page().decode()
    counted = set(re.findall(r"^# TYPE (otp_\w+)", page, re.MULTILINE))
    counted = {name for name in counted if not name.endswith("_created")}
    computed = {
        "otp_account_state",
        "otp_breaker_state",
        "otp_budget_limit",
        "otp_spent",
        "otp_zombie_attempts",
        "otp_inflight",
        "otp_log_unwritten",
        "otp_idempotent_replays_total",
        "otp_config_last_reload_successful",
        "otp_config_last_reload_success_timestamp_seconds",
    }
    assert described == counted | computed


def test_every_command_is_described(document):
    helped = subprocess.run(
        [sys.executable, "-m", "sidecar", "--help"], capture_output=True, text=True, check=True
    ).stdout
    commands = set(re.findall(r"^  ([a-z]+) ", helped.partition("Commands:")[2], re.MULTILINE))
    described = {
        words.split()[1] for words in first_cells(document("docs/operations.md")) if " " in words
    }
    assert commands <= described


def test_links_lead_somewhere(root):
    pages = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("plugins/*/*.md")]
    assert len(pages) > 12
    for page in pages:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_provider_in_the_guide_works(document, tmp_path, root):
    guide = document("docs/writing-a-provider.md")
    module, tests = (text for text in re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[:2])
    (tmp_path / "sidecar_acme.py").write_text(module)
    (tmp_path / "test_acme.py").write_text(tests)
    (mode,) = (
        text for text in re.findall(r"```toml\n(.*?)```", guide, re.DOTALL) if "pytest" in text
    )
    (tmp_path / "pyproject.toml").write_text(f'{mode}pythonpath = "."\n')
    info = tmp_path / "sidecar_acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sidecar-acme\nVersion: 1.0\n")
    entry = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)[0]
    group = tomllib.loads(entry)["project"]["entry-points"]["sidecar.providers"]
    points = "".join(f"{name} = {value}\n" for name, value in group.items())
    (info / "entry_points.txt").write_text(f"[sidecar.providers]\n{points}")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) >= 25, "some thirty, as the guide says"


async def test_the_look_at_an_account_in_the_guide_works(document):
    guide = document("docs/writing-a-provider.md")
    (text,) = re.findall(r"```python\n(async def check.*?)```", guide, re.DOTALL)
    names = {name: getattr(sidecar, name) for name in sidecar.__all__}
    exec(compile(text, "guide", "exec"), names)  # what our own guide prints
    asked = []

    async def request(*args, **more):
        asked.append(inspect.signature(sidecar.HttpTransport.request).bind(None, *args, **more))
        trial = {"trial": True, "verified": ["+14155550123"]}
        return Reply(200, {}, json.dumps(trial).encode())

    config = SimpleNamespace(base_url="https://a.example", token=sidecar.Secret("canary"))
    acme = SimpleNamespace(config=config, http=SimpleNamespace(request=request))
    report = await names["check"](acme, timeout=1.0)
    assert (report.state, report.facts) == ("degraded", {"verified_recipients": 1})
    assert len(asked) == 1


def test_every_hook_is_shown_in_the_guide_and_no_other(document):
    guide = document("docs/writing-a-provider.md")
    specified = {n for n, f in vars(hookspecs).items() if hasattr(f, f"{hookspecs.PROJECT}_spec")}
    shown = re.findall(r"^@hookimpl\ndef (\w+)\(", guide, re.MULTILINE)
    assert set(shown) == specified
    assert len(specified) == 5


def test_the_command_in_the_guide_works(document, tmp_path):
    guide = document("docs/writing-a-provider.md")
    (provider,) = re.findall(r'```python\n("""Acme SMS.*?)```', guide, re.DOTALL)
    toml, module = re.findall(r"```\w+\n(.*?)```", guide.partition("## Commands")[2], re.DOTALL)[:2]
    (tmp_path / "sidecar_acme.py").write_text(provider)
    (tmp_path / "sidecar_acme_commands.py").write_text(module)
    info = tmp_path / "sidecar_acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sidecar-acme\nVersion: 1.0\n")
    groups = {"sidecar.providers": {"acme": "sidecar_acme"}}
    groups |= tomllib.loads(toml)["project"]["entry-points"]
    points = [f"[{g}]\n" + "".join(f"{k} = {v}\n" for k, v in p.items()) for g, p in groups.items()]
    (info / "entry_points.txt").write_text("".join(points))
    file = "providers: {acme: {token: canary-token}}\nchains: {sms: [acme]}\n"
    (tmp_path / "providers.yaml").write_text(file)

    def run(*arguments):
        command = [sys.executable, "-m", "sidecar", "acme", "rate", *arguments]
        environ = {"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
        options = {"cwd": tmp_path, "env": environ, "stdin": subprocess.DEVNULL}
        return subprocess.run(command, **options, capture_output=True, text=True, check=False)

    done = run("40", "--yes", "--json")
    assert (done.returncode, done.stdout) == (0, '{\n  "rate": 40\n}\n'), done.stderr
    assert [run("40").returncode, run("60", "--burst", "--yes").returncode] == [2, 1]


def test_the_readme_is_the_road_that_the_makefile_has(document):
    readme, makefile = document("README.md"), document("Makefile")
    for target in re.findall(r"^make (\w+)$", readme, re.MULTILINE):
        assert f"\n{target}: setup" in makefile
    assert readme.index("make run") < readme.index("curl -sS") < readme.index("make test")


def test_the_constraints_name_no_host(document):
    text = document("constraints.txt")
    assert "--hash=sha256:" in text
    assert "://" not in text
    assert not [line for line in text.splitlines() if line.startswith("-")]
