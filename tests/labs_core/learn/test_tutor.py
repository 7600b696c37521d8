from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from labs_core.learn.tutor import FailedError, Failure, Tutor, call_text, show


def tutor(**functions: Any) -> Tutor:
    module = ModuleType("mine")
    vars(module).update(functions)
    asked = Tutor(module, __file__)
    asked.property = "it works"
    return asked


def failure(got: Any, expected: Any, **options: Any) -> Failure:
    with pytest.raises(FailedError) as caught:
        tutor().equal(got, expected, **options)
    return caught.value.failure


def test_what_is_right_passes() -> None:
    t = tutor(double=lambda x: 2 * x)
    t.equal(t.ask("double", np.array([1.0, 2.0])), [2.0, 4.0])
    t.equal(torch.ones(2), np.ones(2))
    t.equal(3.0, 3)


A = np.arange(6.0).reshape(2, 3)
CAUSES = [
    # got, expected, what the learner is told
    (None, A, "is there a `return`?"),
    ("text", A, "no array of numbers"),
    (A.T, A, "transposed"),
    (A.reshape(6), A, "the numbers are as many"),
    (A.sum(0), A, "an axis too many"),
    (A * np.nan, A, "NaN"),
    (A + np.inf, A, "infinities"),
    (-A, A, "sign"),
    (2 * A, A, "2 times"),
    (A + 3, A, "3 more"),
    (A * (1 + 4e-6), A, "rounded"),
    (np.array([0, 1]), np.array([0.5, 1.2]), "integers"),
    (np.array([[1.0, 2], [3, 4]]), np.array([[1.0, 3], [2, 4]]), "transpose of the answer"),
    (np.array([1.0, 2, 9]), np.array([1.0, 2, 3]), "first at [2]"),
]


@pytest.mark.parametrize(("got", "expected", "cause"), CAUSES)
def test_the_usual_mistakes_are_named(got: Any, expected: Any, cause: str) -> None:
    assert cause in failure(got, expected).cause


def test_a_cause_of_the_checks_own_comes_first() -> None:
    causes = {"impossible here": lambda: 1 / 0, "the mean is missing": lambda: 4 * A}
    assert failure(4 * A, A, causes=causes).cause == "the mean is missing"


def test_expected_and_got_are_shown_with_their_shapes() -> None:
    told = failure(A.T, A)
    assert "(2, 3)" in told.expected
    assert "(3, 2)" in told.got


def test_what_was_asked_about_another_property_is_not_shown() -> None:
    t = tutor(double=lambda x: 2 * x)
    t.ask("double", 1.0)
    t.begin("another property")
    with pytest.raises(FailedError) as caught:
        t.fail("this", "that")
    assert caught.value.failure == Failure("another property", "", "this", "that")


def test_an_input_that_is_changed_is_found_out() -> None:
    def double(x: np.ndarray) -> np.ndarray:
        x *= 2
        return x

    with pytest.raises(FailedError) as caught:
        tutor(double=double).ask("double", np.ones(2))
    assert caught.value.failure == Failure(
        "it works",
        asked="double(array (2,): [1. 1.])",
        expected="x as it was: array (2,): [1. 1.]",
        got="it is now array (2,): [2. 2.]",
        cause="it changes its input in place: work on a copy, or on new arrays",
    )


def test_a_module_that_the_learners_code_has_made_is_called_like_a_function() -> None:
    t = tutor(Scale=lambda: lambda x: 3 * x)
    scale = t.ask("Scale")
    t.equal(t.call("Scale()", scale, torch.ones(2)), [3.0, 3.0])
    with pytest.raises(FailedError) as caught:
        t.call("Scale()", torch.Tensor.mul_, torch.ones(2), 2)
    assert "in place" in caught.value.failure.cause
    assert caught.value.failure.asked == "Scale()(array (2,) float32: [1. 1.], 2)"


def test_tensors_with_a_history_can_be_given_and_are_shown() -> None:
    x = torch.ones(2, requires_grad=True)
    y = 2 * x
    t = tutor(gradient=lambda x, y: torch.autograd.grad(y.sum(), x)[0])
    t.equal(t.ask("gradient", x, y), [2.0, 2.0])
    assert show(y) == "array (2,) float32: [2. 2.]"


def test_an_error_in_the_learners_code_is_an_answer_with_its_line() -> None:
    def broken(x: float) -> float:
        return x + "1"  # type: ignore[operator]

    with pytest.raises(FailedError) as caught:
        tutor(broken=broken).ask("broken", 1.0)
    assert caught.value.failure.got.startswith("TypeError")
    assert 'return x + "1"' in caught.value.failure.cause


def test_a_missing_function_is_named() -> None:
    with pytest.raises(FailedError) as caught:
        tutor().ask("double", 1.0)
    assert "double" in caught.value.failure.expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (np.float32([1, 2]), "array (2,) float32: [1. 2.]"),
        ([1, 2], "[1, 2]"),
        ({"lr": 0.1}, "{lr: 0.1}"),
        (np.full((9, 9), 200), "array (9, 9) int64: all 200"),
        ([(np.ones(1), 2)], "[[array (1,): [1.],\n 2]]"),
        ({"w": np.ones(1), "n": torch.tensor(3)}, "{w: array (1,): [1.],\n n: 3}"),
        (torch.tensor(0.1, requires_grad=True), "0.1"),
        (np.sin, "sin"),
        (SimpleNamespace(a=1), "namespace(a=1)"),
    ],
)
def test_values_are_shown_as_people_read_them(value: Any, text: str) -> None:
    assert show(value) == text


def test_a_string_stands_in_quotes_in_a_call() -> None:
    assert call_text("load", ("a", 1), {"head": "fc"}) == "load('a', 1, head='fc')"


def test_the_arguments_of_a_long_call_have_names() -> None:
    def mix(rng: np.random.Generator, x: np.ndarray, *, share: float) -> int:
        return 1

    t = tutor(mix=mix)
    t.ask("mix", np.random.default_rng(0), np.ones((2, 2)), share=0.5)
    with pytest.raises(FailedError) as caught:
        t.fail("this", "that")
    assert caught.value.failure.asked == (
        "mix(\n"
        "  rng = a random generator,\n"
        "  x = array (2, 2):\n"
        "  [[1. 1.]\n"
        "   [1. 1.]],\n"
        "  share = 0.5\n"
        ")"
    )


def test_a_long_value_is_cut() -> None:
    assert len(show("x" * 10_000)) < 700
