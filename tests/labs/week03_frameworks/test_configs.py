"""The lab's room: what each choice composes to and builds, and what is refused."""

from __future__ import annotations

import pytest

from labs.week03_frameworks.data import Pictures
from labs.week03_frameworks.losses import CrossEntropy, Focal, LabelSmoothing
from labs.week03_frameworks.model import ImageClassifier
from labs.week03_frameworks.networks import Cnn, Mlp
from labs_core.config.compose import compose, options
from labs_core.data import augment
from labs_core.data.store import ensure
from labs_core.errors import LabsError
from labs_core.train.build import build_data, build_module


def build(*overrides: str) -> tuple[Pictures, ImageClassifier]:
    ensure("textures")
    config = compose("week3", ["data.limit=64", *overrides]).config
    data = build_data(config)
    module = build_module(config, data)
    assert isinstance(module, ImageClassifier)
    return data, module


def test_the_choices_are_those_of_the_roadmap():
    found = options("week3")
    assert found["model"] == ["cnn", "cnn_large", "mlp"]
    assert found["loss"] == ["cross_entropy", "focal", "label_smoothing"]
    assert found["augmentation"] == ["colour", "crop_flip", "flip", "none"]


@pytest.mark.parametrize(("name", "network"), [("cnn", Cnn), ("cnn_large", Cnn), ("mlp", Mlp)])
def test_each_network_is_built(name, network):
    assert isinstance(build(f"model={name}")[1].network, network)


@pytest.mark.parametrize(
    ("overrides", "loss"),
    [
        (["loss=cross_entropy"], CrossEntropy()),
        (["loss=label_smoothing"], LabelSmoothing(0.1)),
        (["loss=label_smoothing", "loss.epsilon=0.2"], LabelSmoothing(0.2)),
        (["loss=focal"], Focal(2.0)),
        (["loss=focal", "loss.gamma=0.5"], Focal(0.5)),
    ],
)
def test_each_loss_is_built_with_its_setting(overrides, loss):
    assert build(*overrides)[1].loss == loss


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("none", []),
        ("flip", [augment.random_flip]),
        ("crop_flip", [augment.random_crop, augment.random_flip]),
        ("colour", [augment.random_crop, augment.random_flip, augment.jitter]),
    ],
)
def test_each_set_of_augmentations_is_built(name, steps):
    assert build(f"augmentation={name}")[0].source.augment == steps


def test_an_augmentation_of_ones_own_is_what_one_types():
    assert build("data.augment=[cutout]")[0].source.augment == [augment.cutout]


def test_all_training_pictures_of_all_classes_are_used():
    data = build("data.limit=null")[0]
    assert len(data.spec.classes) == 14
    assert len(data.augmented()) == 6600


def test_full_means_cifar_unless_the_user_says_otherwise():
    assert compose("week3", profile="full").config.data.name == "cifar10"
    assert compose("week3", ["data=textures"], profile="full").config.data.name == "textures"
    assert "width" not in compose("week3", ["model=mlp"], profile="full").config.model


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss=label_smoothing loss.epsilon=1.0", "loss.epsilon=1"),
        ("loss=focal loss.gamma=-1", "loss.gamma=-1"),
        ("model=mlp model.hidden=[0]", "without units"),
        ("model.width=0", "model.width=0"),
        ("model.stages=9", "32 × 32"),
        ("data.augment=[flop]", "no augmentation 'flop'"),
    ],
)
def test_what_makes_no_sense_ends_in_one_error_with_a_remedy(override, message):
    with pytest.raises(LabsError, match=message.replace("[", r"\[")) as caught:
        build(*override.split())
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("model=cmm", "cnn"),
        ("loss=focall", "focal"),
        ("augmentation=crop", "crop_flip"),
        ("loss.gama=1", "labs config"),
        ("model.hidden=[8]", "labs config"),  # the perceptron's; the default is the cnn
    ],
)
def test_a_misspelt_choice_is_told_the_nearest(override, remedy):
    with pytest.raises(LabsError) as caught:
        compose("week3", [override])
    assert remedy in caught.value.remedy
