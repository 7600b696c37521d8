"""Weights from files and from the official place: all of them fit, or one clear error."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from labs.week05_cnn.networks import Network
from labs.week05_cnn.pretrained import (
    IMAGENET,
    Published,
    fetch_weights,
    is_published,
    load_pretrained,
    read_weights,
)
from labs_core.errors import LabsError

Make = Callable[..., Network]
TORCHVISION = json.loads(Path(__file__).with_name("torchvision.json").read_text(encoding="utf-8"))


def save(network: Network, path: Path, **how: Any) -> Path:
    torch.save(network.state_dict(), path, **how)
    return path


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def randomised(network: Network) -> Network:
    """With every tensor unlike that of a network just made, running statistics included."""
    for value in network.state_dict().values():
        value.copy_(torch.rand_like(value) if value.is_floating_point() else value + 7)
    return network


# A file of one's own


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-1.6"])
def test_a_saved_network_comes_back_whole(
    name: str, zipped: bool, make: Make, tmp_path: Path
) -> None:
    trained = randomised(make(name))
    file = save(trained, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    network = make(name)

    load_pretrained(network, str(file))

    assert same(network.state_dict(), trained.state_dict())


def test_a_head_for_other_classes_is_left_out(name: str, make: Make, tmp_path: Path) -> None:
    trained = randomised(make(name, num_classes=9))
    network = make(name, num_classes=4)
    head = {f"{network.head}.weight", f"{network.head}.bias"}
    fresh = {key: network.state_dict()[key].clone() for key in head}

    load_pretrained(network, save(trained, tmp_path / "w.pth"))

    state = network.state_dict()
    assert same({key: state[key] for key in head}, fresh)
    rest = trained.state_dict()
    assert all(torch.equal(state[key], rest[key]) for key in rest if key not in head)


def test_old_files_without_batch_norms_counter_fit(make: Make, tmp_path: Path) -> None:
    state = {
        key: value
        for key, value in randomised(make("resnet18")).state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save(state, tmp_path / "w.pth")
    network = make("resnet18")

    load_pretrained(network, tmp_path / "w.pth")

    assert all(torch.equal(network.state_dict()[key], state[key]) for key in state)


def refuse(network: Network, file: Path | str) -> LabsError:
    """The error, after a look that the network is as it was."""
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(LabsError) as refused:
        load_pretrained(network, file)
    assert same(network.state_dict(), before)
    assert refused.value.remedy
    return refused.value


def test_weights_of_another_network_are_refused_by_their_first_names(
    make: Make, tmp_path: Path
) -> None:
    file = save(make("vgg11"), tmp_path / "w.pth")

    error = refuse(make("resnet18"), file)

    assert error.what == "The weights w.pth are not for this resnet18"
    missing, unknown = error.why.split("; ")
    assert missing.startswith("missing: conv1.weight, bn1.weight, bn1.bias and ")
    assert unknown.startswith("unknown: features.0.weight, features.0.bias, features.3.weight and ")


def test_weights_of_another_stem_are_refused_by_their_shape(make: Make, tmp_path: Path) -> None:
    file = save(make("resnet18", stem="imagenet"), tmp_path / "w.pth")

    error = refuse(make("resnet18", stem="small"), file)

    shapes = "(4, 3, 7, 7) instead of (4, 3, 3, 3)"
    assert error.why == f"of another shape: conv1.weight {shapes}"


def test_a_file_without_a_head_is_refused(make: Make, tmp_path: Path) -> None:
    state = make("resnet18").state_dict()
    del state["fc.weight"], state["fc.bias"]
    torch.save(state, tmp_path / "w.pth")

    assert refuse(make("resnet18"), tmp_path / "w.pth").why == "missing: fc.weight, fc.bias"


# Damaged and dangerous files


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-1.6"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(
    zipped: bool, share: float, make: Make, tmp_path: Path
) -> None:
    file = save(make("resnet10"), tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])

    assert "damaged" in refuse(make("resnet10"), file).what


def test_one_changed_byte_is_found(make: Make, tmp_path: Path) -> None:
    file = save(make("resnet10"), tmp_path / "w.pth")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    error = refuse(make("resnet10"), file)

    assert "damaged" in error.what
    assert "checksum" in error.why


def test_a_file_with_a_published_name_must_have_the_hash_in_it(make: Make, tmp_path: Path) -> None:
    file = save(make("resnet18"), tmp_path / "resnet18-f37072fd.pth")

    assert "sha256" in refuse(make("resnet18"), file).why


def test_a_date_in_the_name_of_ones_own_file_is_no_hash(make: Make, tmp_path: Path) -> None:
    file = save(make("resnet10"), tmp_path / "mymodel-20261120.pth")

    load_pretrained(make("resnet10"), file)


@pytest.mark.parametrize(
    ("weights", "published"),
    [
        ("imagenet", True),
        ("resnet18-f37072fd.pth", True),
        ("somewhere/else/vit_b_16-c867db91.pth", True),
        ("resnet18-20261120.pth", False),
        ("resnet18-f37072fd.pth/mine.pth", False),
    ],
)
def test_published_weights_are_known_by_their_names(weights: str, published: bool) -> None:
    assert is_published(weights) == published


@pytest.mark.parametrize("content", [b"weights", b"\x80\x02}q\x00.", b"PK\x03\x04" + bytes(100)])
def test_a_file_of_another_kind_is_refused(content: bytes, make: Make, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)

    refuse(make("resnet10"), tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"epoch": 3, "state_dict": {}}, "'epoch' is a int, not a tensor"),
        ([torch.ones(2)], "it is a list"),
        (torch.ones(2), "it is a Tensor"),
        ({}, "it is a dict"),
    ],
)
def test_what_is_not_a_state_dict_is_refused(
    value: Any, why: str, make: Make, tmp_path: Path
) -> None:
    torch.save(value, tmp_path / "w.pth")

    error = refuse(make("resnet10"), tmp_path / "w.pth")

    assert "holds no state dict" in error.what
    assert error.why == why


@pytest.mark.parametrize("name", ["absent.pth", "."])
def test_a_file_that_is_not_there_is_named(name: str, make: Make, tmp_path: Path) -> None:
    assert "no file of weights" in refuse(make("resnet10"), tmp_path / name).what


class Malicious:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("kind", ["zip", "before-1.6", "bare pickle"])
def test_a_file_with_a_program_in_it_is_refused_and_does_not_run(
    kind: str, make: Make, tmp_path: Path
) -> None:
    trace, file = tmp_path / "it-ran", tmp_path / "w.pth"
    state = {**make("resnet10").state_dict(), "fc.bias": Malicious(trace)}
    if kind == "bare pickle":
        file.write_bytes(pickle.dumps(Malicious(trace), protocol=2))
    else:
        torch.save(state, file, _use_new_zipfile_serialization=kind == "zip")

    error = refuse(make("resnet10"), file)

    assert not trace.exists()
    assert "refused" in error.what
    assert f"{os.name}.mkdir" in error.why
    pickle.loads(pickle.dumps(Malicious(trace)))
    assert trace.exists(), "the file would have run, had it been unpickled"


# The official files


def test_every_network_of_torchvision_has_official_weights() -> None:
    assert IMAGENET.keys() == TORCHVISION["models"].keys()
    for name, published in IMAGENET.items():
        assert re.fullmatch(r"[a-z0-9_]+(-owt)?-[0-9a-f]{8}\.pth", published.file)
        assert published.url == f"https://download.pytorch.org/models/{published.file}"
        # Four bytes a parameter, and little besides
        weights = 4 * TORCHVISION["models"][name]["parameters"] / 1e6
        assert weights - 0.1 < published.megabytes < 1.01 * weights + 0.5


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("LABS_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("LABS_DATA_MIRROR", raising=False)
    return tmp_path / "data"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way out leads to a port where nobody listens."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr("labs_core.data.download.PAUSE", 0.0)


@pytest.fixture
def mirror(make: Make, tmp_path: Path) -> tuple[Path, Published]:
    """A mirror folder, and the one file of weights in it."""
    folder = tmp_path / "mirror"
    models = folder / "download.pytorch.org" / "models"
    models.mkdir(parents=True)
    file = save(randomised(make("resnet10")), models / "new.pth")
    name = f"resnet10-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth"
    file.rename(models / name)
    return folder, Published(name, 0.1)


@pytest.fixture
def server(mirror: tuple[Path, Published]) -> Iterator[str]:
    """The mirror's address over HTTP."""
    handler = functools.partial(QuietHandler, directory=str(mirror[0]))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Nothing on stderr."""


def test_a_mirror_folder_is_used_in_place(
    mirror: tuple[Path, Published], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, published = mirror
    monkeypatch.setenv("LABS_DATA_MIRROR", str(folder))

    file = fetch_weights(published)

    assert file == folder / "download.pytorch.org" / "models" / published.file
    assert not (data / "weights").exists()


def test_weights_come_from_a_mirror_server_once(
    mirror: tuple[Path, Published],
    server: str,
    data: Path,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, published = mirror
    monkeypatch.setenv("LABS_DATA_MIRROR", server)
    monkeypatch.setitem(IMAGENET, "resnet10", published)
    network = make("resnet10")

    load_pretrained(network, "imagenet")

    official = folder / "download.pytorch.org" / "models" / published.file
    assert same(network.state_dict(), read_weights(official))
    assert [path.name for path in (data / "weights").iterdir()] == [published.file]
    official.unlink()  # the second time it is there already
    load_pretrained(make("resnet10"), "imagenet")


def test_a_download_with_another_content_is_thrown_away(
    mirror: tuple[Path, Published], server: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, published = mirror
    (folder / "download.pytorch.org" / "models" / published.file).write_bytes(b"<html>")
    monkeypatch.setenv("LABS_DATA_MIRROR", server)

    with pytest.raises(LabsError, match="is not the official file"):
        fetch_weights(published)

    assert list((data / "weights").iterdir()) == []


def test_offline_the_error_says_how_to_give_a_file(offline: None, data: Path, make: Make) -> None:
    error = refuse(make("resnet18"), "imagenet")

    assert "resnet18-f37072fd.pth cannot be fetched" in error.what
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in error.why
    assert "pretrain.weights=FILE" in error.remedy
    assert "LABS_DATA_MIRROR" in error.remedy
    assert list((data / "weights").iterdir()) == []


def test_what_a_mirror_lacks_is_said_of_both_places(
    server: str, offline: None, data: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABS_DATA_MIRROR", server)

    error = refuse(make("resnet18"), "imagenet")

    assert f"{server}/download.pytorch.org/models/resnet18-f37072fd.pth answers 404" in error.why
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth cannot" in error.why


def test_a_network_without_published_weights_says_so(make: Make, data: Path) -> None:
    error = refuse(make("lenet"), "imagenet")

    assert error.what == "There are no published ImageNet weights for lenet"
    assert "resnet18" in error.remedy
