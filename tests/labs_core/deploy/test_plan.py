from __future__ import annotations

from pathlib import Path

import pytest

from labs_core.deploy.plan import TARGETS, Plan, full_tag, get_target, label_of
from labs_core.errors import LabsError


def plan(**fields: str) -> Plan:
    return Plan(
        **{
            "folder": Path("folder"),
            "lab": "week5",
            "name": "labs-week5",
            "bundle": Path("bundle"),
            "task": "tabular",
            "digest": "0" * 64,
            "tag": "labs-week5:3",
            **fields,
        }
    )


def test_a_target_that_is_not_there_is_guessed() -> None:
    with pytest.raises(LabsError, match="There is no target 'dokcer'") as caught:
        get_target("dokcer")
    assert caught.value.remedy == "Did you mean 'docker'?"


def test_the_targets_with_an_image_are_those_that_run_containers() -> None:
    assert {name for name, target in TARGETS.items() if target.image} == {
        "docker",
        "compose",
        "k8s",
        "serverless",
    }


@pytest.mark.parametrize("field", ["lab", "run_id", "version"])
@pytest.mark.parametrize("text", ["a b", "a\nUSER root", "it's", '"', "$(id)", "", "-x", "a" * 200])
def test_what_could_be_more_than_a_word_is_refused(field: str, text: str) -> None:
    with pytest.raises(LabsError, match="cannot be written into a deployment"):
        plan(**{field: text})


def test_the_announcement_says_what_is_known() -> None:
    assert plan().announcement("/app/bundle") == '{"bundle": "/app/bundle", "name": "week5"}'
    assert plan(version="3", run_id="f00").announcement("b") == (
        '{"bundle": "b", "name": "week5", "version": "3", "run_id": "f00"}'
    )


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("labs-week5", "labs-week5"),
        ("My_Model.v2", "my-model-v2"),
        ("5th", "m-5th"),
        ("a" * 62 + "--b", "a" * 62),
        ("x" * 100, "x" * 63),
    ],
)
def test_a_name_becomes_a_dns_label(name: str, label: str) -> None:
    assert label_of(name) == label


@pytest.mark.parametrize(
    ("tag", "whole"),
    [
        (None, "labs-week5:3"),
        ("mine", "mine:3"),
        ("mine:new", "mine:new"),
        ("registry.example/team/week5", "registry.example/team/week5:3"),
        ("localhost:5000/week5", "localhost:5000/week5:3"),
        ("localhost:5000/a/b__c/week5:V1.2", "localhost:5000/a/b__c/week5:V1.2"),
    ],
)
def test_an_image_has_a_whole_name(tag: str | None, whole: str) -> None:
    assert full_tag(tag, "labs-week5", "3") == whole


@pytest.mark.parametrize(
    "tag", ["Mine", "a b", "a:b:c", "a:", "a//b", "a:-x", "-a", "a/", "$(id)", "a\n", "a@sha256:0"]
)
def test_a_name_that_no_registry_takes_is_refused(tag: str) -> None:
    with pytest.raises(LabsError, match="An image cannot be called") as caught:
        full_tag(tag, "labs-week5", "3")
    assert "labs-week5:3" in caught.value.remedy
