"""Source first, target afterwards."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from labs.week05_cnn.data import SourceThenTarget
from labs_core.config.compose import compose, options
from labs_core.data.images import ImageArrays
from labs_core.data.store import ensure
from labs_core.errors import LabsError
from labs_core.train.build import build_data


@pytest.fixture(scope="module")
def data() -> SourceThenTarget:
    ensure("textures")
    target = ImageArrays(name="textures", batch_size=32, part="target", labels_per_class=5, seed=0)
    source = ImageArrays(name="textures", batch_size=512, part="source", seed=0)
    both = SourceThenTarget(target, source, source_share=0.5, epochs=4)
    both.setup()
    return both


def test_the_epoch_decides_what_is_trained_and_validated_on(data: SourceThenTarget) -> None:
    target_size, source_size = 6 * 5, len(data.source.train_dataloader().sampler)
    for epoch, expected in enumerate([source_size, source_size, target_size, target_size]):
        data.trainer = SimpleNamespace(current_epoch=epoch)
        assert sum(len(labels) for _, labels in data.train_dataloader()) == expected
        classes = {int(label) for _, labels in data.val_dataloader() for label in labels}
        assert len(classes) == (8 if epoch < 2 else 6)


def test_everything_but_training_is_the_targets(data: SourceThenTarget) -> None:
    assert data.spec.classes == data.target.spec.classes
    assert data.spec.source_classes == data.source.spec.classes
    assert not set(data.spec.classes) & set(data.spec.source_classes)
    assert data.baseline() == data.target.baseline()
    assert data.fingerprint() == data.target.fingerprint()


def test_pictures_that_do_not_fit_each_other_are_refused() -> None:
    ensure("mnist5k")
    grey = ImageArrays(name="mnist5k", batch_size=32, seed=0)
    colour = ImageArrays(name="textures", batch_size=32, part="source", seed=0)
    with pytest.raises(LabsError, match="3 channels, yours have 1") as error:
        SourceThenTarget(grey, colour, source_share=0.5, epochs=2).setup()
    assert "pretrain=none" in error.value.remedy


@pytest.mark.parametrize(("epochs", "expected"), [(70, 10), (7, 1), (2, 0)])
def test_a_run_of_few_epochs_has_no_first_phase(epochs: int, expected: int) -> None:
    parts = [ImageArrays(name="textures", batch_size=32, part=p) for p in ("target", "source")]
    assert SourceThenTarget(*parts, source_share=0.15, epochs=epochs).source_epochs == expected


def test_a_share_that_leaves_nothing_is_refused() -> None:
    parts = [ImageArrays(name="textures", batch_size=32, part=p) for p in ("target", "source")]
    with pytest.raises(LabsError, match="leaves nothing for your classes"):
        SourceThenTarget(*parts, source_share=1.0, epochs=3)


@pytest.mark.parametrize("transfer", options("week5")["transfer"])
@pytest.mark.parametrize("profile", ["smoke", "starter"])
def test_every_strategy_has_its_data_in_every_profile(transfer: str, profile: str) -> None:
    data = build_data(compose("week5", [f"transfer={transfer}"], profile).config)
    assert (data.source is None) == (transfer == "scratch")
    assert (data.source_epochs == 0) == (transfer == "scratch")
