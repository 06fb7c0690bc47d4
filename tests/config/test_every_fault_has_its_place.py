"""Unknown, missing and ill-typed keys of every section: the line that a person reads."""

import pytest

from sidecar.config import ConfigFaults, load
from sidecar.config.faults import SHOWN

SMS = "chains: {sms: [console]}\nproviders: {console: }\n"
MAIL = "chains: {email: [m]}\nproviders:\n  m:\n    kind: mail\n"
GOOD = "    api_key: abcdef\n    sender: a@b.example\n"

SECTIONS = {
    "unknown section": (
        f"severs: {{}}\n{SMS}",
        "1:1: severs: unknown key - did you mean `server`?",
    ),
    "unknown and far": (f"zzz: 1\n{SMS}", "1:1: zzz: unknown key"),
    "unknown key": (
        f"server:\n  lissten: 127.0.0.1:1\n{SMS}",
        "2:3: server.lissten: unknown key - did you mean `listen`?",
    ),
    "a section that is no mapping": (
        f"log: here\n{SMS}",
        "1:6: log: must be a mapping of keys to values",
    ),
    "version": (
        f"version: 2\n{SMS}",
        "1:10: version: this version of OTP Sidecar reads `version: 1` only",
    ),
    "version as a word": (f"version: one\n{SMS}", "1:10: version: must be a whole number"),
    "environment": (
        f"environment: prodution\n{SMS}",
        (
            "1:14: environment: must be `development`, `test`, `staging` or `production`"
            " - did you mean `production`?"
        ),
    ),
    "listen without a port": (
        f"server: {{listen: 127.0.0.1}}\n{SMS}",
        "1:18: server.listen: must be an address with a port, such as 127.0.0.1:8780 or [::1]:8780",
    ),
    "listen as a number": (
        f"server: {{listen: 8780}}\n{SMS}",
        "1:18: server.listen: must be an address with a port, such as 127.0.0.1:8780 or [::1]:8780",
    ),
    "listen for everybody": (
        f"server: {{drain: 1s, listen: '0.0.0.0:80'}}\n{SMS}",
        (
            "1:29: server.listen: must be loopback or a Unix socket; another address needs "
            "`allow_non_loopback: true` and a `token_file`"
        ),
    ),
    "listen for everybody without a token": (
        f"server: {{listen: '0.0.0.0:80', allow_non_loopback: true}}\n{SMS}",
        (
            "1:18: server.listen: must be loopback or a Unix socket; another address needs "
            "`allow_non_loopback: true` and a `token_file`"
        ),
    ),
    "both listeners in one place": (
        f"server: {{ops_listen: '127.0.0.1:8780'}}\n{SMS}",
        "1:22: server.ops_listen: must not be `listen`",
    ),
    "allowed host": (
        f"server: {{allowed_hosts: [a.example, 'b/c']}}\n{SMS}",
        "1:37: server.allowed_hosts[1]: must be a host name, with or without a port",
    ),
    "no list": (
        f"server: {{allowed_hosts: a}}\n{SMS}",
        "1:25: server.allowed_hosts: must be a list",
    ),
    "no boolean": (
        f"server: {{allow_non_loopback: maybe}}\n{SMS}",
        "1:30: server.allow_non_loopback: must be true or false",
    ),
    "line break in a path": (
        f'log: {{path: "a\\nb"}}\n{SMS}',
        "1:13: log.path: must not contain line breaks or other control characters",
    ),
    "empty path": (f"log: {{path: ''}}\n{SMS}", "1:13: log.path: must not be empty"),
    "number for a text": (
        f"log: {{path: 12}}\n{SMS}",
        "1:13: log.path: must be a text: quote this value, YAML reads it as a number",
    ),
    "enumeration": (
        f"log: {{durability: fulll}}\n{SMS}",
        "1:19: log.durability: must be `normal` or `full` - did you mean `full`?",
    ),
    "duration": (
        f"log: {{retention: a month}}\n{SMS}",
        "1:18: log.retention: a duration is written like 10s, 250ms, 5m, 24h or 30d",
    ),
    "duration too long": (
        f"limits: {{deadline: 31s}}\n{SMS}",
        "1:20: limits.deadline: must be at most 30",
    ),
    "nothing at all": (
        f"limits: {{deadline: 0s}}\n{SMS}",
        "1:20: limits.deadline: must be more than 0",
    ),
    "too few": (f"limits: {{in_flight: 0}}\n{SMS}", "1:21: limits.in_flight: must be at least 1"),
    "half of one": (f"limits: {{queue: 1.5}}\n{SMS}", "1:17: limits.queue: must be a whole number"),
    "breaker": (
        f"breaker: {{failure_treshold: 5}}\n{SMS}",
        "1:11: breaker.failure_treshold: unknown key - did you mean `failure_threshold`?",
    ),
}

