"""Make an exported graph small and quick: fused attention, weights stored as int8.

Arithmetic stays float32. Quantising activations too (dynamic int8) is a third faster but changed
the primary label of 4 % of the test texts; weights alone change a few in a thousand.
"""

from math import gcd
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model
from transformers import PretrainedConfig

MIN_WEIGHTS = 10_000  # smaller tensors stay float32
GROUP = 64  # inputs of a column that share a scale; one scale a column changed twice as many labels
_WEIGHT_INPUT = {"Gather": 0, "MatMul": 1, "Attention": 1}  # the head, a Gemm, stays float32


def fuse(graph: Path, config: PretrainedConfig) -> None:
    """Replace the subgraphs of attention, GELU and layer normalisation by single operators."""
    options = FusionOptions("bert")
    options.enable_embed_layer_norm = False  # its table could not be stored as int8
    optimize_model(
        str(graph),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        optimization_options=options,
        opt_level=0,
    ).save_model_to_file(str(graph))


def store_weights_as_int8(graph: Path, target: Path) -> None:
    """Store large weight matrices as int8.

    An embedding table has one scale for each row and is unpacked as it is looked up; a weight
    matrix (in, out) has one for each GROUP of inputs of a column and is unpacked once, when ONNX
    Runtime folds constants on loading.
    """
    model = onnx.load(graph)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        place = _WEIGHT_INPUT.get(node.op_type)
        name = node.input[place] if place is not None else ""
        values = numpy_helper.to_array(weights[name]) if name in weights else np.empty(0)
        if values.ndim != 2 or values.size < MIN_WEIGHTS or values.dtype != np.float32:
            nodes.append(node)
            continue
        model.graph.initializer.remove(weights.pop(name))
        if node.op_type == "Gather":
            _add_int8(model.graph, name, values)
            nodes += _lookup(name, node.input[1], node.output[0])
        else:
            grouped = values.reshape(-1, gcd(GROUP, len(values)), values.shape[1])
            _add_int8(model.graph, name, grouped)
            nodes += [*_unpack(model.graph, name, values.shape), node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _add_int8(graph: GraphProto, name: str, values: np.ndarray) -> None:
    """Values along the second axis share a scale."""
    scale = np.maximum(np.abs(values).max(1, keepdims=True) / 127, 1e-12).astype(np.float32)
    packed = np.round(values / scale).astype(np.int8)
    graph.initializer.extend(
        [
            numpy_helper.from_array(packed, f"{name}_int8"),
            numpy_helper.from_array(scale, f"{name}_scale"),
        ]
    )


def _unpack(graph: GraphProto, name: str, shape: tuple[int, ...]) -> list[NodeProto]:
    graph.initializer.append(numpy_helper.from_array(np.array(shape), f"{name}_shape"))
    return [
        helper.make_node("Cast", [f"{name}_int8"], [f"{name}_cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [f"{name}_groups"]),
        helper.make_node("Reshape", [f"{name}_groups", f"{name}_shape"], [name]),
    ]


def _lookup(name: str, ids: str, output: str) -> list[NodeProto]:
    return [
        helper.make_node("Gather", [f"{name}_int8", ids], [f"{output}_int8"]),
        helper.make_node("Cast", [f"{output}_int8"], [f"{output}_cast"], to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{name}_scale", ids], [f"{output}_scale"]),
        helper.make_node("Mul", [f"{output}_cast", f"{output}_scale"], [output]),
    ]
