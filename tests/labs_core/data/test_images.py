from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from labs_core.data.formats import write_classes, write_images
from labs_core.data.images import ImageArrays, ImageSpec, channel_statistics
from labs_core.errors import LabsError

COUNTS = {"train": 60, "val": 12, "test": 18}


@pytest.fixture
def toy(data: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A data set `toy` of six classes in two parts; returns its arrays."""
    rng, arrays = np.random.default_rng(0), {}
    (data / "toy").mkdir(parents=True)
    for split, count in COUNTS.items():
        labels = rng.permutation(np.arange(count) % 6)
        images = rng.integers(0, 256, (count, 5, 7, 3), dtype=np.uint8)
        write_images(data / "toy", split, images, labels)
        arrays[split] = images, labels
    parts = {"odd": ["b", "d", "f"], "even": ["a", "c", "e"]}
    write_classes(data / "toy", list("abcdef"), parts)
    return arrays


def loaded(**options) -> ImageArrays:
    module = ImageArrays(**{"name": "toy", "batch_size": 16, **options})
    module.setup()
    module.setup("fit")  # again: nothing happens
    return module


def gathered(loader) -> tuple[torch.Tensor, torch.Tensor]:
    pixels, labels = zip(*loader, strict=True)
    return torch.cat(pixels), torch.cat(labels)


def test_test_batches_are_the_arrays_in_order(toy):
    module = loaded()
    pixels, labels = gathered(module.test_dataloader())
    assert pixels.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert (pixels.numpy() == toy["test"][0].transpose(0, 3, 1, 2)).all()
    assert (labels.numpy() == toy["test"][1]).all()
    again, _ = gathered(module.predict_dataloader())
    assert (again == pixels).all()
    assert len(module.test_dataloader()) == 2


def test_the_spec_has_the_training_splits_statistics(toy):
    spec = loaded().spec
    values = toy["train"][0] / 255
    assert (spec.height, spec.width, spec.channels) == (5, 7, 3)
    assert spec.classes == tuple("abcdef")
    assert spec.mean == pytest.approx(values.mean(axis=(0, 1, 2)), abs=1e-12)
    assert spec.std == pytest.approx(values.std(axis=(0, 1, 2)), abs=1e-12)
    assert isinstance(spec, ImageSpec)


def test_a_part_has_its_own_classes_counted_from_zero(toy):
    module = loaded(part="odd")
    images, labels = toy["test"]
    of_part = np.isin(labels, [1, 3, 5])
    pixels, found = gathered(module.test_dataloader())
    assert module.spec.classes == ("b", "d", "f")
    assert (pixels.numpy() == images[of_part].transpose(0, 3, 1, 2)).all()
    assert (found.numpy() == labels[of_part] // 2).all()


def test_all_is_every_class_and_an_unknown_part_is_an_error(toy):
    assert loaded(part="all").spec.classes == tuple("abcdef")
    with pytest.raises(LabsError, match="no part 'odds'") as caught:
        loaded(part="odds")
    assert caught.value.remedy == "Did you mean 'odd'?"


def test_limit_keeps_the_first_training_images_and_all_test_images(toy):
    module = loaded(limit=10)
    pixels, _ = module.splits["train"]
    assert (pixels.numpy() == toy["train"][0][:10].transpose(0, 3, 1, 2)).all()
    assert len(module.splits["test"][0]) == 18


def test_few_labels_are_drawn_by_the_seed_the_same_number_of_each_class(toy):
    def kept(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        return loaded(labels_per_class=4, seed=seed).splits["train"]

    (a, a_labels), (again, _), (b, _) = kept(0), kept(0), kept(1)
    assert a_labels.bincount().tolist() == [4] * 6
    assert (a == again).all()
    assert a.shape == b.shape
    assert (a != b).any()


def test_more_labels_than_there_are_is_an_error(toy):
    with pytest.raises(LabsError, match="labels_per_class=11 is more than toy has"):
        loaded(labels_per_class=11)


def test_only_training_images_are_augmented(toy):
    module = loaded(augment=["crop", "flip", "jitter", "cutout"])
    plain = loaded()
    for loader in ("val_dataloader", "test_dataloader"):
        a, b = (gathered(getattr(each, loader)())[0] for each in (module, plain))
        assert (a == b).all()
    a, b = (gathered(each.train_dataloader())[0] for each in (module, plain))
    assert (a != b).any()


def test_raw_inputs_are_the_pictures_and_the_baseline_the_most_frequent_class(toy):
    module = loaded()
    raw = module.raw("test", [3, 1])
    assert [item.shape for item in raw] == [(5, 7, 3)] * 2
    assert (raw[0] == toy["test"][0][3]).all()
    most = np.bincount(toy["train"][1]).argmax()
    assert module.baseline() == {"test/acc": pytest.approx((toy["test"][1] == most).mean())}


def test_the_fingerprint_is_the_folders_hash(toy, data):
    from labs_core.data.digest import combine, hash_files

    assert loaded().fingerprint() == combine(hash_files(data / "toy"))


def test_a_data_set_that_is_not_here_says_how_to_get_it(data):
    with pytest.raises(LabsError, match="'mnist' is not here") as caught:
        ImageArrays(name="mnist", batch_size=1).setup()
    assert caught.value.remedy == "Bring it: labs data fetch mnist"


def test_a_channel_that_never_changes_gets_the_deviation_one():
    mean, std = channel_statistics(np.full((3, 4, 4, 2), 51, np.uint8))
    assert mean == pytest.approx((0.2, 0.2))
    assert std == (1.0, 1.0)


@pytest.mark.parametrize("name", ["textures", "mnist5k", "diabetes", "folder", "cifar10"])
def test_every_key_of_a_data_sets_configuration_is_an_argument_of_its_class(name):
    import inspect

    import yaml
    from hydra.utils import get_class

    from labs_core.data.images import Images
    from labs_core.paths import CONFIGS

    room = yaml.safe_load((CONFIGS / "data" / f"{name}.yaml").read_text(encoding="utf-8"))
    room.pop("card")
    made = get_class(room.pop("_target_"))
    accepted = set(inspect.signature(made).parameters)
    if issubclass(made, Images):
        accepted |= set(inspect.signature(Images).parameters)
    assert set(room) | {"seed"} <= accepted
    assert room["name"] == name
