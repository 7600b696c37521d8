import math

import pytest

from labs_core.bundle.compare import difference


def answer(label="cat", **probabilities):
    return {"label": label, "probabilities": probabilities}


def test_equal_answers_differ_by_nothing():
    answers = [answer(cat=0.75, dog=0.25), {"prediction": 3.5}, [1, None, True, "x"], {}]
    found = difference(answers, answers)
    assert (found.max_abs, found.mismatches) == (0, [])
    assert found.within(0)


def test_the_largest_distance_is_found_and_placed():
    expected = [answer(cat=0.75, dog=0.25), answer(cat=0.5, dog=0.5)]
    got = [answer(cat=0.75, dog=0.25), answer(cat=0.5, dog=0.25)]
    found = difference(expected, got)
    assert (found.max_abs, found.where) == (0.25, "[1].probabilities.dog")
    assert str(found) == "largest difference 0.25 at [1].probabilities.dog"
    assert found.within(0.25)
    assert not found.within(0.2)


def test_large_numbers_are_compared_by_their_share():
    assert difference({"prediction": 200_000.0}, {"prediction": 200_002.0}).max_abs == 1e-5
    assert difference({"prediction": -0.5}, {"prediction": 0.5}).max_abs == 1


def test_a_whole_number_and_a_float_of_one_value_are_equal():
    assert difference([3, 3.0], [3.0, 3]).within(0)


@pytest.mark.parametrize(
    ("expected", "got", "says"),
    [
        ("cat", "dog", "'cat' expected, 'dog' got"),
        ([1.0, 2.0], [1.0], "2 expected, 1 got"),
        ({"a": 1.0}, {"b": 1.0}, ".a is missing"),
        ({}, {"b": 1.0}, ".b is not expected"),
        (3, 4, "3 expected, 4 got"),
        (1.0, True, "1.0 expected, True got"),
        (True, 1, "True expected, 1 got"),
        (None, 0.0, "None expected"),
        ({"a": 1}, [1], "expected"),
        (1.0, math.nan, "nan got"),
        (math.nan, math.nan, "nan expected, nan got"),
        (math.nan, 1.0, "nan expected"),
        (1.0, math.inf, "inf got"),
    ],
)
def test_what_is_no_distance_is_a_mismatch(expected, got, says):
    found = difference([expected], [got])
    assert says in str(found)
    assert not found.within(1e9)


def test_many_mismatches_are_told_in_short():
    found = difference(list("abcde"), list("vwxyz"))
    assert len(found.mismatches) == 5
    assert str(found).endswith("and 2 more")
