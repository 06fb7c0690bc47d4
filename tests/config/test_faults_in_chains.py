"""What a chain may not say: the line that a person reads."""

import pytest

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
    "one text of several": (
        "{email: 'mail, text'}",
        "1:17: chains.email: must be a list of providers: write `[mail, text]`",
    ),
    "one text": (
        "{email: mail}",
        "1:17: chains.email: must be a list of providers: write `[mail]`",
    ),
    "a text of nobody": (
        "{email: 'canary-x'}",
        "1:17: chains.email: must be a list of providers: write `[first, second]`",
    ),
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
