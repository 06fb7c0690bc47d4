"""`${...}` in texts: what it stands for, and what happens where that is not there."""

import os

import pytest

from sidecar.config.variables import FILE_LIMIT

REST = "chains: {sms: [console]}\nproviders: {console: }\n"

EXPANDED = {
    "${A}": "alpha",
    "x-${A}-${B}-y": "x-alpha-beta-y",
    "${A:-other}": "alpha",
    "${NONE:-other}": "other",
    "${EMPTY:-other}": "other",
    "${NONE:-a: b}": "a: b",
    "${NONE:-http://h:80/$$x}": "http://h:80/$x",
    "$$": "$",
    "$$$$": "$$",
    "$${A}": "${A}",
    "$5 and 5$ and $A": "$5 and 5$ and $A",
    "${SIGN}": "${A} $$",
    "${BOTH}": "environment",
    "${BENEATH}": "dotenv",
}
BARE = "is no variable without braces: write `${NAME}`, or `$$` for a `$`"


@pytest.mark.parametrize("text", ["$A", "$MAIL_KEY", "$_X9"])
def test_a_name_without_braces_is_refused_and_not_repeated(faults_of, text):
    found = faults_of(f"log: {{path: '{text}'}}\n{REST}", A="alpha")
    assert found == [f"my.yaml:1:13: log.path: {BARE}"]


@pytest.mark.parametrize("text", ["$$MAIL_KEY", "$Secret", "$5", "x$A", "$A-b", "${SIGN}"])
def test_other_texts_with_a_dollar_sign_are_texts(load_text, text):
    became = load_text(f"log: {{path: '{text}'}}\n{REST}", SIGN="$A").log.path
    assert became == {"$$MAIL_KEY": "$MAIL_KEY", "${SIGN}": "$A"}.get(text, text)


DOTENV = "BOTH=beneath\nexport BENEATH='dotenv'\nBARE\n# BENEATH=x\nNESTED=${A}\n"
ENVIRON = {"A": "alpha", "B": "beta", "EMPTY": "", "SIGN": "${A} $$", "BOTH": "environment"}


@pytest.mark.parametrize("text", EXPANDED)
def test_what_a_text_becomes(load_text, text):
    config = load_text(f"log: {{path: '{text}'}}\n{REST}", dotenv=DOTENV, **ENVIRON)
    assert config.log.path == EXPANDED[text]


def test_dotenv_is_not_expanded_itself(load_text):
    config = load_text(f"log: {{path: '${{NESTED}}'}}\n{REST}", dotenv=DOTENV, **ENVIRON)
    assert config.log.path == "${A}"
    assert config.environ["NESTED"] == "${A}"
    assert config.environ["BOTH"] == "environment"


def test_a_value_cannot_bring_yaml_of_its_own(load_text):
    config = load_text(f"log: {{path: '${{A}}'}}\n{REST}", A="x, durability: full}")
    assert config.log.path == "x, durability: full}"
    assert config.log.durability == "normal"


def test_texts_serve_as_numbers_booleans_durations_and_words(load_text):
    config = load_text(
        "version: '${V:-1}'\n"
        "server: {listen: '127.0.0.1:${PORT}', ops_listen: '${OPS:-}', token_file: '${TOKEN:-}',"
        " allow_non_loopback: '${ANY:-no}', drain: '${DRAIN}'}\n"
        "limits: {queue: '${QUEUE}', deadline: '${DEADLINE:-7s}'}\n"
        "breaker: {enabled: '${BREAKER}', growth: '${GROWTH}'}\n"
        "chains: {sms: {providers: ['${FIRST}'], on_unknown: '${UNKNOWN}', panic: '${PANIC}'}}\n"
        "providers: {console: {timeout: '${TIMEOUT}'}}\n",
        PORT="0",
        DRAIN="500ms",
        QUEUE="12",
        BREAKER="false",
        GROWTH="1.5",
        FIRST="console",
        UNKNOWN="stop",
        PANIC="off",
        TIMEOUT="2.5",
    )
    assert str(config.server.listen) == "127.0.0.1:0"
    assert config.server.ops_listen is None
    assert config.server.token_file is None
    assert (config.server.drain, config.limits.queue, config.limits.deadline) == (0.5, 12, 7.0)
    assert (config.breaker.enabled, config.breaker.growth) == (False, 1.5)
    chain = config.chains["sms"]
    assert (chain.providers, chain.on_unknown, chain.panic) == (("console",), "stop", "off")
    assert config.providers["console"].timeout == 2.5


