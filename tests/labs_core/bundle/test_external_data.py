import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from labs_core.bundle.external_data import NESTED, MalformedError, external_tensors


def outside(name="w", location="weights.bin"):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def inside(name="w"):
    return numpy_helper.from_array(np.ones(2, np.float32), name)


def model_of(nodes=(), initializers=(), **more):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    graph = helper.make_graph(list(nodes), "g", [value], [value], initializer=list(initializers))
    return helper.make_model(graph, **more)


def constant(tensor):
    return helper.make_node("Constant", [], ["c"], value=tensor)


def branch(tensor):
    inner = helper.make_graph([constant(tensor)], "inner", [], [])
    return helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)


def sparse(tensor):
    return helper.make_sparse_tensor(tensor, inside("i"), [2])


def function_of(tensor):
    opset = helper.make_opsetid("", 20)
    function = helper.make_function("d", "F", [], ["c"], [constant(tensor)], [opset])
    return model_of(functions=[function])


def training_of(tensor):
    model = model_of()
    model.training_info.add().algorithm.node.append(constant(tensor))
    return model


def sparse_initializer_of(tensor):
    model = model_of()
    model.graph.sparse_initializer.append(sparse(tensor))
    return model


PLACES = {
    "initializer": lambda t: model_of(initializers=[t]),
    "constant": lambda t: model_of([constant(t)]),
    "branch": lambda t: model_of([branch(t)]),
    "list": lambda t: model_of([helper.make_node("N", [], ["y"], ts=[t, t])]),
    "sparse": lambda t: model_of([helper.make_node("Constant", [], ["c"], sparse_value=sparse(t))]),
    "sparse initializer": sparse_initializer_of,
    "function": function_of,
    "training": training_of,
}


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_outside_is_found_wherever_it_hides(place):
    assert set(external_tensors(PLACES[place](outside()).SerializeToString())) == {"w"}
    assert external_tensors(PLACES[place](inside()).SerializeToString()) == []


def test_an_input_called_location_is_no_path():
    node = helper.make_node("Relu", ["location"], ["y"], name="location")
    assert external_tensors(model_of([node]).SerializeToString()) == []


def test_a_length_written_longer_than_needed_hides_nothing():
    tensor = outside().SerializeToString()
    assert len(tensor) < 128
    graph = b"\x2a" + bytes([len(tensor) | 0x80, 0x80, 0x00]) + tensor
    model = b"\x3a" + bytes([len(graph) | 0x80, 0x00]) + graph
    assert onnx.load_from_string(model).graph.initializer[0].name == "w"
    assert external_tensors(model) == ["w"]


@pytest.mark.parametrize("key", ["3a", "ba00", "ba80808000"])
def test_a_key_written_longer_than_needed_hides_nothing(key):
    graph = model_of(initializers=[outside()]).graph.SerializeToString()
    assert len(graph) < 128
    assert external_tensors(bytes.fromhex(key) + bytes([len(graph)]) + graph) == ["w"]


@pytest.mark.parametrize("key", ["ba80808010", "ba808080808001", "02"])
def test_a_key_that_readers_take_for_another_one_is_malformed(key):
    graph = model_of(initializers=[outside()]).graph.SerializeToString()
    with pytest.raises(MalformedError, match="field number"):
        external_tensors(bytes.fromhex(key) + bytes([len(graph)]) + graph)


@pytest.mark.parametrize(
    "content", [b"text, no model", b"\x3a\x7f", b"\xff" * 20, b"\x08", b"\x3d\x00", b"\x3b\x00"]
)
def test_what_is_no_message_is_malformed(content):
    with pytest.raises(MalformedError):
        external_tensors(content)


def test_every_path_to_a_tensor_in_onnx_is_followed():
    """The table against ONNX's own description of its messages."""
    names = {"Training": "TrainingInfoProto"}
    ours = {names.get(name, f"{name}Proto"): fields for name, fields in NESTED.items()}
    for name, fields in ours.items():
        for field in getattr(onnx, name, None).DESCRIPTOR.fields:
            if field.message_type and field.message_type.name in ours:
                target = fields[field.number]
                assert names.get(target, f"{target}Proto") == field.message_type.name
