"""What a check is written with: ask the learner's function, compare, and say what went wrong.

A check is a module with functions named `check_…`, run in their order, the smallest inputs first.
The docstring of each is the property that it checks, in plain words. Each takes a `Tutor`:

    def check_product(tutor: Tutor) -> None:
        \"\"\"the product of two matrices\"\"\"
        for A, B in pairs:
            tutor.equal(
                tutor.ask("matmul", A, B),
                A @ B,
                causes={"B is taken transposed": lambda: A @ B.T},
            )
"""

from __future__ import annotations

import ast
import copy
import inspect
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

LONGEST = 600  # characters of a value that are shown
NOT_WRITTEN = "it is not written yet"
Causes = Mapping[str, Callable[[], Any]]


@dataclass
class Failure:
    """What a learner is told."""

    property: str
    asked: str = ""
    expected: str = ""
    got: str = ""
    cause: str = ""


class FailedError(Exception):
    """A property does not hold."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.property)
        self.failure = failure


class Tutor:
    """Asks one module of the learner's.

    Args:
        mine: the module.
        file: its path, for the places of errors.
    """

    def __init__(self, mine: ModuleType, file: str) -> None:
        self.mine, self._file = mine, file
        self.property = ""
        self._asked = ""

    def begin(self, property: str) -> None:
        """What is judged from now on; nothing has been asked about it yet."""
        self.property, self._asked = property, ""

    def ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What the learner's `name(*args, **kwargs)` answers; it must leave its inputs alone."""
        function = getattr(self.mine, name, None)
        if not callable(function):
            self.fail(f"a function `{name}`", "there is none", "was it renamed or deleted?")
        return self.call(name, function, *args, **kwargs)

    def call(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The same of a function that the learner's code has made: a module, a closure.

        Args:
            name: what the learner reads in its place.
            function: is called with the rest.
        """
        named = _named(function, args, kwargs)
        self._asked = call_text(name, args, kwargs, named)
        before = _copied((args, kwargs))
        try:
            answer = function(*args, **kwargs)
        except NotImplementedError as error:
            self.fail("an answer", NOT_WRITTEN, str(error))
        except (Exception, SystemExit) as error:
            self.fail("an answer", f"{type(error).__name__}: {error}", self._place(error))
        for (argument, now), was in zip(named, [*before[0], *before[1].values()], strict=True):
            if not _same(now, was):
                cause = "it changes its input in place: work on a copy, or on new arrays"
                self.fail(f"{argument} as it was: {show(was)}", f"it is now {show(now)}", cause)
        return answer

    def equal(
        self,
        got: Any,
        expected: Any,
        *,
        causes: Causes | None = None,
        rtol: float = 1e-6,
        atol: float = 1e-8,
        what: str = "",
    ) -> None:
        """Require that `got` is `expected`, number by number.

        Args:
            got: the learner's answer.
            expected: from an independent source.
            causes: likely mistakes, each with the answer that it would give.
            rtol: relative tolerance.
            atol: absolute tolerance.
            what: which part of the answer it is, where there are several.
        """
        right = _array(expected)
        wanted = f"{what} = {show(expected)}" if what else show(expected)
        if got is None and expected is not None:
            self.fail(wanted, "None", "is there a `return`?")
        mine = _array(got)
        if mine is None or right is None:
            self.fail(wanted, show(got), f"a {type(got).__name__} is no array of numbers")
        if mine.shape == right.shape and np.allclose(mine, right, rtol, atol, equal_nan=False):
            return
        cause = _named_cause(mine, causes or {}, rtol, atol) or _usual_cause(mine, right)
        self.fail(wanted, show(got), cause)

    def holds(self, condition: bool, expected: str, got: str, cause: str = "") -> None:
        """Require anything else, said in words."""
        if not condition:
            self.fail(expected, got, cause)

    def avoids(self, names: Collection[str], expected: str) -> None:
        """Require that the learner's file names none of these: functions, methods, or `@`."""
        with open(self.mine.__file__ or "", encoding="utf-8") as file:
            nodes = [*ast.walk(ast.parse(file.read()))]
        used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        used |= {a.name for node in nodes if isinstance(node, ast.ImportFrom) for a in node.names}
        used |= {"@" for node in nodes if isinstance(node, ast.MatMult)}
        used &= set(names)
        cause = "that is what you are to write"
        self.holds(not used, expected, f"it uses {', '.join(sorted(used))}", cause)

    def fail(self, expected: str, got: str, cause: str = "") -> NoReturn:
        """The property does not hold."""
        raise FailedError(Failure(self.property, self._asked, expected, got, cause))

    def _place(self, error: BaseException) -> str:
        """Where in the learner's file it was raised."""
        lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == self._file]
        return f"line {lines[-1].lineno}: {lines[-1].line}" if lines else ""


def call_text(
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    named: Sequence[tuple[str, Any]] = (),
) -> str:
    """name(arguments), on several lines where they are long: then each with its name in `named`."""
    parts = [_argument(a) for a in args] + [f"{k}={_argument(v)}" for k, v in kwargs.items()]
    short = f"{name}({', '.join(parts)})"
    if len(short) <= 88 and "\n" not in short:
        return short
    parts = [
        f"{argument} = {_argument(value)}" if argument.isidentifier() else _argument(value)
        for argument, value in named
    ] or parts
    inner = ",\n".join("  " + part.replace("\n", "\n  ") for part in parts)
    return f"{name}(\n{inner}\n)"


