from __future__ import annotations

from pathlib import Path

import pytest

from labs_core.bundle.load import load
from labs_core.bundle.session import Tensor
from labs_core.errors import LabsError


def test_a_graph_tells_what_it_takes_and_gives(colour_bundle: Path) -> None:
    graph = load(colour_bundle).graph()
    assert graph.takes == (Tensor("pixels", "tensor(uint8)", (None, 3, 16, 16)),)
    assert graph.gives == (
        Tensor("probabilities", "tensor(float)", (None, 3)),
        Tensor("cam", "tensor(float)", (None, 3, 16, 16)),
    )
    assert graph.inputs == ("pixels",)
    assert graph.outputs == ("probabilities", "cam")


def test_a_bundle_names_the_graph_that_was_meant(colour_bundle: Path) -> None:
    with pytest.raises(LabsError, match="no graph 'modle'") as raised:
        load(colour_bundle).graph("modle")
    assert "Did you mean 'model'?" in raised.value.remedy
