"""All faults in the order of the file, for people and for programs; and files not to be read."""

import pytest

from sidecar.config import ConfigFaults, load
from sidecar.config.faults import SHOWN

SMS = "chains: {sms: [console]}\nproviders: {console: }\n"


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


def test_a_file_that_is_not_there(load_text, tmp_path):
    with pytest.raises(ConfigFaults, match=r"none\.yaml:1:1: there is no such file"):
        load(tmp_path / "none.yaml", environ={}, provider_class=lambda kind: None)


def test_a_file_that_is_a_directory(tmp_path):
    with pytest.raises(ConfigFaults, match=r":1:1: cannot be read: Is a directory"):
        load(tmp_path, environ={}, provider_class=lambda kind: None)
