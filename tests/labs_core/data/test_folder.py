from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labs_core.data.folder import ImageFolder, find_splits
from labs_core.errors import LabsError


def picture(shade: int, size: tuple[int, int] = (20, 16)) -> Image.Image:
    noise = np.random.default_rng(shade).integers(0, 9, (size[1], size[0], 3))
    return Image.fromarray((shade % 240 + noise).astype(np.uint8))


def fill(folder: Path, count: int = 10, start: int = 0, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(start, start + count):
        picture(n).save(folder / f"{n:02d}{suffix}")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    fill(tmp_path / "cats", start=0)
    fill(tmp_path / "dogs", start=100, count=20)
    return tmp_path


def loaded(root: Path, **options) -> ImageFolder:
    module = ImageFolder(
        **{"name": "folder", "root": str(root), "batch_size": 8, "image_size": 8, **options}
    )
    module.setup()
    return module


def labels(module: ImageFolder, split: str) -> list[int]:
    return module.splits[split][1].tolist()


def split_names(root: Path) -> dict[str, set[str]]:
    return {split: {p.name for p in pictures} for split, pictures in find_splits(root).items()}


def touch(root: Path, label: str, names: Iterable[str]) -> None:
    """Files that only have a name; a split looks at nothing else."""
    (root / label).mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / label / f"{name}.jpg").touch()


def test_subfolders_are_classes_and_each_split_has_some_of_each(root):
    module = loaded(root)
    assert module.spec.classes == ("cats", "dogs")
    assert (module.spec.height, module.spec.width, module.spec.channels) == (8, 8, 3)
    counts = {s: np.bincount(labels(module, s), minlength=2) for s in module.splits}
    assert sum(counts.values()).tolist() == [10, 20]
    assert min(map(min, counts.values())) >= 1


def test_val_and_test_have_about_15_percent_of_each_class(tmp_path):
    for label in ("a", "b"):
        touch(tmp_path, label, map(str, range(1000)))
    for split, expected in {"train": 700, "val": 150, "test": 150}.items():
        for label in ("a", "b"):
            count = sum(picture.label == label for picture in find_splits(tmp_path)[split])
            assert abs(count - expected) < 50, "more than four standard deviations"


def test_the_split_depends_on_names_alone(root):
    before = split_names(root)
    for path in root.rglob("*.png"):
        path.touch()
    assert split_names(root) == before
    assert loaded(root, seed=7).splits["test"][0].equal(loaded(root, seed=8).splits["test"][0])


@pytest.mark.parametrize("ready", ["", "val", "test"])
def test_a_new_file_moves_no_other(tmp_path, ready):
    below = "train" if ready else ""
    for label in ("a", "b"):
        touch(tmp_path / below, label, (f"old{n}" for n in range(60)))
        if ready:
            touch(tmp_path / ready, label, "xy")
    before = split_names(tmp_path)
    for step in range(5):
        touch(tmp_path / below, "a", (f"new{step}-{n}" for n in range(60)))
        after = split_names(tmp_path)
        assert all(before[split] <= after[split] for split in before)
        before = after


def test_a_split_that_is_added_moves_no_image_from_train_to_the_other(tmp_path):
    for label in ("a", "b"):
        touch(tmp_path / "train", label, map(str, range(60)))
    before = split_names(tmp_path)
    touch(tmp_path / "val", "a", "x")
    assert split_names(tmp_path)["test"] == before["test"]


@pytest.mark.parametrize("count", [3, 4, 5])
def test_a_small_class_is_in_every_split(tmp_path, count):
    for n in range(40):
        touch(tmp_path, f"class {n}", map(str, range(count)))
    for pictures in find_splits(tmp_path).values():
        assert {picture.label for picture in pictures} == {f"class {n}" for n in range(40)}


def test_training_images_are_mixed(root):
    order = labels(loaded(root), "train")
    assert order != sorted(order)


def test_a_ready_split_is_kept_and_what_is_missing_is_drawn_from_train(tmp_path):
    for split, count in {"train": 8, "test": 4}.items():
        fill(tmp_path / split / "a", count)
        fill(tmp_path / split / "b", count, start=50)
    names = split_names(tmp_path)
    assert names["test"] == {f"test/{c}" for c in [f"a/{n:02d}.png" for n in range(4)]} | {
        f"test/b/{n}.png" for n in range(50, 54)
    }
    assert {name[:7] for name in names["val"]} == {"train/a", "train/b"}
    assert len(names["train"]) + len(names["val"]) == 16
    assert all(name.startswith("train/") for name in names["val"] | names["train"])


def test_a_class_may_be_called_train(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "bus", start=50)
    assert loaded(tmp_path).spec.classes == ("bus", "train")


def test_pixels_are_those_that_serving_makes(root):
    from labs_core.tasks.image_classification import to_pixels

    module = loaded(root)
    first = find_splits(root)["test"][0]
    expected = to_pixels(first.path.read_bytes(), (8, 8), 3)
    assert (module.raw("test", [0])[0] == expected).all()