HOW = "this variable is not understood: write `${NAME}`, `${NAME:-default}`, `${file:/path}`,"
FAULTY = {
    "${NONE}": (
        "the variable `NONE` is not set: set it in the environment or in `.env`, "
        "or give a default, `${NONE:-...}`"
    ),
    "${EMPTY}": "the variable `EMPTY` is empty: set it",
    "${BREAK}": "the variable `BREAK` holds a line break or another control character",
    "${BYTES}": "the variable `BYTES` holds a line break or another control character",
    "${A": HOW,
    "${}": HOW,
    "${A-b}": HOW,
    "${A:?b}": HOW,
    "${1}": HOW,
    "${ A }": HOW,
    "${A:-${B}}": HOW,
    "${file:}": HOW,
    "${file:/none/such}": "the file `/none/such` is not there",
    "${file:my.yaml/x}": "the file `my.yaml/x` is not there",
    "${file:/dev/zero}": "the file `/dev/zero` is not a regular file",
    "${file:pipe}": "the file `pipe` is not a regular file",
    "${file:lines}": "the file `lines` holds a line break or another control character",
    "${file:return}": "the file `return` holds a line break or another control character",
    "${file:latin}": "the file `latin` is not UTF-8",
    "${file:long}": "the file `long` is longer than 64 KiB",
    "${file:empty}": "the file `empty` is empty",
    "${file:newline}": "the file `newline` is empty",
}


@pytest.fixture
def secret_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    contents = {
        "secret": b"hunter-2\n",
        "windows": b"hunter-2\r\n",
        "lines": b"hunter-2\n\n",
        "return": b"hunter\r2",
        "latin": b"caf\xe9",
        "long": b"x" * (FILE_LIMIT + 1),
        "longest": b"x" * FILE_LIMIT,
        "empty": b"",
        "newline": b"\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)


@pytest.mark.parametrize("text", FAULTY)
@pytest.mark.usefixtures("secret_files")
def test_a_fault_stands_at_the_value(faults_of, text):
    environ = {**ENVIRON, "BREAK": "hunter\n2", "BYTES": os.fsdecode(b"caf\xe9")}
    (fault,) = faults_of(f"{REST}log:\n  path: '{text}'\n", **environ)
    assert fault.startswith(f"my.yaml:4:9: log.path: {FAULTY[text]}")
    assert "hunter" not in fault


def test_every_variable_of_one_text_is_told(faults_of):
    found = faults_of(f"{REST}log: {{path: '${{ONE}} ${{TWO}} ${{ONE}}'}}\n")
    assert [fault.split("`")[1] for fault in found] == ["ONE", "TWO"]


@pytest.mark.parametrize("name", ["secret", "windows"])
@pytest.mark.usefixtures("secret_files")
def test_a_file_s_one_trailing_newline_is_trimmed(load_text, name):
    config = load_text(f"log: {{path: '${{file:{name}}}'}}\n{REST}")
    assert config.log.path == "hunter-2"
    assert "hunter-2" in config.secrets


@pytest.mark.usefixtures("secret_files")
def test_a_file_may_be_as_long_as_the_limit(load_text, tmp_path):
    config = load_text(f"log: {{path: '${{file:{tmp_path}/longest}}'}}\n{REST}")
    assert len(config.log.path) == FILE_LIMIT


@pytest.mark.usefixtures("secret_files")
def test_variables_cannot_be_multiplied_without_end(faults_of):
    (fault,) = faults_of(f"log: {{path: '{'${file:longest}' * 5000}'}}\n{REST}")
    assert "the variables up to here stand for too much text" in fault


@pytest.mark.parametrize(
    ("dotenv", "expected"),
    [
        ("A=1\nhunter 2\nB=3\n", ".env:2:1: not a line of the form NAME=value"),
        ("A='hunter2\n", ".env:1:1: not a line of the form NAME=value"),
        (b"A=caf\xe9\n", ".env:1:1: is not UTF-8"),
        ("A=" + "x" * FILE_LIMIT, ".env:1:1: is longer than 64 KiB"),
        ("A=1\nB='hunter\0'\n", ".env:2:1: holds a name or a value that no variable can have"),
        ("A\0B=hunter2\n", ".env:1:1: holds a name or a value that no variable can have"),
        ("'A=B'=hunter2\n", ".env:1:1: holds a name or a value that no variable can have"),
    ],
)
def test_a_faulty_dotenv(faults_of, dotenv, expected):
    assert faults_of(REST, dotenv=dotenv) == [expected]


def test_a_dotenv_that_is_a_directory(faults_of, tmp_path):
    (tmp_path / ".env").mkdir()
    assert faults_of(REST) == [".env:1:1: is not a regular file"]


def test_keys_are_not_expanded(faults_of):
    (fault,) = faults_of(f"'${{A}}': 1\n{REST}", A="log")
    assert fault == "my.yaml:1:1: ${A}: unknown key"