PROVIDERS = {
    "unknown kind": (
        "kind: mial\n",
        "4:11: providers.m.kind: no installed plugin serves kind `mial`",
    ),
    "unknown kind by name": (None, "3:3: providers.m: no installed plugin serves kind `m`"),
    "kind is a number": (
        "kind: 3\n",
        (
            "4:11: providers.m.kind: the kind of a plugin is written in lower-case letters, "
            "digits, `-` and `_`"
        ),
    ),
    "missing key": ("kind: mail\n    api_key: abcdef\n", "3:3: providers.m.sender: is missing"),
    "unknown key": (
        f"kind: mail\n{GOOD}    sendr: x\n",
        "7:5: providers.m.sendr: unknown key",
    ),
    "unknown and near": (
        f"kind: mail\n{GOOD}    prot: 25\n",
        "7:5: providers.m.prot: unknown key - did you mean `port`?",
    ),
    "unknown in a nested section": (
        f"kind: mail\n{GOOD}    pool: {{siez: 2}}\n",
        "7:12: providers.m.pool.siez: unknown key - did you mean `size`?",
    ),
    "ill-typed": (
        f"kind: mail\n{GOOD}    port: many\n",
        "7:11: providers.m.port: must be a whole number",
    ),
    "ill-typed and optional": (
        f"kind: mail\n{GOOD}    max_price: cheap\n",
        "7:16: providers.m.max_price: must be a number",
    ),
    "phone number": (
        "kind: mail\n    api_key: abcdef\n    sender: +15005550006\n",
        "6:13: providers.m.sender: must be a text: quote this value, YAML reads it as a number",
    ),
    "Norway": (
        "kind: mail\n    api_key: abcdef\n    sender: NO\n",
        (
            "6:13: providers.m.sender: must be a text: quote this value, YAML reads it as "
            "true or false"
        ),
    ),
    "a key without a value": (
        "kind: mail\n    api_key: abcdef\n    sender:\n",
        "6:12: providers.m.sender: must be a text",
    ),
    "too short": (
        "kind: mail\n    api_key: ab\n    sender: a@b.example\n",
        "5:14: providers.m.api_key: must have at least 3 characters",
    ),
    "its own validator": (
        "kind: mail\n    api_key: abcdef\n    sender: nobody\n",
        "6:13: providers.m.sender: 'nobody' is not an e-mail address",
    ),
    "line break": (
        'kind: mail\n    api_key: "abc\\r\\nX: y"\n    sender: a@b.example\n',
        "5:14: providers.m.api_key: must not contain line breaks or other control characters",
    ),
    "enumeration": (
        f"kind: mail\n{GOOD}    tls: startls\n",
        (
            "7:10: providers.m.tls: must be `starttls`, `implicit` or `none` - did you mean "
            "`starttls`?"
        ),
    ),
    "enumeration read as a boolean": (
        f"kind: mail\n{GOOD}    tls: no\n",
        "7:10: providers.m.tls: must be `starttls`, `implicit` or `none`",
    ),
    "timeout": (
        f"kind: mail\n{GOOD}    timeout: 31\n",
        "7:14: providers.m.timeout: must be at most 30",
    ),
    "own breaker": (
        f"kind: mail\n{GOOD}    breaker: {{growth: 0.5}}\n",
        "7:23: providers.m.breaker.growth: must be at least 1",
    ),
}

