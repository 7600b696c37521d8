"""5×2 cross-validation: halves, the test, the table, and going on after a stop."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import f as fisher

from labs.week07_ensembles import cross_validation
from labs.week07_ensembles.cross_validation import OURS, THEIRS, Result, divided, f_test, verdicts
from labs.week07_ensembles.scores import Judge
from labs_core.errors import LabsError


def test_the_statistic_is_alpaydins():
    p = np.array([[0.02, 0.03], [0.01, 0.04], [0.03, 0.02], [0.00, 0.05], [0.02, 0.02]])
    variance = sum((a - (a + b) / 2) ** 2 + (b - (a + b) / 2) ** 2 for a, b in p)
    expected = (p**2).sum() / (2 * variance)
    f, probability = f_test(p)
    assert f == pytest.approx(expected)
    assert probability == pytest.approx(1 - fisher.cdf(expected, 10, 5))


def test_where_nothing_differs_nothing_is_told_apart():
    assert f_test(np.zeros((5, 2))) == (0.0, 1.0)
    assert f_test(np.full((5, 2), 0.1)) == (np.inf, 0.0)


def test_it_is_seldom_wrong_where_both_are_equally_good():
    rng = np.random.default_rng(0)
    wrong = np.mean([f_test(rng.normal(size=(5, 2)))[1] < 0.05 for _ in range(4000)])
    assert 0.01 < wrong < 0.06


def test_halves_share_no_row_and_have_the_classes_in_like_shares(people):
    rows = people.splits["train"]
    first, second = divided(rows, Judge(2), repetition=0)
    assert sorted([*first, *second]) == list(range(120))
    assert abs(rows.target[first].mean() - rows.target[second].mean()) < 0.02
    other, _ = divided(rows, Judge(2), repetition=1)
    assert set(other) != set(first)


def results(ours, theirs):
    for side, losses in ((OURS, ours), (THEIRS, theirs)):
        for number, loss in enumerate(losses):
            yield Result("titanic", number // 2, number % 2, side, 1.0, loss, 0.8)


def test_a_side_wins_where_the_test_tells_them_apart():
    rng = np.random.default_rng(0)
    ours = 0.4 + 0.001 * rng.random(10)
    [verdict] = verdicts(list(results(ours, ours + 0.05 + 0.002 * rng.random(10))))
    assert verdict.winner == OURS
    [verdict] = verdicts(list(results(ours, 0.4 + 0.001 * rng.random(10))))
    assert verdict.winner == "neither"


@pytest.fixture
def quick(monkeypatch):
    """Both sides at once: what they come to is their tests' business."""
    fitted = []

    def fit_and_answer(side, spec, learnt, judged, seconds, seed, threads):
        fitted.append(side)
        halves = [{row.tobytes() for row in rows.numbers} for rows in (learnt, judged)]
        assert not set.intersection(*halves)
        share = learnt.target.mean() if side == OURS else 0.5
        return seconds, np.tile([1 - share, share], (len(judged.target), 1))

    monkeypatch.setattr(cross_validation, "fit_and_answer", fit_and_answer)
    return fitted


def test_a_comparison_that_was_stopped_goes_on(home, quick):
    options = ["breast_cancer", "--seconds", "3"]
    folder = cross_validation.main([*options, "--repetitions", "1"])
    assert quick == [OURS, THEIRS, THEIRS, OURS], "in turn"
    quick.clear()
    again = cross_validation.main([*options, "--repetitions", "2", "--resume", folder.name])
    assert again == folder
    assert len(quick) == 4, "the first repetition is read"
    assert len((folder / "folds.csv").read_text().splitlines()) == 1 + 8
    table = (folder / "comparison.md").read_text().splitlines()
    assert len({line.count("|") for line in table}) == 1
    assert "| breast_cancer |" in table[2]
    assert (folder / "comparison.png").stat().st_size > 10_000
    record = json.loads((folder / "breast_cancer-0-0-ours.json").read_text())
    assert Result(*record).seconds == 3.0


def test_folds_of_different_budgets_are_not_mixed(home, quick):
    folder = cross_validation.main(["breast_cancer", "--repetitions", "1"])
    with pytest.raises(LabsError, match="was begun with"):
        cross_validation.main(["breast_cancer", "--seconds", "5", "--resume", folder.name])


@pytest.mark.parametrize(
    "wrong", [["iris"], ["--seconds", "0"], ["--resume", "nothing"], ["--repetitions", "0"]]
)
def test_what_makes_no_sense_is_refused(home, wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        cross_validation.main(wrong)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.slow
def test_both_sides_learn_within_some_seconds(home):
    folder = cross_validation.main(
        ["breast_cancer", "--seconds", "1.5", "--threads", "1", "--repetitions", "1"]
    )
    records = [json.loads(file.read_text()) for file in folder.glob("breast_cancer-*.json")]
    found = [Result(*record) for record in records]
    assert len(found) == 4
    assert all(each.second > 0.8 for each in found), "accuracy"
