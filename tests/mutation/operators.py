"""Small changes to a module, one at a time, each of which some test should notice.

They are made in the syntax tree, so that module-level tables, the defaults of a dataclass and the
bodies of properties are changed like any other code. A mutant is named by the function it is in
and by the statement it changes, never by a line: it keeps its name when the file moves around it.
"""

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType

Members = dict[str, list[str]]
"""The members of every enumeration that the module may name, in order."""
Parents = list[ast.AST]

AROUND = 48
"""Characters of the statement kept on either side of a change in its name."""
COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
BUILTINS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    where: str
    what: str
    code: CodeType


@dataclass(frozen=True)
class Edit:
    """One change: `owner.field` (or its item at `index`) becomes `new`; None takes an item out."""

    owner: ast.AST
    field: str
    new: object
    index: int | None = None
    label: str | None = None  # what to call it where the statement before and after says it badly

    def make(self) -> object:
        """Make the change, and give back what the field held."""
        old = getattr(self.owner, self.field)
        if self.index is None:
            setattr(self.owner, self.field, self.new)
        else:  # a list of its own: the operator may be on its way through the old one
            put = [] if self.new is None else [self.new]
            setattr(self.owner, self.field, [*old[: self.index], *put, *old[self.index + 1 :]])
        return old


def mutants(source: str, filename: str, members: Members, *, within: str = "") -> list[Mutant]:
    """Every mutant of a source, of those parts alone whose qualified name begins with `within`."""
    tree = ast.parse(source, filename)
    found, seen = [], Counter[tuple[str, str]]()
    for node, parents in list(walk(tree, [])):
        where = qualified_name([*parents, node])
        if not where.startswith(within):
            continue
        for edit in edits(node, parents, members):
            holders = ast.stmt | ast.match_case
            statement = next(n for n in [node, *reversed(parents)] if isinstance(n, holders))
            before = header(statement)
            old = edit.make()
            what = edit.label or difference(before, header(statement))
            code = compile(ast.fix_missing_locations(tree), filename, "exec")
            setattr(edit.owner, edit.field, old)
            seen[where, what] += 1
            again = seen[where, what]
            found.append(Mutant(where, what if again == 1 else f"{what} ({again})", code))
    return found


def walk(node: ast.AST, parents: Parents) -> Iterator[tuple[ast.AST, Parents]]:
    """Every node that may be changed, with those it is in: no annotation, no decorator."""
    yield node, parents
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_comment"):
            continue
        for child in value if isinstance(value, list) else [value]:
            # An assertion tells a type checker what the code has established.
            if isinstance(child, ast.AST) and not isinstance(child, ast.Assert | ast.Import):
                yield from walk(child, [*parents, node])


def qualified_name(chain: Parents) -> str:
    named = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    names = [node.name for node in chain if isinstance(node, named)]
    if names:
        return ".".join(names)
    for node in chain:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            return ast.unparse(target)
    return "module"


# What is changed in each kind of node


def edits(node: ast.AST, parents: Parents, members: Members) -> Iterator[Edit]:
    for kinds, operator in OPERATORS:
        if isinstance(node, kinds):
            yield from operator(node, parents, members)


def compare(node: ast.Compare, parents: Parents, members: Members) -> Iterator[Edit]:
    for index, operator in enumerate(node.ops):
        yield Edit(node, "ops", COMPARISONS[type(operator)](), index)


