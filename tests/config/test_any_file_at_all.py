"""Whatever the bytes of the file are: a `Config` or a `ConfigError`, and soon."""

import time

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar import ConfigError
from sidecar.config import Config, effective

RULES = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
PATIENCE = 20.0
"""Seconds of processor time; what these files once took was minutes."""

TOKENS = [
    *"{}[]:,-&*!|>'\"%@`#?~=\n\t $",
    "\n  ",
    "\n- ",
    ": ",
    "&a ",
    "*a",
    "<<: ",
    "!!python/name:os.system ",
    "---\n",
    "${A}",
    "${NONE}",
    "${A:-x}",
    "${file:/etc/hostname}",
    "$$",
    "null",
    "012",
    "1e9",
    ".nan",
    "yes",
    "version: 1\n",
    "server: ",
    "listen: ",
    "log: ",
    "providers:\n  ",
    "console: ",
    "mail: ",
    "text: ",
    "kind: ",
    "optional: true",
    "api_key: ",
    "sender: ",
    "breaker: ",
    "chains:\n  ",
    "sms: [console]\n",
    "email: ",
]
KEYS = st.sampled_from(
    [
        *("version", "environment", "server", "listen", "log", "path", "limits", "deadline"),
        *("breaker", "growth", "providers", "console", "mail", "text", "kind", "optional"),
        *("enabled", "timeout", "api_key", "sender", "pool", "size", "key", "chains", "email"),
        *("sms", "panic", "on_unknown"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["${A}", "${NONE}", "${A:-}", "10s", "console", "mail", "production"])
)
TREES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(KEYS, below, max_size=5),
    max_leaves=25,
)


def told(load_text, data, **more):
    """The error's text; None where there is a configuration, which can then be shown."""
    try:
        config = load_text(data, A="alpha", **more)
    except ConfigError as error:
        return str(error)
    assert isinstance(config, Config)
    assert yaml.safe_dump(effective(config))
    return None


def judge(load_text, data):
    assert told(load_text, data) != ""


@RULES
@given(data=st.binary(max_size=300))
def test_any_bytes(load_text, data):
    judge(load_text, data)


@RULES
@given(text=st.text(max_size=300))
def test_any_text(load_text, text):
    judge(load_text, text.encode("utf-8", "surrogatepass"))


@RULES
@given(tokens=st.lists(st.sampled_from(TOKENS), max_size=60))
def test_any_heap_of_tokens(load_text, tokens):
    judge(load_text, "".join(tokens))


@RULES
@given(tree=st.dictionaries(KEYS, TREES, max_size=8))
def test_any_tree(load_text, tree):
    judge(load_text, yaml.safe_dump(tree))


@RULES
@given(text=st.text(max_size=100))
def test_any_dotenv(load_text, text):
    found = told(load_text, CHAINS + "providers: {console: }\n", dotenv=text.encode())
    assert found is None or ".env:" in found


CHAINS = "chains:\n  sms: [console]\n"
SLOW = {
    "open brackets": "[" * 250_000,
    "open braces": "{a: " * 60_000,
    "block entries": "- " * 120_000,
    "question marks": "? " * 120_000,
    "one long word": "a" * 250_000,
    "a long quotation": '"' + "\\n" * 120_000,
    "many keys": "".join(f"key{n}: 1\n" for n in range(15_000)),
    "fewer keys, all unknown": "".join(f"key{n}: 1\n" for n in range(4_900)) + CHAINS,
    "many kinds": "providers:\n" + "".join(f"  p{n}: {{kind: k{n}}}\n" for n in range(2_000)),
    "many names": (
        "providers:\n"
        + "".join(f"  console{n}: {{kind: console}}\n" for n in range(190))
        + "chains:\n"
        + "".join(f"  c{n}: [{', '.join(f'consol{m}' for m in range(49))}]\n" for n in range(150))
    ),
    "one chain": f"chains: {{sms: [{'a, ' * 9_000}]}}\n",
    "anchors": "".join(f"a{n}: &a{n} 1\n" for n in range(9_000)),
    "dollars": f"log: {{path: '{'$' * 250_000}'}}\n",
    "variables": f"log: {{path: '{'${A}' * 60_000}'}}\n",
    "unknown variables": f"log: {{path: '{'${B}' * 60_000}'}}\n",
    "open variables": f"log: {{path: '{'${' * 120_000}'}}\n",
    "documents": "---\n" * 60_000,
}


@pytest.mark.parametrize("case", SLOW)
def test_a_file_made_to_be_slow(load_text, case):
    before = time.process_time()
    with pytest.raises(ConfigError):
        load_text(SLOW[case], A="alpha" * 1000)
    assert time.process_time() - before < PATIENCE