def _named(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[tuple[str, Any]]:
    """Each argument with the name that the function gives it, in the call's order."""
    try:
        names = [
            name
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):  # a built-in tells nothing
        names = []
    names += [f"argument {number}" for number in range(len(names) + 1, len(args) + 1)]
    return [*zip(names, args, strict=False), *kwargs.items()]


def _argument(value: Any) -> str:
    """A value as it stands in a call: a string in its quotes."""
    return repr(value) if isinstance(value, str) else show(value)


def show(value: Any) -> str:
    """A value as a person reads it; of an array, its shape too."""
    if isinstance(value, str):
        return value[:LONGEST]
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    if _is_generator(value):  # an address tells nobody anything
        return "a random generator"
    if isinstance(value, dict):
        gap = ",\n " if any(getattr(each, "ndim", 0) for each in value.values()) else ", "
        text = "{" + gap.join(f"{k}: {show(v)}" for k, v in value.items()) + "}"
    elif isinstance(value, list | tuple) and _holds_arrays(value):
        text = "[" + ",\n ".join(show(each) for each in value) + "]"
    elif hasattr(value, "shape") and getattr(value, "ndim", False):
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        if array.size > 60 and (array == array.flat[0]).all():
            numbers = f"all {show(array.flat[0].item())}"
        else:
            numbers = np.array2string(array, precision=5, suppress_small=True, threshold=60)
        dtype = "" if array.dtype == np.float64 else f" {array.dtype}"
        gap = "\n" if "\n" in numbers else " "
        text = f"array {tuple(array.shape)}{dtype}:{gap}{numbers}"
    elif hasattr(value, "detach"):  # a tensor of a single number
        text = show(value.item())
    elif isinstance(value, float | np.floating):
        text = f"{float(value):.6g}"
    else:
        text = repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"


def _holds_arrays(value: Any) -> bool:
    """Whether it is an array, or a list with one at any depth."""
    if isinstance(value, list | tuple):
        return any(map(_holds_arrays, value))
    return hasattr(value, "shape")


def _array(value: Any) -> np.ndarray | None:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except Exception:
        return None
    return array if array.dtype.kind in "biufc" else None


def _named_cause(mine: np.ndarray, causes: Causes, rtol: float, atol: float) -> str:
    for cause, wrong in causes.items():
        try:
            with np.errstate(all="ignore"):  # its warnings are not the learner's
                other = _array(wrong())
        except Exception:  # the mistake cannot be made on this input
            continue
        if other is None or mine.shape != other.shape:
            continue
        if np.allclose(mine, other, rtol, atol, equal_nan=True):
            return cause
    return ""


def _usual_cause(mine: np.ndarray, right: np.ndarray) -> str:
    """What the two arrays alone tell of the mistake."""
    if mine.shape != right.shape:
        if mine.shape == right.shape[::-1] and mine.ndim == 2:
            return f"the shape is {mine.shape}, not {right.shape}: is something transposed?"
        if mine.size == right.size:
            return f"the shape is {mine.shape}, not {right.shape}: the numbers are as many"
        if right.ndim > mine.ndim:
            return f"the shape is {mine.shape}, not {right.shape}: summed over an axis too many?"
        return f"the shape is {mine.shape}, not {right.shape}"
    if np.isnan(mine).any():
        return "there are NaNs: 0/0, ∞ − ∞, or the logarithm of a negative number"
    if np.isinf(mine).any() and not np.isinf(right).any():
        return "there are infinities: an overflow, or a division by 0"
    if mine.dtype.kind in "iu" and right.dtype.kind == "f":
        return "the answer holds integers: fractions were cut off"
    if mine.ndim == 2 and mine.shape[0] == mine.shape[1] and np.allclose(mine.T, right):
        return "it is the transpose of the answer"
    if np.allclose(mine, -right):
        return "the sign is the other way round"
    if np.allclose(mine, right, rtol=1e-5, atol=1e-7):
        return "right to a few digits: was something rounded (float32), or stopped too soon?"
    nonzero = np.abs(right) > 1e-12
    if nonzero.any() and np.allclose(mine[~nonzero], 0):
        ratios = mine[nonzero] / right[nonzero]
        if np.allclose(ratios, ratios.flat[0], rtol=1e-4):
            return f"every number is {ratios.flat[0]:.5g} times what it should be"
    if np.allclose(mine - right, (mine - right).flat[0]):
        return f"every number is {(mine - right).flat[0]:.5g} more than it should be"
    wrong = ~np.isclose(mine, right)
    if right.ndim and wrong.sum() < wrong.size:
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        return f"{wrong.sum()} of {wrong.size} numbers differ, the first at {list(place)}"
    return ""


def _copied(value: Any) -> Any:
    """A copy that later changes do not reach. Of a tensor its numbers: it may have a history."""
    if isinstance(value, list | tuple):
        return [_copied(each) for each in value]
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if _is_generator(value):  # is meant to change
        return value
    return value.detach().clone() if hasattr(value, "detach") else copy.deepcopy(value)


def _is_generator(value: Any) -> bool:
    """Whether it is NumPy's or torch's source of chance."""
    return type(value).__name__ == "Generator"


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if not hasattr(a, "shape"):
        return True
    mine, before = _array(a), _array(b)
    if mine is None or before is None:
        return True
    return bool(np.array_equal(mine, before, equal_nan=mine.dtype.kind == "f"))
