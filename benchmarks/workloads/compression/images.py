"""The network of `cnn` in bytes, its ranges known from the batch that is timed, its weights constants.

Peers in bytes: ONNX Runtime and OpenVINO run the same QDQ model; torch has none here.
"""

from __future__ import annotations

import functools

from benchmarks.registry import BASELINE, Case, Targets, Workload, register
from benchmarks.workloads import cnn
from benchmarks.workloads.compression import onnx_int8
from benchmarks.workloads.onnx_models import openvino_on, session_on


def tinytorch(size: int) -> Case:
    import tinytorch as tt

    x = tt.tensor(cnn.batches(size)[0][0])
    model = tt.quantize(cnn.tinytorch_model(), x)
    forward = tt.compile(model, freeze=True)

    def step() -> tt.Tensor:
        with tt.no_grad():
            return forward(x)

    return Case(step, lambda: {"logits": step().numpy()})


def onnxruntime(size: int) -> Case:
    x = {"x": cnn.batches(size)[0][0]}
    run = session_on(onnx_int8.static(cnn.onnx_model(size), x), x, (size, cnn.CLASSES))
    return Case(run, lambda: {"logits": run()})


def openvino(size: int) -> Case:
    x = {"x": cnn.batches(size)[0][0]}
    run = openvino_on(onnx_int8.static(cnn.onnx_model(size), x), x)
    return Case(run, lambda: {"logits": run().copy()})


for _size in (1, 128):
    register(
        Workload(
            f"cnn_infer_b{_size}_int8",
            {
                "tinytorch": functools.partial(tinytorch, _size),
                BASELINE: functools.partial(cnn.tinytorch_infer, _size, freeze=True),
                "onnxruntime QDQ": functools.partial(onnxruntime, _size),
                "openvino": functools.partial(openvino, _size),
            },
            flops=2.0 * _size * cnn.FORWARD,
            atol=0.3,  # logits have a spread of about 1
            suites=("compression",),
            targets=Targets(best=1.2, fp32=2.2 if _size > 1 else None),
        )
    )