CHAINS = {
    "unknown provider": (
        "{email: [mial]}",
        "1:18: chains.email[0]: no provider is named `mial` - did you mean `mail`?",
    ),
    "unknown provider in the long form": (
        "{email: {providers: [mail, zzz]}}",
        "1:36: chains.email.providers[1]: no provider is named `zzz`",
    ),
    "another channel": (
        "{sms: [mail]}",
        "1:16: chains.sms[0]: `mail` does not serve `sms`, only email",
    ),
    "another channel of two": (
        "{email: [text]}",
        "1:18: chains.email[0]: `text` does not serve `email`, only sms and voice",
    ),
    "twice": ("{email: [mail, mail]}", "1:24: chains.email[1]: stands twice in this chain"),
    "empty list": ("{email: []}", "1:17: chains.email: must not be empty"),
    "empty list in the long form": (
        "{email: {providers: []}}",
        "1:29: chains.email.providers: must not be empty",
    ),
    "nothing": ("{email: }", "1:10: chains.email: must be a mapping of keys to values"),
    "no providers": ("{email: {panic: probe}}", "1:10: chains.email.providers: is missing"),
    "a number": ("{email: [3]}", "1:18: chains.email[0]: must be a text: quote this value"),
    "enumeration": (
        "{email: {providers: [mail], on_unknown: fail-over}}",
        "1:49: chains.email.on_unknown: must be `failover` or `stop` - did you mean `failover`?",
    ),
    "unknown key": (
        "{email: {providers: [mail], on_rejectd: stop}}",
        "1:37: chains.email.on_rejectd: unknown key - did you mean `on_rejected`?",
    ),
    "channel's name": (
        "{'e mail': [mail]}",
        "1:10: chains.e mail: a name has letters, digits, `-` and `_`, 64 at most",
    ),
    "no channel": ("{}", "1:1: chains: names no channel: nothing could be sent"),
}


@pytest.mark.parametrize("case", SECTIONS)
def test_sections(faults_of, case):
    text, expected = SECTIONS[case]
    assert faults_of(text) == [f"my.yaml:{expected}"]


@pytest.mark.parametrize("case", PROVIDERS)
def test_providers(faults_of, case):
    section, expected = PROVIDERS[case]
    body = f"    {section}" if section else ""
    found = faults_of(f"chains: {{email: [m]}}\nproviders:\n  m:\n{body}")
    assert found == [f"my.yaml:{expected}"]


@pytest.mark.parametrize("case", CHAINS)
def test_chains(faults_of, case):
    chains, expected = CHAINS[case]
    text = (
        f"chains: {chains}\nproviders:\n  mail: {{api_key: abc, sender: a@b}}\n"
        "  text: {key: k, sender: s}\n"
    )
    found = faults_of(text)
    assert len(found) == 1
    assert f"my.yaml:{expected}" in found[0]


def test_no_chains_at_all(faults_of):
    assert faults_of("version: 1\n") == ["my.yaml:1:1: chains: is missing"]


def test_a_provider_that_is_no_mapping(faults_of):
    found = faults_of("chains: {sms: [console]}\nproviders: {console: [kind]}\n")
    assert found == ["my.yaml:2:22: providers.console: must be a mapping of keys to values"]


def test_a_provider_s_name(faults_of):
    found = faults_of('chains: {sms: ["a.b"]}\nproviders: {"a.b": {kind: console}}\n')
    assert found == [
        "my.yaml:2:13: providers.a.b: a name has letters, digits, `-` and `_`, 64 at most"
    ]


