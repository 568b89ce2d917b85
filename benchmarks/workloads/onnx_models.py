"""Small ONNX models, run by ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET = 20  # the first with Gelu


def session_of(
    nodes: Sequence[Any],
    inputs: Mapping[str, NDArray[Any]],
    output: tuple[int, ...],
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> Callable[[], NDArray[Any]]:
    """A call that runs `nodes` on `inputs` and returns `y`; constants are packed when the session is made.

    Inputs and output are bound once to arrays that stay where they are: the fastest way to call a session.
    """
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    def described(name: str, shape: tuple[int, ...]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        list(nodes),
        "benchmark",
        [described(name, array.shape) for name, array in inputs.items()],
        [described("y", output)],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    arrays = dict(inputs)
    result = np.empty(output, np.float32)
    for name, array in arrays.items():
        binding.bind_cpu_input(name, array)
    binding.bind_output("y", "cpu", 0, np.float32, output, result.ctypes.data)

    def run() -> NDArray[Any]:
        session.run_with_iobinding(binding)
        return result

    return run
