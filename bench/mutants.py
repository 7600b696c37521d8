"""How well the exercises' checks tell a wrong solution from a right one.

Planted mistakes are those that somebody has thought of. This makes mistakes by rule: in the regions
that a learner writes, of every exercise's reference solution, it changes one thing at a time

    + and −, * and /, ** and *, & and |       < and ≤, == and !=, in and not in, and and or
    a number by one, axis 0 and 1             a `not` or a minus sign removed, a condition negated
    a call that is left out, f(x) to x        a keyword, an end of a slice, a filter left out
    two arguments exchanged                   a statement left out, += made =

and has each mutant judged as a learner's file is, with the same limits. A mutant that passes is
either the same function as before, or a gap in the check; the report lists them, with their lines
in the reference, to be read by a person. One that runs out of time counts as killed, and is also
told apart: on a busy machine it may be the machine's fault.

    python -m bench.mutants [LAB ...] [--exercise NAME] [--at-most 25] [--seed 0] [--json FILE]
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from labs_core import catalog
from labs_core.learn.dev import judged
from labs_core.learn.exercise import BEGIN, END, Exercise, exercises

OPERATORS: dict[type[ast.AST], list[type[ast.AST]]] = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.FloorDiv: [ast.Div],
    ast.Mod: [ast.FloorDiv],
    ast.Pow: [ast.Mult],
    ast.BitAnd: [ast.BitOr],
    ast.BitOr: [ast.BitAnd],
    ast.And: [ast.Or],
    ast.Or: [ast.And],
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
AXES = {"axis", "dim"}
LATE = "no answer within"  # how the verdict on one that ran out of time begins
DROPPED = (ast.Assign, ast.AugAssign, ast.Expr, ast.Raise, ast.Continue, ast.Break, ast.Return)


@dataclass(frozen=True)
class Mutant:
    """One change of a solution."""

    line: int  # in the exercise's source
    before: str
    after: str
    code: str


def mutants(exercise: Exercise) -> list[Mutant]:
    """All mutants of a reference solution, in the order of its lines, each text once."""
    source = exercise.solution
    # The solution is the source without some lines of its docstring.
    cut = len(exercise.source.read_text(encoding="utf-8").splitlines()) - len(source.splitlines())
    wanted = _learners_lines(source)
    found: dict[str, Mutant] = {}
    tree = ast.parse(source)
    needed = _needed(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.expr | ast.stmt) or node.lineno not in wanted:
            continue
        for other in _changed(node, needed):
            before, after = ast.unparse(node), ast.unparse(other)
            code = _spliced(source, node, after)
            if before != after and code not in found and _is_python(code):
                found[code] = Mutant(node.lineno + cut, _short(before), _short(after), code)
    return sorted(found.values(), key=lambda mutant: mutant.line)


def _changed(node: ast.AST, needed: set[ast.AST]) -> Iterator[ast.AST]:
    """What becomes of a node by each rule that fits it; the statements `needed` stay."""
    match node:
        case ast.BinOp() | ast.BoolOp() | ast.AugAssign():
            for operator in OPERATORS.get(type(node.op), []):
                yield _with(node, op=operator())
            if isinstance(node, ast.AugAssign):
                yield ast.Assign([node.target], node.value, lineno=0)
        case ast.Compare():
            for place, old in enumerate(node.ops):
                for operator in OPERATORS.get(type(old), []):
                    yield _with(node, ops=[*node.ops[:place], operator(), *node.ops[place + 1 :]])
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.Call():
            yield from _changed_calls(node)
        case ast.IfExp():
            yield _with(node, body=node.orelse, orelse=node.body)
        case ast.If() | ast.While() if not isinstance(node.test, ast.UnaryOp):
            yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.Slice(lower=lower, upper=upper):
            if lower is not None:
                yield _with(node, lower=None)
            if upper is not None:
                yield _with(node, upper=None)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            for place, loop in enumerate(node.generators):
                if loop.ifs:
                    bare = _with(loop, ifs=[])
                    loops = [*node.generators[:place], bare, *node.generators[place + 1 :]]
                    yield _with(node, generators=loops)
    if isinstance(node, DROPPED) and node not in needed:
        yield ast.Pass()


def _changed_calls(node: ast.Call) -> Iterator[ast.AST]:
    if isinstance(node.func, ast.Attribute) and not _is_module(node.func.value):
        yield node.func.value  # x.sum(0) -> x
    elif len(node.args) == 1:
        yield node.args[0]  # f(x) -> x
    for place, keyword in enumerate(node.keywords):
        yield _with(node, keywords=[*node.keywords[:place], *node.keywords[place + 1 :]])
        if keyword.arg in AXES and isinstance(keyword.value, ast.Constant):
            axis = ast.Constant(0 if keyword.value.value else 1)
            turned = _with(keyword, value=axis)
            keywords = [*node.keywords[:place], turned, *node.keywords[place + 1 :]]
            yield _with(node, keywords=keywords)
    if len(node.args) == 2 and not any(isinstance(each, ast.Starred) for each in node.args):
        yield _with(node, args=node.args[::-1])


def _needed(tree: ast.Module) -> set[ast.AST]:
    """Statements without which a function crashes or gives None, which any check finds out: its
    last return, and where a name is first given."""
    needed: set[ast.AST] = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            needed.add(function.body[-1])
            known = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
            assigned = (each for each in ast.walk(function) if isinstance(each, ast.Assign))
            for each in sorted(assigned, key=lambda each: each.lineno):
                names = {name.id for name in ast.walk(each.targets[0]) if _is_stored(name)}
                if names - known:
                    needed.add(each)
                known |= names
    return needed


def _is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _is_module(node: ast.expr) -> bool:
    """Whether a name looks like that of a module or a class: np, torch, F, math."""
    while isinstance(node, ast.Attribute):
        node = node.value
    modules = {"np", "torch", "math", "F", "nn", "functional", "itertools"}
    return isinstance(node, ast.Name) and node.id in modules


def _with(node: ast.AST, **parts: object) -> Any:
    """A copy with other parts."""
    other = copy.copy(node)
    for name, part in parts.items():
        setattr(other, name, part)
    return other


def _learners_lines(source: str) -> set[int]:
    """The lines between the markers, counted from 1."""
    inside, lines = False, set()
    for number, line in enumerate(source.splitlines(), start=1):
        if line.strip().split(":")[0] == BEGIN:
            inside = True
        elif line.strip() == END:
            inside = False
        elif inside:
            lines.add(number)
    return lines


def _spliced(source: str, node: ast.expr | ast.stmt, after: str) -> str:
    """The source with another text in a node's place; expressions in brackets, as they need."""
    if isinstance(node, ast.expr) and not isinstance(node, ast.Slice | ast.Constant):
        after = f"({after})"
    elif isinstance(node, ast.stmt):
        after = after.replace("\n", "\n" + " " * node.col_offset)
    whole = source.encode()  # columns count bytes
    lines = whole.splitlines(keepends=True)
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: (node.end_lineno or 0) - 1])) + (node.end_col_offset or 0)
    return (whole[:start] + after.encode() + whole[end:]).decode()