def test_modes_and_bit_depths_of_all_kinds_are_read(tmp_path):
    base = picture(100)
    made = {
        "grey.png": base.convert("L"),
        "palette.png": base.convert("P"),
        "palette.gif": base.convert("P"),
        "alpha.png": base.convert("RGBA"),
        "grey alpha.png": base.convert("LA"),
        "cmyk.jpg": base.convert("CMYK"),
        "one bit.png": base.convert("1"),
        "sixteen.png": Image.fromarray(np.full((16, 20), 100 * 257, np.uint16)),
        "sixteen.tif": Image.fromarray(np.full((16, 20), 100 * 257, np.uint16)),
        "rgb.webp": base,
        "rgb.bmp": base,
    }
    (tmp_path / "all").mkdir()
    for name, image in made.items():
        image.save(tmp_path / "all" / name)
    fill(tmp_path / "other")
    module = loaded(tmp_path)
    assert sum(labels(module, split).count(0) for split in module.splits) == len(made)
    for split, pictures in find_splits(tmp_path).items():
        for index, each in enumerate(pictures):
            if each.label == "all" and "one bit" not in each.name:
                mean = module.splits[split][0][index].float().mean().item()
                assert mean == pytest.approx(104, abs=8), each.name


def test_a_photograph_that_was_taken_sideways_stands_upright(tmp_path):
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8] = 255  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned a quarter to the right
    buffer = io.BytesIO()
    sideways = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90)
    sideways.save(buffer, "JPEG", exif=exif, quality=95)
    for n in range(4):
        for label in ("a", "b"):
            (tmp_path / label).mkdir(exist_ok=True)
            (tmp_path / label / f"{n}.jpg").write_bytes(buffer.getvalue())
    pixels = loaded(tmp_path).raw("test", [0])[0]
    assert pixels[:3].min() > 200
    assert pixels[-3:].max() < 50


def test_names_with_spaces_accents_and_upper_case_endings(tmp_path):
    fill(tmp_path / "crème brûlée", suffix=".PNG")
    fill(tmp_path / "bœuf au jus", start=50, suffix=".JPeG")
    module = loaded(tmp_path)
    assert module.spec.classes == ("bœuf au jus", "crème brûlée")
    assert sum(len(labels(module, split)) for split in module.splits) == 20


def test_grey_images_on_request(root):
    assert loaded(root, channels=1).splits["train"][0].shape[1] == 1


def test_the_fingerprint_is_of_names_and_contents(root):
    before = loaded(root).fingerprint()
    assert loaded(root, seed=3, image_size=6).fingerprint() == before
    (root / "cats" / "00.png").rename(root / "cats" / "zz.png")
    renamed = loaded(root).fingerprint()
    picture(5).save(root / "cats" / "zz.png")
    assert len({before, renamed, loaded(root).fingerprint()}) == 3


def test_no_root_is_an_error():
    with pytest.raises(LabsError, match="needs the folder of your images") as caught:
        ImageFolder(name="folder", root=None, batch_size=8, image_size=8)
    assert caught.value.remedy == "Say where: data.root=DIR"


def test_a_missing_root_is_an_error(tmp_path):
    with pytest.raises(LabsError, match=r"There is no folder .*nothing"):
        loaded(tmp_path / "nothing")


@pytest.mark.parametrize("kind", ["empty", "empty classes", "images without classes"])
def test_a_folder_without_images_by_class_is_an_error(tmp_path, kind):
    if kind == "empty classes":
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
    if kind == "images without classes":
        fill(tmp_path)
    with pytest.raises(LabsError, match="There are no images by class in") as caught:
        loaded(tmp_path)
    assert "ROOT/cat/1.jpg" in caught.value.remedy


def test_one_class_only_is_an_error(tmp_path):
    fill(tmp_path / "cats")
    with pytest.raises(LabsError, match="one class only, 'cats'"):
        loaded(tmp_path)


def test_a_class_with_too_few_images_is_named(root):
    fill(root / "birds", count=2)
    with pytest.raises(LabsError, match=r"class 'birds' in .* has 2 images: .* need 3"):
        loaded(root)
    fill(root / "birds", count=3)
    assert loaded(root).spec.classes == ("birds", "cats", "dogs")


@pytest.mark.parametrize("content", [b"", b"This is a text.", picture(1).tobytes()])
def test_a_file_that_pretends_to_be_an_image_is_named(root, content):
    (root / "cats" / "liar.jpg").write_bytes(content)
    with pytest.raises(LabsError, match=r"cats.liar\.jpg cannot be used as an image"):
        loaded(root)


def test_a_truncated_image_is_named(root):
    buffer = io.BytesIO()
    picture(3, (200, 200)).save(buffer, "JPEG")
    (root / "dogs" / "half.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(LabsError, match=r"dogs.half\.jpg cannot be used as an image"):
        loaded(root)


def test_a_text_among_the_images_is_ignored_with_one_line_that_names_it(root, capsys):
    (root / "cats" / "notes.txt").write_text("These are my cats.")
    (root / "readme.md").write_text("My pets")
    (root / "cats" / ".hidden").write_text("")
    module = loaded(root)
    assert sum(len(labels(module, split)) for split in module.splits) == 30
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "cats/notes.txt" in lines[0]
    assert "readme.md" in lines[0]


def test_photographs_in_heic_are_named_with_what_to_do(root, capsys):
    (root / "cats" / "IMG_0001.HEIC").write_bytes(b"ftypheic")
    loaded(root)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "HEIC" in line
    assert "save them as JPEG" in line
    assert "cats/IMG_0001.HEIC" in line


def test_a_ready_split_with_an_unknown_class_is_an_error(tmp_path):
    for label in ("a", "b"):
        fill(tmp_path / "train" / label)
    fill(tmp_path / "test" / "c")
    with pytest.raises(LabsError, match="test has the class 'c', which train has not"):
        loaded(tmp_path)
