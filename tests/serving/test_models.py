from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labs_core.bundle.load import load
from labs_core.bundle.write import write
from labs_core.errors import LabsError
from serving.models import Announcement, Model, Served, load_model, placed, title


@pytest.fixture
def price(price_bundle: Path) -> Served:
    return load_model(Announcement(bundle=price_bundle))


@pytest.fixture
def colours(colour_bundle: Path) -> Served:
    return load_model(Announcement(bundle=colour_bundle))


def version(served: Served, number: str | None) -> Served:
    return replace(served, model=served.model.model_copy(update={"version": number}))


def test_an_announcement_says_all_that_is_known() -> None:
    text = '{"bundle": "a/b", "name": "week5", "version": "3", "run_id": "0f"}'
    assert Announcement.parse(text) == Announcement(
        bundle=Path("a/b"), name="week5", version="3", run_id="0f"
    )
    assert Announcement.parse('{"bundle": "a"}').version is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "JSON"),
        ("week5", "JSON"),
        ("[]", "object"),
        ("{}", "bundle"),
        ('{"bundle": "a", "verison": "3"}', "verison"),
        ('{"bundle": "a", "version": 3}', "version"),
        ('{"bundle": null}', "bundle"),
        ('{"bundle": "a", "name": "../b"}', "name"),
        ('{"bundle": "a", "name": "a{b}"}', "name"),
        ('{"bundle": "a", "version": "3/4"}', "version"),
    ],
)
def test_a_wrong_announcement_is_a_clear_error(text: str, what: str) -> None:
    with pytest.raises(LabsError, match="announced wrongly") as caught:
        Announcement.parse(text)
    assert what in str(caught.value)
    assert '{"bundle": "FOLDER"' in caught.value.remedy


def test_a_bundle_says_what_the_announcement_does_not(price: Served) -> None:
    assert price.name == "price"
    assert price.model == Model(name="price", version=None, run_id="fedcba9876543210")
    assert price.batch >= 1


def test_an_announcement_is_believed_before_the_bundle(price_bundle: Path) -> None:
    served = load_model(Announcement(bundle=price_bundle, name="flat", version="7", run_id="ab"))
    assert served.name == "flat"
    assert served.model == Model(name="price", version="7", run_id="ab")


def test_a_model_is_called_as_its_lab(price_bundle: Path, tmp_path: Path) -> None:
    original = load(price_bundle)
    bundle = write(
        tmp_path / "week1",
        "labs-week1",
        "tabular",
        {"model": (price_bundle / "model.onnx").read_bytes()},
        original.params,
        {"lab": "week1"},
        {},
        original.golden.items,
    )
    assert title(bundle) == "week1"
    served = load_model(Announcement(bundle=bundle.path))
    assert (served.name, served.model.name, served.model.run_id) == ("week1", "labs-week1", None)


def test_a_bundle_whose_lab_fits_into_no_address_is_refused(
    price_bundle: Path, tmp_path: Path
) -> None:
    original = load(price_bundle)
    graphs = {"model": (price_bundle / "model.onnx").read_bytes()}
    lineage = {"lab": "week1/{x}"}
    items = original.golden.items
    write(tmp_path / "odd", "odd", "tabular", graphs, original.params, lineage, {}, items)
    with pytest.raises(LabsError, match="cannot be served as 'week1"):
        load_model(Announcement(bundle=tmp_path / "odd"))


def test_a_folder_that_is_no_bundle_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match=r"bundle\.json"):
        load_model(Announcement(bundle=tmp_path))


def test_a_model_alone_is_at_the_root(price: Served) -> None:
    (alone,) = placed([price])
    assert (alone.prefix, alone.schema("Row")) == ("", "Row")


def test_several_models_are_below_their_names(price: Served, colours: Served) -> None:
    assert [each.prefix for each in placed([price, colours])] == [
        "/models/price",
        "/models/colours",
    ]


def test_the_first_version_has_the_models_address(price: Served, colours: Served) -> None:
    models = placed([version(price, "4"), colours, version(price, "3")])
    assert [each.prefix for each in models] == [
        "/models/price",
        "/models/colours",
        "/models/price/versions/3",
    ]
    names = {each.schema("Row") for each in models}
    assert names == {"price_Row", "colours_Row", "price_versions_3_Row"}


def test_places_are_those_among_the_models_that_are_served(price: Served, colours: Served) -> None:
    together = placed([price, colours])
    assert placed(together[1:])[0].prefix == ""


@pytest.mark.parametrize("number", [None, "3"])
def test_a_version_that_is_there_twice_is_refused(price: Served, number: str | None) -> None:
    with pytest.raises(LabsError, match="'price' is there twice"):
        placed([version(price, number), version(price, number)])


def test_a_second_version_must_have_a_number(price: Served) -> None:
    with pytest.raises(LabsError, match="'price' is there twice, once without a version"):
        placed([version(price, "3"), version(price, None)])
    assert len(placed([version(price, None), version(price, "3")])) == 2
