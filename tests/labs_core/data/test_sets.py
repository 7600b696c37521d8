from __future__ import annotations

import csv
import gzip
import io
import itertools
import os
import struct
import subprocess
import sys
import tarfile
import unicodedata
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from labs_core.catalog import data_sets
from labs_core.data import dvc_cache, store
from labs_core.data.composition import overlaps, read_phrases
from labs_core.data.digest import combine, hash_files
from labs_core.data.formats import SPLITS, read_classes, read_table
from labs_core.data.pairs import read_sentences
from labs_core.data.sets import cifar10_official, cldr, mnist, textures

LIBRARY = [name for name, card in data_sets().items() if card.shipped_by]
FETCHED = [name for name, card in data_sets().items() if card.files and name != "cifar10_official"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A data set made from its source, once for this module."""
    folder = tmp_path_factory.mktemp("data")

    def make(name: str) -> Path:
        if not (folder / name).exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("LABS_DATA", str(folder))
                store.replace(name, from_source=True)
        return folder / name

    return make


def counts(folder: Path) -> dict[str, int]:
    if (folder / "train.csv").exists():
        tables = {split: (folder / f"{split}.csv").read_text("utf-8") for split in SPLITS}
        return {split: len(list(csv.reader(io.StringIO(t)))) - 1 for split, t in tables.items()}
    if (folder / "train.en").exists():
        return {split: len(read_sentences(folder, split, "en")) for split in SPLITS}
    return {split: len(np.load(folder / f"{split}_labels.npy")) for split in SPLITS}


@pytest.mark.parametrize(
    "name", [*LIBRARY, *(pytest.param(name, marks=pytest.mark.mirror) for name in FETCHED)]
)
def test_made_from_its_source_it_is_what_its_card_and_dvc_lock_say(made, name):
    folder, card = made(name), data_sets()[name]
    assert combine(hash_files(folder)) == dvc_cache.pinned(name)
    assert counts(folder) == card.splits
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    assert size == pytest.approx(card.size_mb, rel=0.05, abs=0.005)


@pytest.mark.parametrize("name", ["textures", "mnist5k"])
def test_the_splits_of_images_are_mixed_so_that_the_first_n_hold_all_classes(made, name):
    classes, _ = read_classes(made(name))
    for split in SPLITS:
        labels = np.load(made(name) / f"{split}_labels.npy")
        assert set(labels[: 20 * len(classes)]) == set(range(len(classes)))


def test_diabetes_holds_the_rows_of_scikit_learn_unscaled(made):
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    expected = {tuple(row) for row in np.column_stack([data.data, data.target]).tolist()}
    columns, _ = read_table(made("diabetes") / "train.csv")
    rows = np.concatenate([read_table(made("diabetes") / f"{split}.csv")[1] for split in SPLITS])
    assert columns == (*data.feature_names, "progression")
    assert len(rows) == 442
    assert {tuple(row) for row in rows.tolist()} == expected


@pytest.mark.mirror
def test_california_has_the_features_of_scikit_learn(made):
    # The first rows of sklearn.datasets.fetch_california_housing, as its documentation prints them.
    known = [
        [8.3252, 41, 6.98412698, 1.02380952, 322, 2.55555556, 37.88, -122.23, 4.526],
        [8.3014, 21, 6.23813708, 0.97188049, 2401, 2.10984183, 37.86, -122.22, 3.585],
    ]
    parts = [read_table(made("california") / f"{split}.csv") for split in SPLITS]
    rows = np.concatenate([values for _, values in parts])
    assert parts[0][0][:3] == ("MedInc", "HouseAge", "AveRooms")
    assert len(rows) == 20_640 - 207
    for row in known:
        assert np.isclose(rows, row, rtol=0, atol=1e-8).all(axis=1).sum() == 1


def test_mnist5k_has_as_many_of_each_digit_in_each_split(made):
    for split, count in {"train": 400, "val": 50, "test": 50}.items():
        labels = np.load(made("mnist5k") / f"{split}_labels.npy")
        assert np.bincount(labels).tolist() == [count] * 10


@pytest.mark.mirror
def test_mnist_keeps_the_official_order_and_test_set(made):
    # The labels that open the official files, as every MNIST tutorial prints them.
    assert np.load(made("mnist") / "train_labels.npy")[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.load(made("mnist") / "test_labels.npy")[:5].tolist() == [7, 2, 1, 0, 4]
    images = np.load(made("mnist") / "train_images.npy")
    # The mean of all 60,000 training images is 0.1307 (known from its use in normalisation).
    assert images.mean() / 255 == pytest.approx(0.1307, abs=5e-4)


@pytest.mark.mirror
def test_cifar10_has_the_known_channel_means(made):
    # Of the lossless training set: 0.4914, 0.4822, 0.4465; JPEG keeps means.
    images = np.load(made("cifar10_subset") / "train_images.npy")
    assert images.mean(axis=(0, 1, 2)) / 255 == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.01)
    classes, _ = read_classes(made("cifar10_subset"))
    assert (classes[0], classes[9]) == ("airplane", "truck")
    labels = np.load(made("cifar10_subset") / "test_labels.npy")
    assert np.bincount(labels).tolist() == [200] * 10


def test_idx_files_are_read_as_their_header_says(tmp_path):
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 3, 4)
    (tmp_path / "x.gz").write_bytes(gzip.compress(header + pixels.tobytes()))
    assert (mnist.read_idx(tmp_path / "x.gz") == pixels).all()


def test_the_binary_cifar10_is_read_as_its_page_describes(tmp_path, monkeypatch):
    # Each batch: records of a label, then all red, all green, all blue values, row by row.
    monkeypatch.setattr(cifar10_official, "VAL", 5)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, 60, dtype=np.uint8)
    names = [f"data_batch_{n}.bin" for n in range(1, 6)] + ["test_batch.bin"]
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as archive:
        for index, name in reversed(list(enumerate(names))):
            content = b"".join(
                bytes([labels[k]]) + b"".join(images[k, :, :, c].tobytes() for c in range(3))
                for k in range(10 * index, 10 * index + 10)
            )
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    cifar10_official.produce([tmp_path / "c.tar.gz"], tmp_path)
    for split, part in {
        "train": slice(0, 45),
        "val": slice(45, 50),
        "test": slice(50, 60),
    }.items():
        assert (np.load(tmp_path / f"{split}_images.npy") == images[part]).all()
        assert (np.load(tmp_path / f"{split}_labels.npy") == labels[part]).all()


ALL_TEXTURES = {**textures.SOURCE, **textures.TARGET}


def test_no_two_tiles_of_textures_overlap_whatever_their_split_and_class():
    by_photo: dict[str, list[tuple[int, int]]] = {}
    for label, texture in enumerate(ALL_TEXTURES.values()):
        tiles = textures.split_tiles(texture, seed=label)
        assert all(tiles[split] for split in SPLITS)
        by_photo.setdefault(texture.photo, []).extend(itertools.chain(*tiles.values()))
    for photo, corners in by_photo.items():
        height, width = textures.read_photo(photo).shape
        taken = np.zeros((height, width), int)
        for top, left in corners:
            assert 0 <= top <= height - textures.TILE
            assert 0 <= left <= width - textures.TILE
            taken[top : top + textures.TILE, left : left + textures.TILE] += 1
        assert taken.max() == 1, f"a pixel of {photo} is in two tiles"


@pytest.mark.parametrize("name", ALL_TEXTURES)
def test_no_crop_of_a_split_sees_a_pixel_of_another(name):
    texture = ALL_TEXTURES[name]
    tiles = textures.split_tiles(texture, seed=list(ALL_TEXTURES).index(name))
    for split in SPLITS:
        # White everywhere but in this split's tiles: one wrong pixel, and a crop is not black.
        photo = np.full(textures.read_photo(texture.photo).shape, 255)
        for top, left in tiles[split]:
            photo[top : top + textures.TILE, left : left + textures.TILE] = 0
        assert textures.cut(photo, tiles[split], 300, seed=1).max() == 0


def test_colour_and_brightness_of_a_texture_say_nothing_about_its_class(made):
    # A nearest-mean classifier on each crop's mean colour does hardly better than guessing.
    folder = made("textures")
    x = {s: np.load(folder / f"{s}_images.npy").mean(axis=(1, 2)) for s in ("train", "test")}
    y = {s: np.load(folder / f"{s}_labels.npy") for s in ("train", "test")}
    target = {split: labels >= len(textures.SOURCE) for split, labels in y.items()}
    names = np.unique(y["train"][target["train"]])
    means = np.stack([x["train"][y["train"] == label].mean(axis=0) for label in names])
    distances = np.linalg.norm(x["test"][target["test"]][:, None] - means, axis=2)
    accuracy = (names[distances.argmin(axis=1)] == y["test"][target["test"]]).mean()
    assert accuracy < 0.4  # guessing: 0.17


def test_shrinking_averages_areas_exactly():
    square = np.random.default_rng(0).integers(0, 256, (48, 48))
    small = textures.shrink(square)
    # Oracle: one output pixel is 1.5 input pixels wide, so weights are 1, 1/2.
    weights = np.zeros((32, 48))
    for row in range(32):
        for column in range(48):
            weights[row, column] = max(0, min(1.5 * row + 1.5, column + 1) - max(1.5 * row, column))
    exact = weights @ square @ weights.T / 1.5**2
    assert np.abs(small - exact).max() <= 0.5 + 1e-9
    assert (textures.shrink(square[:32, :32]) == square[:32, :32]).all()


@pytest.mark.parametrize("split", ["val", "test"])
def test_no_phrase_of_cldr_and_no_pair_of_its_parts_is_in_training_but_each_part_is(made, split):
    found = overlaps(read_phrases(made("cldr"), "train"), read_phrases(made("cldr"), split))
    assert set(found) == {"all", *(kind.name for kind in cldr.kinds())}
    for kind, overlap in found.items():
        shared = overlap.sources, overlap.targets, overlap.pairs
        assert shared == (0, 0, 0), kind
        assert (overlap.unknown_parts, overlap.unknown_words) == (0, 0), kind
        assert overlap.phrases >= 20, kind


def test_cldr_is_in_nfc_short_and_mixed(made):
    for split in SPLITS:
        phrases = read_phrases(made("cldr"), split)
        for phrase in phrases:
            for text in phrase[:2]:
                assert text == unicodedata.normalize("NFC", text) == text.strip() != ""
                assert len(text) < 120
        sources = [phrase.source for phrase in phrases]
        assert len(sources) == len(set(sources)), "one translation of each"
    first = {phrase.kind for phrase in read_phrases(made("cldr"), "train")[:600]}
    assert first == {kind.name for kind in cldr.kinds()}, "a limit keeps all kinds"


def test_cldr_does_not_depend_on_the_machine(tmp_path):
    script = (
        "import sys; from pathlib import Path; from labs_core.data.sets import cldr;"
        "cldr.produce([], Path(sys.argv[1]))"
    )
    elsewhere = {"TZ": "Asia/Tokyo", "LC_ALL": "fr_FR.UTF-8", "LANGUAGE": "fr"}
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, **elsewhere, "PYTHONHASHSEED": "7", "PYTHONUTF8": "1"},
        check=True,
    )
    assert combine(hash_files(tmp_path)) == dvc_cache.pinned("cldr")


def test_the_phrases_of_cldr_are_translations():
    # Written by hand: what both languages say.
    said = [
        cldr._date(1, 8, 2015, "full"),
        cldr._time(15, 5, "short"),
        cldr._quantity(Decimal("1.5"), "length-foot", ""),
        cldr._relative(2, "day", "ago"),
        cldr._relative(90, "minute", "in"),
        cldr._money(Decimal(3), "USD", ""),
        cldr._magnitude(Decimal(3), 10**9, ""),
        cldr._listed(
            ("French", "français"), ("German", "allemand"), ("Dutch", "néerlandais"), form="and"
        ),
        cldr._percentages(10, 25, "or"),
        cldr._days(8, 1, 5, ""),
        cldr._quarter(3, 2015, ""),
    ]
    assert said == [
        ("Saturday, August 1, 2015", "samedi 1 août 2015"),
        ("3:05\u202fPM", "15:05"),
        ("1.5 feet", "1,5\u00a0pied"),
        ("2 days ago", "il y a 2 jours"),
        ("in 90 minutes", "dans 90 minutes"),
        ("3 US dollars", "3 dollars des États-Unis"),
        ("3 billion", "3 milliards"),
        ("French, German, and Dutch", "français, allemand et néerlandais"),
        ("10% or 25%", "10\u00a0% ou 25\u00a0%"),
        ("Aug 1\u2009–\u20095", "1–5 août"),
        ("3rd quarter 2015", "3e trimestre 2015"),
    ]
    assert cldr._date(30, 2, 2015, "long") is None
    assert cldr._days(8, 5, 1, "") is None


@pytest.mark.mirror
def test_multi30k_keeps_the_official_order_and_has_the_later_test_sets_beside_it(made):
    folder = made("multi30k")
    sizes = {"train": 29_000, "val": 1014, "test": 1000, "test_2017_flickr": 1000}
    for split, size in {**sizes, "test_2017_mscoco": 461, "test_2018_flickr": 1071}.items():
        english, french = (read_sentences(folder, split, language) for language in ("en", "fr"))
        assert len(english) == len(french) == size
        assert all(english)
        assert all(french)
    # The first pair of the training set, as the paper and every tutorial print it.
    assert read_sentences(folder, "train", "en")[0] == (
        "Two young, White males are outside near many bushes."
    )
    assert read_sentences(folder, "train", "fr")[0] == (
        "Deux jeunes hommes blancs sont dehors près de buissons."
    )
