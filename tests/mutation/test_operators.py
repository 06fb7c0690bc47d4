"""The mutants themselves: what is changed, what is left alone, and how each is named."""

from pathlib import Path

from mutation.operators import mutants

SOURCE = '''"""Words."""
LIMIT: int | None = 3
TABLE = {State.OPEN: (True, "no")}

class Gate:
    """More words."""
    width: float = 2.0

    @property
    def open(self) -> int | None:
        return self.count >= LIMIT

    async def enter(self, who):
        assert who is not None, "who?"
        if not self.open and who:
            self.count += 1
        match who:
            case State.OPEN:
                return min(who, self.width)
            case _:
                await self.tell(who, loudly=True)
'''
MEMBERS = {"State": ["OPEN", "SHUT"]}


def named(source=SOURCE, within=""):
    return [(m.where, m.what) for m in mutants(source, "gate.py", MEMBERS, within=within)]


def test_tables_constants_and_defaults_are_changed():
    assert [what for where, what in named() if where in ("LIMIT", "TABLE", "Gate")] == [
        "LIMIT: int | None = {3 -> 4}",
        "LIMIT: int | None = {3 -> 2}",
        "TABLE = {{State.OPEN -> State.SHUT}: (True, 'no')}",
        "TABLE = {State.OPEN: ({True -> False}, 'no')}",
        "TABLE = {State.OPEN: (True, {'no' -> 'noXX'})}",
        "width: float = {2.0 -> 3.0}",
        "width: float = {2.0 -> 1.0}",
    ]


def test_the_body_of_a_property_is_changed():
    assert named(within="Gate.open") == [
        ("Gate.open", "return {self.count >= LIMIT -> None}"),
        ("Gate.open", "return self.count {>= -> >} LIMIT"),
    ]


def test_a_function_is_changed_in_every_kind_of_place():
    assert [what for _, what in named(within="Gate.enter")] == [
        "if {not self.open and who -> True}:",
        "if {not self.open and who -> False}:",
        "if not self.open {and -> or} who:",
        "if {not self.open and who -> who}:",
        "if not {self.open and who -> self.open}:",
        "if {not self.open -> self.open} and who:",
        "self.count {+= -> -=} 1",
        "delete: self.count += 1",
        "self.count += {1 -> 2}",
        "self.count += {1 -> 0}",
        "remove: case State.OPEN:",
        "remove: case _:",
        "case {State.OPEN -> State.SHUT}:",
        "return {min(who, self.width) -> None}",
        "return {min -> max}(who, self.width)",
        "delete: await self.tell(who, loudly=True)",
        "await self.tell({who, loudly=True -> who})",
        "await self.tell(who, {loudly=True -> loudly=False})",
    ]


def test_a_name_does_not_depend_on_the_place_in_the_file():
    assert named("\n\n# A remark.\n" + SOURCE) == named()


def test_two_changes_of_one_name_are_told_apart():
    source = "def f(x):\n    x.y = 1\n    x.y = 1\n"
    assert [what for _, what in named(source)] == [
        *["delete: x.y = 1", "x.y = {1 -> 2}", "x.y = {1 -> 0}"],
        *["delete: x.y = 1 (2)", "x.y = {1 -> 2} (2)", "x.y = {1 -> 0} (2)"],
    ]


def test_each_mutant_is_the_source_with_its_one_change():
    source = "def f(x):\n    if x < 1:\n        return x + 1\n    return -1\n"

    def values(code):
        namespace = {}
        exec(code, namespace)
        return [namespace["f"](x) for x in (0, 1)]

    found = {m.what: values(m.code) for m in mutants(source, "f.py", {})}
    assert values(compile(source, "f.py", "exec")) == [1, -1]
    assert found["if x {< -> <=} 1:"] == [1, 2]
    assert found["return x {+ -> -} 1"] == [-1, -1]
    assert found["if {x < 1 -> False}:"] == [-1, -1]
    assert found["return {x + 1 -> None}"] == [None, -1]


def test_the_core_gives_mutants_of_every_statement_that_can_have_one():
    path = Path(__file__).resolve().parents[2] / "sidecar" / "delivery" / "policy.py"
    found = mutants(path.read_text(), str(path), {"Next": ["NO", "YES"]}, within="RULES")
    assert len(found) > 10
