import copy

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from labs_core.bundle.export import Graph, to_onnx
from labs_core.bundle.session import Graph as Session
from labs_core.errors import LabsError


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_the_graph_gives_what_the_module_gives_at_any_batch_size(pictures, batch):
    pixels = np.random.default_rng(batch).integers(0, 256, (batch, 3, 16, 16), dtype=np.uint8)
    got = Session(pictures.onnx, "model.onnx").run({"pixels": pixels})
    module = copy.deepcopy(pictures.module).eval()
    with torch.no_grad():
        probabilities, cam = module(torch.from_numpy(pixels))
    assert np.abs(got["probabilities"] - probabilities.numpy()).max() < 1e-5
    assert np.abs(got["cam"] - cam.numpy()).max() < 1e-5


def test_the_same_weights_give_the_same_bytes(exported):
    assert to_onnx(exported.graph) == exported.onnx


def test_the_module_stays_as_it_was(pictures):
    module = copy.deepcopy(pictures.module).train()
    module.features[1].eval()  # a frozen part inside a module that trains
    before = {name: value.clone() for name, value in module.state_dict().items()}
    to_onnx(Graph(module, pictures.graph.inputs, pictures.graph.outputs))
    assert module.training
    assert not module.features[1].training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_the_graph_tells_nothing_of_the_machine_that_made_it(exported):
    model = onnx.load_from_string(exported.onnx)
    assert b".py" not in exported.onnx
    assert not any(node.metadata_props for node in model.graph.node)


def test_names_are_as_given_and_only_the_batch_is_free(pictures):
    graph = onnx.load_from_string(pictures.onnx).graph
    (pixels,) = graph.input
    dims = pixels.type.tensor_type.shape.dim
    assert pixels.name == "pixels"
    assert [d.dim_param or d.dim_value for d in dims] == ["batch", 3, 16, 16]
    assert [output.name for output in graph.output] == ["probabilities", "cam"]


def test_export_says_nothing(table, capfd):
    to_onnx(table.graph)
    assert capfd.readouterr() == ("", "")


class DependsOnValues(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


class FixedBatch(nn.Module):
    def forward(self, x):
        return x.reshape(2, 3)


@pytest.mark.parametrize("module", [DependsOnValues(), FixedBatch()])
def test_a_network_that_cannot_be_exported_is_one_clear_error(module):
    with pytest.raises(LabsError, match=f"{type(module).__name__} cannot be exported") as caught:
        to_onnx(Graph(module, {"x": torch.ones(2, 3)}, ("y",)))
    assert "forward" in caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("past", [0, 1, 7])
def test_free_axes_take_any_size_though_the_example_has_one(translators, batch, past):
    rng = np.random.default_rng(past)
    module = translators.module
    depth = module.width // module.heads
    source = rng.integers(2, module.vocabulary, (batch, 6))
    source[0, 4:] = 0
    inputs = {"source": source}
    memory = translators.sessions["model"].run(inputs)
    shape = (batch, module.n_layers, module.heads, past, depth)
    inputs |= memory | {
        "token": rng.integers(2, module.vocabulary, batch),
        "position": np.full(batch, past),
        "past_keys": rng.normal(size=shape).astype(np.float32),
        "past_values": rng.normal(size=shape).astype(np.float32),
    }
    got = translators.sessions["step"].run(inputs)
    graph = translators.graphs["step"]
    with torch.no_grad():
        expected = graph.module(*(torch.from_numpy(inputs[name]) for name in graph.inputs))
    for name, value in zip(graph.outputs, expected, strict=True):
        np.testing.assert_allclose(got[name], value.numpy(), rtol=1e-4, atol=1e-5)


def test_free_axes_of_one_name_are_one_axis_of_the_graph(translators):
    inputs = onnx.load_from_string(translators.onnx["step"]).graph.input
    dims = {
        i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for i in inputs
    }
    assert dims["source"] == ["batch", "source_length"]
    assert dims["keys"] == ["batch", 1, 2, "source_length", 8]
    assert dims["past_values"] == ["batch", 1, 2, "past_length", 8]


class FixedLength(nn.Module):
    def forward(self, x):
        return x.reshape(len(x), 3, 2)


@pytest.mark.parametrize(
    ("dynamic", "complaint"),
    [({"x": {1: "length"}}, "FixedLength"), ({"y": {1: "l"}}, "no input 'y'")],
)
def test_a_free_axis_that_is_fixed_or_not_there_is_refused(dynamic, complaint):
    with pytest.raises(LabsError, match=complaint):
        to_onnx(Graph(FixedLength(), {"x": torch.ones(2, 6)}, ("y",), dynamic))
