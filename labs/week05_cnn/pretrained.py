"""Weights that others have trained: from torchvision's official place, or from a file of yours."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from labs.week05_cnn.exercises.transfer_weights import compare, transfer
from labs.week05_cnn.networks import Network
from labs_core.catalog import OfficialFile
from labs_core.data.digest import file_hash
from labs_core.data.fetch import fetch
from labs_core.data.store import alone
from labs_core.errors import LabsError
from labs_core.paths import data_dir

FROM_FILE = "give weights that you have: pretrain=file pretrain.weights=FILE"


class Published(NamedTuple):
    """A file of ImageNet weights. Its sha256 begins with the eight digits in its name."""

    file: str
    megabytes: float

    @property
    def url(self) -> str:
        """Where PyTorch publishes it."""
        return f"https://download.pytorch.org/models/{self.file}"

    @property
    def digits(self) -> str:
        """The first ones of its sha256."""
        return self.file.removesuffix(".pth")[-8:]


# By the name of the network. Where there are several versions this is the first one: later recipes
# (label smoothing, mixup, long training) are better at ImageNet, but their features transfer less
# well (Kornblith et al. 2021, "Why do better loss functions lead to less transferable features?").
IMAGENET = {
    "alexnet": Published("alexnet-owt-7be5be79.pth", 244.4),
    "vgg11": Published("vgg11-8a719046.pth", 531.5),
    "vgg16": Published("vgg16-397923af.pth", 553.4),
    "resnet18": Published("resnet18-f37072fd.pth", 46.8),
    "resnet34": Published("resnet34-b627a593.pth", 87.3),
    "resnet50": Published("resnet50-0676ba61.pth", 102.5),
    "mobilenet_v2": Published("mobilenet_v2-b0353104.pth", 14.2),
    "efficientnet_b0": Published("efficientnet_b0_rwightman-7f5810bc.pth", 21.4),
    "vit_b_16": Published("vit_b_16-c867db91.pth", 346.3),
}
# Of the ImageNet images, per channel, that the published weights were trained on.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def is_published(weights: str) -> bool:
    """Whether these are the published weights: `imagenet`, or a file with the name of one."""
    return weights == "imagenet" or _digits(Path(weights).name) is not None


def load_pretrained(network: Network, weights: str | Path) -> None:
    """Set the network's weights and buffers; a head for other classes stays as it is.

    Args:
        network: any of this lab's, freshly made.
        weights: `imagenet`, or the path of a state dict that `torch.save` has written.

    Raises:
        LabsError: no such weights, a damaged or dangerous file, or weights of another network.
    """
    if weights != "imagenet":
        path = Path(weights)
    elif network.name in IMAGENET:
        path = fetch_weights(IMAGENET[network.name])
    else:
        raise LabsError(
            f"There are no published ImageNet weights for {network.name}",
            remedy=f"There are some for {', '.join(IMAGENET)}. Or {FROM_FILE}.",
        )
    set_weights(network, read_weights(path), path.name)


def fetch_weights(published: Published) -> Path:
    """The file in the mirror folder or in data/weights, downloaded there if need be.

    LABS_DATA_MIRROR, a folder or a URL, stands for `https://` and comes first. A download whose
    hash is wrong is thrown away; `read_weights` checks it once more before use.

    Raises:
        LabsError: not to be reached, another content than its name promises, no space.
    """
    target = data_dir() / "weights" / published.file
    if target.is_file():
        return target
    official = OfficialFile(
        published.url, round(published.megabytes * 1e6), sha256=published.digits
    )
    with alone("weights"):
        return fetch(official, target.parent, f"The file of weights {published.file}", FROM_FILE)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict by their names. Nothing in the file is run.

    Raises:
        LabsError: no such file; damaged (its checksum is wrong, or an end is missing); holds
            other things than tensors, which a pickle could use to run a program.
    """
    if not path.is_file():
        raise LabsError(f"There is no file of weights '{path}'", remedy="Give its whole path.")
    if digits := _digits(path.name):  # another's file may end in what looks like some: a date
        if not file_hash(path, "sha256").startswith(digits):
            raise _damaged(path, "its sha256 does not begin with the digits in its name")
    elif zipfile.is_zipfile(path) and (broken := _broken_member(path)):
        raise _damaged(path, f"the checksum of {broken} is wrong")  # torch does not look at it
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a dozen kinds, by where in the file the damage is
        if not_a_tensor := re.search(r"GLOBAL (\S+)", str(error)):
            raise LabsError(
                f"The weights '{path}' are refused",
                f"the file asks for {not_a_tensor[1]}, and could run a program with it",
                "Save tensors only: torch.save(network.state_dict(), FILE).",
            ) from error
        raise _damaged(
            path, str(error).splitlines()[0] if str(error) else "it ends early"
        ) from error
    if not isinstance(weights, Mapping) or not weights:
        raise _not_a_state_dict(path, f"it is a {type(weights).__name__}")
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            raise _not_a_state_dict(path, f"'{name}' is a {type(value).__name__}, not a tensor")
    return dict(weights)


def set_weights(network: Network, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy all of `weights` into the network, or nothing.

    A head for another number of classes is of no use and is left out: the network keeps its own,
    new one.

    Raises:
        LabsError: a name is missing, unknown, or its tensor has another shape.
    """
    own = network.state_dict()
    left_out = network.head if _other_classes(own, weights, network.head) else None
    fit = compare(own, weights, left_out)
    # Files from before PyTorch 0.4.1 lack this counter, which batch norm does not use here.
    missing = [name for name in fit.missing if not name.endswith("num_batches_tracked")]
    shapes = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
        for name in fit.misshapen
    ]
    problems = [
        _first("missing", missing),
        _first("unknown", fit.unknown),
        _first("of another shape", shapes),
    ]
    if any(problems):
        raise LabsError(
            f"The weights {source} are not for this {network.name}",
            "; ".join(filter(None, problems)),
            "Take the model that they were made with, and its settings (stem, width, image size, "
            "channels).",
        )
    transfer(network, weights, left_out)


def _digits(name: str) -> str | None:
    """The digits in the name of a published file; None where it is none."""
    return next((each.digits for each in IMAGENET.values() if each.file == name), None)


def _broken_member(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, ValueError):
        return "its contents"


def _other_classes(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], head: str) -> bool:
    """Whether the weights hold a whole head, and one of (K', D) for (K, D) with K' ≠ K."""
    weight, bias = f"{head}.weight", f"{head}.bias"
    if weight not in weights or bias not in weights:
        return False
    theirs, ours = weights[weight].shape, own[weight].shape
    return theirs[1:] == ours[1:] and theirs[0] != ours[0]


def _first(what: str, names: Iterable[str], most: int = 3) -> str:
    """`missing: a, b, c and 5 more`, or nothing."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{what}: {', '.join(names[:most])}{more}" if names else ""


def _damaged(path: Path, why: str) -> LabsError:
    return LabsError(
        f"The weights '{path}' cannot be read, the file is damaged",
        why,
        "Delete it and fetch it again.",
    )


def _not_a_state_dict(path: Path, why: str) -> LabsError:
    return LabsError(
        f"'{path}' holds no state dict",
        why,
        "Save one: torch.save(network.state_dict(), FILE).",
    )
