"""The house keeps itself: who imports whom, where a library may be used, how long things are.

The rules read source text, so each of them is also shown a breach here, and must find it.
"""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import sidecar

ROOT = Path(__file__).parents[1]

FLOORS = {  # of the pure core: a module imports from lower floors only
    "frozen": -1,
    "spelling": -1,
    "arithmetic": 0,
    "encodings": 0,
    "model": 0,
    "recipient": 0,
    "segments": 0,
    "shares": 0,
    "timeouts": 0,
    "turns": 0,
    "verified": 0,
    "whereabouts": 0,
    "clock": 1,
    "discretion": 1,
    "errors": 1,
    "gate": 1,
    "policy": 1,
    "tariff": 1,
    "provider": 2,
    "account": 3,
    "breaker": 2,
    "link": 4,
    "attempt": 5,
    "order": 5,
    "chain": 6,
}
USERS = {  # of a library: these modules, and what lies beneath them
    "aiohttp": ("sidecar.api", "sidecar.front", "sidecar.wire.aiohttp_client"),
    "httptools": ("sidecar.wire.reply",),
    "yarl": ("sidecar.wire.target",),
    "yaml": ("sidecar.config",),
    "pluggy": ("sidecar.hookspecs", "sidecar.registry"),
    "sqlite3": ("sidecar.store.sqlite", "sidecar.store.checkpoint", "sidecar.store.reading"),
    "pytest": ("sidecar.testing",),
    "boto3": ("sidecar_aws",),
    "botocore": ("sidecar_aws",),
    "sendgrid": ("sidecar_sendgrid",),
    "python_http_client": ("sidecar_sendgrid",),
    "twilio": ("sidecar_twilio",),
    "aiosmtplib": ("sidecar_smtp",),
}
GUESTS_OF = {  # rooms that only these may enter
    "sidecar.__main__": (),
    "sidecar.cli": ("sidecar.__main__",),
    "sidecar.serve": ("sidecar.cli",),
    "sidecar.app": ("sidecar.cli", "sidecar.serve"),
    "sidecar.api": ("sidecar.app", "sidecar.front"),
    "sidecar.front": ("sidecar.app",),
    "sidecar.wire": ("sidecar.transport",),
    "sidecar.alerts.bureau": ("sidecar.app",),
    "sidecar.alerts.courier": ("sidecar.alerts",),
    "sidecar.alerts.trial": ("sidecar.cli",),
    "sidecar.testing": (),
    "sidecar.client": (),
}
FRONT_DOOR = ("sidecar", "sidecar.commands", "sidecar.testing")
LONGEST_FILE = 300
LONGEST_FUNCTION = 45


def read(folder, pattern):
    """Source texts by module name; `__init__.py` is the package itself."""
    found = {}
    for path in sorted(folder.glob(pattern)):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path.read_text()
    return found


@cache
def own_sources():
    return read(ROOT, "sidecar/**/*.py")


@cache
def plugin_sources():
    found = {}
    for plugin in (ROOT / "plugins").iterdir():
        found |= read(plugin, "sidecar_*.py") | read(plugin, "sidecar_*/**/*.py")
    return found


@cache
def parse(source):
    return ast.parse(source)


def imports(source, modules=(), *, when_loaded=False):
    """The modules that a source imports; with `when_loaded`, those alone that loading it loads."""
    found = set()
    pending = list(parse(source).body)
    while pending:
        node = pending.pop()
        if when_loaded and (is_function(node) or is_type_checking(node)):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used here"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            known = inner & set(modules)
            found |= known or {node.module}
            if len(known) < len(inner):
                found.add(node.module)
        else:
            pending += ast.iter_child_nodes(node)
    return found


def is_function(node):
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def within(module, rooms):
    return any(module == room or module.startswith(room + ".") for room in rooms)


# The rules. Each takes sources by module name and gives the breaches, as sentences.


def impure(sources):
    """The core imports the standard library and itself, from lower floors only."""
    for module, source in sources.items():
        if not module.startswith("sidecar.delivery."):
            continue
        floor = FLOORS.get(module.rpartition(".")[2])
        if floor is None:
            yield f"{module} has no floor"
            continue
        for name in imports(source, sources):
            if within(name, ["sidecar.delivery"]):
                if FLOORS.get(name.rpartition(".")[2], 99) >= floor:
                    yield f"{module} imports {name}"
            elif name.partition(".")[0] not in sys.stdlib_module_names:
                yield f"{module} imports {name}"


