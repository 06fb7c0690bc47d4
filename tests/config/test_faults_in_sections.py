"""Unknown and ill-typed keys of the sections at the top: the line that a person reads."""

import pytest

BOTH = "has the port of `listen`, and both cannot be there: give it another"
SMS = "chains: {sms: [console]}\nproviders: {console: }\n"

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
    "a look at accounts all the time": (
        f"preflight: {{interval: 0s}}\n{SMS}",
        "1:23: preflight.interval: must be at least 1",
    ),
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
    "users of a socket that is none": (
        f"server: {{listen: '127.0.0.1:1', peer_uids: [1000]}}\n{SMS}",
        "1:44: server.peer_uids: needs `listen` to be a Unix socket",
    ),
    "a user id that is none": (
        f"server: {{listen: 'unix:/run/a', peer_uids: [1000, -1]}}\n{SMS}",
        "1:51: server.peer_uids[1]: must be at least 0",
    ),
    "no connections": (
        f"server: {{connections: 0}}\n{SMS}",
        "1:23: server.connections: must be at least 1",
    ),
    "no time for a head": (
        f"server: {{header_timeout: 0s}}\n{SMS}",
        "1:26: server.header_timeout: must be at least 0.1",
    ),
    "both listeners in one place": (
        f"server: {{ops_listen: '127.0.0.1:8780'}}\n{SMS}",
        f"1:22: server.ops_listen: {BOTH}",
    ),
    "one of them on all addresses": (
        f"server: {{ops_listen: '0.0.0.0:8780'}}\n{SMS}",
        f"1:22: server.ops_listen: {BOTH}",
    ),
    "one of them by its name": (
        f"server: {{ops_listen: 'localhost:8780'}}\n{SMS}",
        f"1:22: server.ops_listen: {BOTH}",
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
    "keys outlive the log": (
        f"log: {{retention: 1h, keys: 24h}}\n{SMS}",
        "1:28: log.keys: must not be longer than `retention`",
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


@pytest.mark.parametrize("case", SECTIONS)
def test_sections(faults_of, case):
    text, expected = SECTIONS[case]
    assert faults_of(text) == [f"my.yaml:{expected}"]