def test_a_rule_over_several_keys_stands_at_the_provider(faults_of):
    found = faults_of("chains: {sms: [text]}\nproviders:\n  text: {sender: s}\n")
    assert found == ["my.yaml:3:3: providers.text: give `token` or `key`"]


def test_a_misspelt_provider_is_told_at_its_own_key(faults_of):
    found = faults_of("chains: {sms: [console]}\nproviders:\n  consol: {kind: console}\n")
    assert found == [
        (
            "my.yaml:3:3: providers.consol: no chain names it, but a chain names `console`"
            " - did you mean `console`?"
        )
    ]


def test_a_misspelt_name_that_is_the_kind_is_told_once(faults_of):
    found = faults_of("chains: {sms: [console]}\nproviders:\n  consol: {}\n")
    assert found == ["my.yaml:3:3: providers.consol: no installed plugin serves kind `consol`"]


def test_production_refuses_what_is_for_development(faults_of):
    found = faults_of(
        "environment: ${ENV}\nproviders:\n  console:\n  shown: {kind: console, enabled: false}\n"
        "chains: {sms: [console]}\n",
        ENV="production",
    )
    assert found == [
        f"my.yaml:{line}:3: providers.{name}: `{name}` is for development only, and `environment` "
        "is production: remove it, here and from the chains"
        for line, name in ((3, "console"), (4, "shown"))
    ]


def test_all_faults_come_at_once_in_the_order_of_the_file(faults_of):
    found = faults_of(
        "sever: {}\nlog: {durability: on}\nproviders:\n  mail: {sender: +1, apikey: x}\n"
        "  zzz: {}\nchains:\n  email: [mial, mail, mail]\n  sms: [mail]\n"
    )
    assert [line.split(": ")[1] for line in found] == [
        "sever",
        "log.durability",
        "providers.mail.api_key",
        "providers.mail.sender",
        "providers.mail.apikey",
        "providers.zzz",
        "chains.email[0]",
        "chains.email[2]",
        "chains.sms[0]",
    ]


def test_a_fault_can_be_read_by_a_program(load_text, tmp_path):
    with pytest.raises(ConfigFaults) as caught:
        load_text(f"limits: {{queu: 1}}\n{SMS}")
    (fault,) = caught.value.faults
    assert (fault.line, fault.column, fault.path, fault.message) == (
        1,
        10,
        "limits.queu",
        "unknown key",
    )
    assert fault.suggestion == "queue"
    assert fault.file == str(tmp_path / "my.yaml")


def test_a_long_list_of_faults_is_cut_in_the_text_only(load_text):
    text = "".join(f"k{n}: 1\n" for n in range(SHOWN + 5))
    with pytest.raises(ConfigFaults) as caught:
        load_text(text + SMS)
    assert len(caught.value.faults) == SHOWN + 5
    assert str(caught.value).endswith("\n... and 5 more")


def test_a_name_is_shown_cut_and_printable(faults_of):
    (found,) = faults_of(f'"a\\e[31m{"b" * 500}": 1\n{SMS}')
    assert found == f"my.yaml:1:1: a?[31m{'b' * 58}...: unknown key"


def test_too_many_providers(faults_of):
    text = "".join(f"  p{n}: {{kind: console}}\n" for n in range(201))
    (found,) = faults_of(f"chains: {{sms: [p0]}}\nproviders:\n{text}")
    assert found == "my.yaml:203:3: providers.p200: more than 200 providers"


def test_a_file_that_is_not_there(load_text, tmp_path):
    with pytest.raises(ConfigFaults, match=r"none\.yaml:1:1: there is no such file"):
        load(tmp_path / "none.yaml", environ={}, provider_class=lambda kind: None)


def test_a_file_that_is_a_directory(tmp_path):
    with pytest.raises(ConfigFaults, match=r":1:1: cannot be read: Is a directory"):
        load(tmp_path, environ={}, provider_class=lambda kind: None)