def both(node: ast.BoolOp, parents: Parents, members: Members) -> Iterator[Edit]:
    yield Edit(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    for index in range(len(node.values)):
        if len(node.values) > 2:
            yield Edit(node, "values", None, index)
        else:
            yield replaced(node, parents, node.values[1 - index])


def arithmetic(node: ast.BinOp, parents: Parents, members: Members) -> Iterator[Edit]:
    if type(node.op) in ARITHMETIC and not is_type(node, parents):
        yield Edit(node, "op", ARITHMETIC[type(node.op)]())


def is_type(node: ast.BinOp, parents: Parents) -> bool:
    """Whether it is a union of types, as in `isinstance(x, int | float)`."""
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return names <= {"int", "float", "str", "dict", "list", "tuple"} or isinstance(
        parents[-1], ast.Subscript
    )


def in_place(node: ast.AugAssign, parents: Parents, members: Members) -> Iterator[Edit]:
    yield Edit(node, "op", ARITHMETIC[type(node.op)]())


def negation(node: ast.UnaryOp, parents: Parents, members: Members) -> Iterator[Edit]:
    if isinstance(node.op, ast.Not):
        yield replaced(node, parents, node.operand)


def condition(node: ast.AST, parents: Parents, members: Members) -> Iterator[Edit]:
    """Force it both ways; a loop that never ends tells nothing new."""
    if not isinstance(node, ast.While):
        yield Edit(node, "test", ast.Constant(value=True))
    yield Edit(node, "test", ast.Constant(value=False))


def filters(node: ast.comprehension, parents: Parents, members: Members) -> Iterator[Edit]:
    for index in range(len(node.ifs)):
        yield Edit(node, "ifs", ast.Constant(value=True), index)
        yield Edit(node, "ifs", ast.Constant(value=False), index)


def constant(node: ast.Constant, parents: Parents, members: Members) -> Iterator[Edit]:
    parent = parents[-1]
    if isinstance(parent, ast.Expr | ast.JoinedStr | ast.FormattedValue) or is_fixed(parents):
        return  # a docstring, or a piece of an f-string
    match node.value:
        case bool():
            yield Edit(node, "value", not node.value)
        case int() | float():
            yield Edit(node, "value", node.value + 1)
            yield Edit(node, "value", node.value - 1)
        case str():
            yield Edit(node, "value", f"{node.value}XX")


def is_fixed(parents: Parents) -> bool:
    return any(isinstance(p, ast.FormattedValue | ast.ImportFrom) for p in parents)


def f_string(node: ast.JoinedStr, parents: Parents, members: Members) -> Iterator[Edit]:
    if not isinstance(parents[-1], ast.FormattedValue):  # that one is a format, such as `.1f`
        yield replaced(node, parents, ast.Constant(value="XX"))


def enumeration(node: ast.Attribute, parents: Parents, members: Members) -> Iterator[Edit]:
    of = members.get(node.value.id, []) if isinstance(node.value, ast.Name) else []
    if node.attr in of:
        yield Edit(node, "attr", of[(of.index(node.attr) + 1) % len(of)])


def builtin(node: ast.Name, parents: Parents, members: Members) -> Iterator[Edit]:
    if node.id in BUILTINS:
        yield Edit(node, "id", BUILTINS[node.id])


def keyword(node: ast.Call, parents: Parents, members: Members) -> Iterator[Edit]:
    for index, given in enumerate(node.keywords):
        if given.arg is not None:
            yield Edit(node, "keywords", None, index)


def result(node: ast.Return, parents: Parents, members: Members) -> Iterator[Edit]:
    match node.value:
        case None | ast.Constant(value=None) | ast.Constant(value=bool()):
            return  # a bool is turned round as a constant
        case _:
            yield Edit(node, "value", ast.Constant(value=None))


def case(node: ast.Match, parents: Parents, members: Members) -> Iterator[Edit]:
    for index, one in enumerate(node.cases):
        name = ast.unparse(one).strip().partition("\n")[0]
        if len(node.cases) > 1:
            yield Edit(node, "cases", None, index, label=f"remove: {name}")
        if one.guard is not None:
            for value in (True, False):
                yield Edit(one, "guard", ast.Constant(value=value), label=f"guard {value}: {name}")


def statement(node: ast.stmt, parents: Parents, members: Members) -> Iterator[Edit]:
    """Take it out. Without the assignment of a local name the function would only fall over."""
    inside = any(isinstance(p, ast.FunctionDef | ast.AsyncFunctionDef) for p in parents)
    if inside and has_effect(node):
        edit = replaced(node, parents, ast.Pass())
        yield Edit(edit.owner, edit.field, edit.new, edit.index, label=f"delete: {header(node)}")


def has_effect(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()):
            return False
        case ast.Assign(targets=[ast.Name()]) | ast.AnnAssign(target=ast.Name()):
            return False
        case ast.Expr() | ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            return True
    return isinstance(node, ast.Raise | ast.Continue)


def proceed(node: ast.Continue, parents: Parents, members: Members) -> Iterator[Edit]:
    edit = replaced(node, parents, ast.Break())
    yield Edit(edit.owner, edit.field, edit.new, edit.index, label="{continue -> break}")


Operator = Callable[..., Iterator[Edit]]
OPERATORS: list[tuple[type | tuple[type, ...], Operator]] = [
    (ast.Compare, compare),
    (ast.BoolOp, both),
    (ast.BinOp, arithmetic),
    (ast.AugAssign, in_place),
    (ast.UnaryOp, negation),
    ((ast.If, ast.IfExp, ast.While), condition),
    (ast.comprehension, filters),
    (ast.Constant, constant),
    (ast.JoinedStr, f_string),
    (ast.Attribute, enumeration),
    (ast.Name, builtin),
    (ast.Call, keyword),
    (ast.Return, result),
    (ast.Match, case),
    (ast.stmt, statement),
    (ast.Continue, proceed),
]


def replaced(node: ast.AST, parents: Parents, new: ast.AST) -> Edit:
    """The edit that puts `new` where `node` is."""
    for field, value in ast.iter_fields(parents[-1]):
        if value is node:
            return Edit(parents[-1], field, new)
        if isinstance(value, list) and any(item is node for item in value):
            return Edit(parents[-1], field, new, next(i for i, x in enumerate(value) if x is node))
    raise AssertionError("a node stands in none of its parent's fields")


# Names


def header(node: ast.stmt | ast.match_case) -> str:
    """A statement without the statements in it, on one line."""
    shallow = copy.copy(node)
    for field in ("body", "orelse", "finalbody", "handlers", "decorator_list"):
        if isinstance(getattr(shallow, field, None), list):
            setattr(shallow, field, [ast.Pass()] if field == "body" else [])
    if isinstance(shallow, ast.Try | ast.TryStar):
        shallow.finalbody = [ast.Pass()]
    text = ast.unparse(ast.fix_missing_locations(shallow)).strip()
    return " ".join(text.removesuffix("\n    pass").split())


def difference(before: str, after: str) -> str:
    """`return a {< -> <=} b`: the words that differ, in the words around them."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    while start and is_word(before[start - 1]):
        start -= 1
    while end and is_word(before[len(before) - end]):
        end -= 1
    left, right = before[:start], before[len(before) - end :]
    left = left if len(left) <= AROUND else "..." + left[-AROUND:]
    right = right if len(right) <= AROUND else right[:AROUND] + "..."
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    return f"{left}{{{old.strip()} -> {new.strip()}}}{right}".replace("`", "'")


def is_word(character: str) -> bool:
    return character.isalnum() or character in "_.'<>=!"