def burdened(sources):
    """The app's side is a guest in the app: the standard library and itself, nothing else."""
    for module, source in sources.items():
        if within(module, ["sidecar.client"]):
            for name in imports(source, sources):
                if not within(name, ["sidecar.client"]) and (
                    name.partition(".")[0] not in sys.stdlib_module_names
                ):
                    yield f"{module} imports {name}"


def circles(sources):
    """No circle of modules that load each other."""
    graph = {
        module: imports(source, sources, when_loaded=True) & set(sources) - {module}
        for module, source in sources.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield " -> ".join(error.args[1])


def misplaced_libraries(sources):
    """A library is used where it belongs, and nowhere else."""
    for module, source in sources.items():
        for name in imports(source):
            library = name.partition(".")[0]
            if library in USERS and not within(module, USERS[library]):
                yield f"{module} imports {library}"


def wrong_rooms(sources):
    """A room is entered by those who may; the core is below them all."""
    for module, source in sources.items():
        for name in imports(source, sources):
            for room, guests in GUESTS_OF.items():
                if within(name, [room]) and not within(module, [room, *guests]):
                    yield f"{module} imports {name}"


def back_doors(sources):
    """A plugin imports from the sidecar by its front door alone."""
    for module, source in sources.items():
        for name in imports(source):
            if within(name, ["sidecar"]) and name not in FRONT_DOOR:
                yield f"{module} imports {name}"


def too_long(sources):
    """Files and functions that a reader takes in at once."""
    for module, source in sources.items():
        lines = source.count("\n")
        if lines > LONGEST_FILE:
            yield f"{module} has {lines} lines"
        for node in ast.walk(parse(source)):
            if is_function(node) and node.end_lineno - node.lineno >= LONGEST_FUNCTION:
                yield f"{module}.{node.name} has {node.end_lineno - node.lineno + 1} lines"


@pytest.mark.parametrize(
    "rule",
    [impure, burdened, circles, misplaced_libraries, wrong_rooms],
    ids=lambda rule: rule.__name__,
)
def test_the_sidecar_keeps(rule):
    assert list(rule(own_sources())) == []


@pytest.mark.parametrize("rule", [back_doors, misplaced_libraries], ids=lambda rule: rule.__name__)
def test_the_plugins_keep(rule):
    assert list(rule(plugin_sources())) == []


def test_what_a_plugin_sends_with_is_not_a_test_tool():
    users = {m for m, source in plugin_sources().items() if "sidecar.testing" in imports(source)}
    assert users == set()


def test_the_tests_of_plugins_come_in_by_the_front_door_too():
    assert list(back_doors(read(ROOT / "plugins", "*/tests/*.py"))) == []


def test_files_and_functions_stay_short():
    assert list(too_long(own_sources() | plugin_sources())) == []


def test_the_rules_see_the_whole_house():
    assert {f"sidecar.delivery.{name}" for name in FLOORS} <= set(own_sources())
    assert "sidecar.transport" in own_sources()
    plugins = {name.partition(".")[0] for name in plugin_sources()}
    assert plugins == {f"sidecar_{n}" for n in ("aws", "console", "sendgrid", "smtp", "twilio")}


# A rule that cannot fail is none


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (impure, "sidecar.delivery.chain", "import aiohttp"),
        (impure, "sidecar.delivery.chain", "def f():\n    import pydantic"),
        (impure, "sidecar.delivery.chain", "from sidecar.settings import Secret"),
        (impure, "sidecar.delivery.chain", "from sidecar import Message"),
        (impure, "sidecar.delivery.breaker", "from sidecar.delivery.chain import Chain"),
        (impure, "sidecar.delivery.breaker", "from sidecar.delivery import link"),
        (impure, "sidecar.delivery.errors", "from sidecar.delivery.policy import RULES"),
        (impure, "sidecar.delivery.new_room", ""),
        (burdened, "sidecar.client.call", "import orjson"),
        (burdened, "sidecar.client.call", "from sidecar import __version__"),
        (burdened, "sidecar.client.call", "def f():\n    from sidecar.probe import connect"),
        (wrong_rooms, "sidecar.remote", "from sidecar.client import Client"),
        (circles, "sidecar.delivery.model", "from sidecar.delivery.chain import Chain"),
        (
            circles,
            "sidecar.delivery.clock",
            "try:\n    from sidecar import app\nfinally:\n    pass",
        ),
        (circles, "sidecar.hookspecs", "if True:\n    import sidecar.registry"),
        (misplaced_libraries, "sidecar.network", "from aiohttp import web"),
        (misplaced_libraries, "sidecar.dispatcher", "import aiohttp.web"),
        (misplaced_libraries, "sidecar.transport", "import aiohttp"),
        (misplaced_libraries, "sidecar.wire.lean", "import aiohttp"),
        (misplaced_libraries, "sidecar.wire.aiohttp_client", "import httptools"),
        (misplaced_libraries, "sidecar.wire.lean2", "from httptools import HttpRequestParser"),
        (wrong_rooms, "sidecar.app", "from sidecar.wire.lean import LeanClient"),
        (misplaced_libraries, "sidecar.app", "def f():\n    import yaml"),
        (misplaced_libraries, "sidecar.app", "import pluggy"),
        (misplaced_libraries, "sidecar.store.memory", "import sqlite3"),
        (misplaced_libraries, "sidecar.transport", "from botocore.session import Session"),
        (misplaced_libraries, "sidecar_smtp", "import twilio"),
        (misplaced_libraries, "sidecar_aws.ses", "import pytest"),
        (wrong_rooms, "sidecar.dispatcher", "from sidecar.api.problems import Problem"),
        (wrong_rooms, "sidecar.api.routes", "from sidecar import app"),
        (wrong_rooms, "sidecar.dispatcher", "from sidecar.alerts.bureau import Bureau"),
        (wrong_rooms, "sidecar.app", "from sidecar.testing import ManualClock"),
        (back_doors, "sidecar_smtp", "from sidecar.delivery.errors import Unknown"),
        (back_doors, "sidecar_smtp", "def f():\n    import sidecar.network"),
        (too_long, "sidecar.app", "\n" * 301),
        (too_long, "sidecar.app", "def f():\n" + "    pass\n" * 45),
        (too_long, "sidecar.app", "class C:\n    async def f(self):\n" + "        pass\n" * 45),
    ],
)
def test_a_planted_breach_is_found(rule, module, source):
    assert list(rule(own_sources() | {module: source})) != list(rule(own_sources()))


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (impure, "sidecar.delivery.chain", "import asyncio\nfrom sidecar.delivery import link"),
        (circles, "sidecar.delivery.model", "def f():\n    import sidecar.delivery.chain"),
        (
            circles,
            "sidecar.delivery.model",
            "import typing\nif typing.TYPE_CHECKING:\n    import sidecar.delivery.chain",
        ),
        (misplaced_libraries, "sidecar.api.new", "from aiohttp import web"),
        (misplaced_libraries, "sidecar.config.new", "import yaml"),
        (back_doors, "sidecar_smtp", "from sidecar import Message, testing\nimport sidecar_smtp.x"),
        (too_long, "sidecar.app", "\n" * 300),
        (too_long, "sidecar.app", "def f():\n" + "    pass\n" * 44),
    ],
)
def test_what_is_allowed_is_no_breach(rule, module, source):
    assert list(rule(own_sources() | {module: source})) == list(rule(own_sources()))


# The front door


def test_the_front_door_is_in_order():
    assert sidecar.__all__ == sorted(sidecar.__all__)
    assert len(set(sidecar.__all__)) == len(sidecar.__all__)


@pytest.mark.parametrize("name", sidecar.__all__)
def test_every_name_of_the_front_door_can_be_imported(name):
    assert getattr(sidecar, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        import_module("sidecar").no_such_name  # noqa: B018 - the look-up is the test


def test_a_checker_of_types_sees_what_is_there_at_run_time():
    tree = ast.parse((ROOT / "sidecar/__init__.py").read_text())
    (block,) = [node for node in tree.body if is_type_checking(node)]
    typed = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(typed) == set(sidecar.__all__) - {"__version__"}
    for name, module in typed.items():
        assert getattr(import_module(module), name) is getattr(sidecar, name)


def test_the_front_door_alone_loads_nothing_heavy():
    program = "import sys, sidecar; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["aiohttp", "asyncio", "pydantic", "pluggy", "yaml", "sqlite3"]
    done = subprocess.run(
        [sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
