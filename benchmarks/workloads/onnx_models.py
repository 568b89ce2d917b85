"""Small ONNX models, run by ONNX Runtime and by OpenVINO."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET = 20  # the first with Gelu

Constants = Mapping[str, NDArray[Any]]


def model_of(
    nodes: Sequence[Any],
    inputs: Mapping[str, tuple[Any, Sequence[int | str]]],
    outputs: Mapping[str, Sequence[int | str]],
    constants: Constants | None = None,
) -> bytes:
    """A model of `nodes`: inputs by name with numpy dtype and shape, outputs of f32; axes of any size have names."""
    from onnx import TensorProto, helper, numpy_helper

    def described(name: str, dtype: Any, shape: Sequence[int | str]) -> Any:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))

    graph = helper.make_graph(
        list(nodes),
        "benchmark",
        [described(name, dtype, shape) for name, (dtype, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.array(array, order="C"), name) for name, array in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    return model.SerializeToString()


def session(model: bytes) -> Any:
    """ONNX Runtime's session, on the number of threads that all contestants have."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])


def openvino_request(model: bytes, stateful: Mapping[str, str] | None = None, precision: str = "f32") -> Any:
    """OpenVINO's request, for latency; `stateful` are inputs that the outputs of the same call become."""
    import openvino

    core = openvino.Core()
    found = core.read_model(model)
    if stateful:
        from openvino._offline_transformations import apply_make_stateful_transformation

        apply_make_stateful_transformation(found, dict(stateful))
    options = {
        "INFERENCE_NUM_THREADS": int(os.environ["OMP_NUM_THREADS"]),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    return core.compile_model(found, "CPU", options).create_infer_request()


def _model_on(nodes: Sequence[Any], inputs: Constants, output: tuple[int, ...], constants: Constants | None) -> bytes:
    described = {name: (array.dtype, array.shape) for name, array in inputs.items()}
    return model_of(nodes, described, {"y": output}, constants)


def session_of(
    nodes: Sequence[Any], inputs: Constants, output: tuple[int, ...], constants: Constants | None = None
) -> Callable[[], NDArray[Any]]:
    """A call that runs `nodes` on `inputs` and returns `y`; constants are packed when the session is made."""
    return session_on(_model_on(nodes, inputs, output, constants), inputs, output)


def session_on(model: bytes, inputs: Constants, output: tuple[int, ...]) -> Callable[[], NDArray[Any]]:
    """The same of a model. Inputs and output are bound once to arrays that stay where they are: the fastest way to call
    a session."""
    made = session(model)
    binding = made.io_binding()
    arrays = dict(inputs)
    result = np.empty(output, np.float32)
    for name, array in arrays.items():
        binding.bind_cpu_input(name, array)
    binding.bind_output("y", "cpu", 0, np.float32, output, result.ctypes.data)

    def run() -> NDArray[Any]:
        made.run_with_iobinding(binding)
        return result

    return run


def openvino_of(
    nodes: Sequence[Any], inputs: Constants, output: tuple[int, ...], constants: Constants | None = None
) -> Callable[[], NDArray[Any]]:
    """The same, run by OpenVINO."""
    return openvino_on(_model_on(nodes, inputs, output, constants), inputs)


def openvino_on(model: bytes, inputs: Constants, precision: str = "f32") -> Callable[[], NDArray[Any]]:
    """A call of a model by OpenVINO, whose tensors share the arrays' memory."""
    import openvino

    request = openvino_request(model, precision=precision)
    for name, array in inputs.items():
        request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

    def run() -> NDArray[Any]:
        request.infer()
        return request.get_tensor("y").data

    return run


def attention_nodes(
    q: str, k: str, v: str, y: str, length: int, width: int
) -> tuple[list[Any], dict[str, NDArray[Any]]]:
    """Nodes that compute y, the causal attention of q, k and v [batch, heads, length, width], and their constants."""
    from onnx import helper

    constants = {
        "root": np.array(width**-0.5, np.float32),
        "future": np.triu(np.full((length, length), -np.inf, np.float32), 1),
    }
    nodes = [
        helper.make_node("Mul", [q, "root"], [f"{y}.q"]),
        helper.make_node("Transpose", [k], [f"{y}.k"], perm=(0, 1, 3, 2)),
        helper.make_node("MatMul", [f"{y}.q", f"{y}.k"], [f"{y}.scores"]),
        helper.make_node("Add", [f"{y}.scores", "future"], [f"{y}.masked"]),
        helper.make_node("Softmax", [f"{y}.masked"], [f"{y}.weights"], axis=-1),
        helper.make_node("MatMul", [f"{y}.weights", v], [y]),
    ]
    return nodes, constants