def _is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def _short(text: str) -> str:
    first = text.splitlines()[0]
    return first if len(first) <= 70 else first[:70] + " …"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("labs", nargs="*", metavar="LAB")
    parser.add_argument("--exercise", help="this one alone")
    parser.add_argument("--at-most", type=int, default=25, help="mutants of an exercise (25)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--json", type=Path, help="a file for the survivors")
    options = parser.parse_args()
    report = []
    print(f"{'exercise':34}{'mutants':>8}{'judged':>8}{'killed':>8}{'in time':>8}{'survived':>9}")
    for lab in options.labs or sorted(catalog.labs()):
        for exercise in exercises(lab).values():
            if options.exercise in (None, exercise.name):
                report.append(_judge(exercise, options.at_most, options.seed))
    total, killed = (sum(row[key] for row in report) for key in ("judged", "killed"))
    if total:
        print(f"{killed} of {total} killed, {killed / total:.1%}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def _judge(exercise: Exercise, at_most: int, seed: int) -> dict[str, Any]:
    every = mutants(exercise)
    sample = random.Random(seed).sample(every, min(at_most, len(every)))
    sample.sort(key=every.index)
    verdicts = judged(exercise, [mutant.code for mutant in sample])
    alive = [each for each, verdict in zip(sample, verdicts, strict=True) if verdict.solved]
    killed = len(sample) - len(alive)
    late = sum(bool(each.failure and each.failure.got.startswith(LATE)) for each in verdicts)
    name = f"{exercise.lab} {exercise.name}"
    counts = f"{len(every):8}{len(sample):8}{killed:8}{killed - late:8}{len(alive):9}"
    print(f"{name:34}{counts}", flush=True)
    for mutant in alive:
        print(f"    line {mutant.line}: {mutant.before}  ->  {mutant.after}", flush=True)
    return {
        "exercise": name,
        "mutants": len(every),
        "judged": len(sample),
        "killed": killed,
        "late": late,
        "survivors": [
            {"line": each.line, "before": each.before, "after": each.after} for each in alive
        ],
    }


if __name__ == "__main__":
    main()
