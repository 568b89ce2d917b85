"""A network of three large layers, 1024-4096-4096-1024 with ReLU, on 1 and 32 rows.

Inference in f32, in bf16, in bytes, and with fewer weights (90 % of them zeros, two of each four, half of the neurons).

Peers in f32 and bf16 run the same network; those with zeros run it dense, as none of them does anything else. In bytes,
torch and "onnxruntime" quantize activations in each call (dynamic), "onnxruntime QDQ" and OpenVINO know their ranges.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import BASELINE, Case, Targets, Workload, random, register
from benchmarks.workloads.compression import onnx_int8
from benchmarks.workloads.onnx_models import model_of, openvino_on, session_on

Array = NDArray[Any]
Form = Literal["fp32", "bf16", "int8", "zeros_90", "two_of_four", "half"]
SIZES = (1024, 4096, 4096, 1024)
NOUGHT = np.float32(1e-30)  # in the place of zeros, so that nobody leaves them out


@functools.cache
def parameters(form: Form) -> list[tuple[Array, Array]]:
    """Weights [out, in] and biases of each layer; those that a form has not are zeros. Activations keep their size."""
    found: list[tuple[Array, Array]] = []
    for i, (inputs, outputs) in enumerate(pairwise(SIZES)):
        w = random(outputs, inputs, seed=3 * i)
        b = random(outputs, seed=3 * i + 1, scale=0.1)
        if form == "zeros_90":
            w[np.abs(w) < np.quantile(np.abs(w), 0.9)] = 0
        elif form == "two_of_four":
            groups = np.abs(w).reshape(outputs, -1, 4)
            w[(groups.argsort(axis=2).argsort(axis=2) < 2).reshape(w.shape)] = 0
        elif form == "half":
            if i < len(SIZES) - 2:
                w[outputs // 2 :] = b[outputs // 2 :] = 0
            if i:
                w[:, inputs // 2 :] = 0
        found.append((w * np.float32((2 / inputs) ** 0.5 / w.std()), b))
    return found


@functools.cache
def rows(batch: int) -> Array:
    return random(batch, SIZES[0], seed=17)


# ---- TinyTorch ----------------------------------------------------------------------------------------------


def _model(layers: list[tuple[Array, Array]]) -> Any:
    import tinytorch as tt

    made: list[Any] = []
    for w, _ in layers:
        made += [tt.Linear(w.shape[1], w.shape[0]), tt.ReLU()]
    model = tt.Sequential(*made[:-1])
    model.load_state_dict(dict(zip(model.state_dict(), (x for layer in layers for x in layer), strict=True)))
    return model.eval()


def _inference(model: Any, x: Any, read: Callable[[Any], Any] = lambda y: y) -> Case:
    import tinytorch as tt

    forward = tt.compile(model, freeze=True)

    def step() -> Any:
        with tt.no_grad():
            return forward(x)

    return Case(step, lambda: {"y": read(step()).numpy()})


def tinytorch(form: Form, batch: int) -> Case:
    """Neurons that are zeros are taken out; other zeros are found by the compiler."""
    import tinytorch as tt

    layers, x = parameters(form), tt.tensor(rows(batch))
    if form == "half":
        last = len(layers) - 1
        layers = [
            (
                w[: len(w) // (1 if i == last else 2), : w.shape[1] // (2 if i else 1)],
                b[: len(b) // (1 if i == last else 2)],
            )
            for i, (w, b) in enumerate(layers)
        ]
    model = _model(layers)
    if form == "bf16":
        return _inference(model.to(tt.bf16), x.to(tt.bf16), lambda y: y.float())
    return _inference(tt.quantize(model, x) if form == "int8" else model, x)


def tinytorch_fp32(form: Form, batch: int) -> Case:
    """The whole network in f32."""
    import tinytorch as tt

    layers = [(np.where(w == 0, NOUGHT, w), np.where(b == 0, NOUGHT, b)) for w, b in parameters(form)]
    return _inference(_model(layers), tt.tensor(rows(batch)))


# ---- torch --------------------------------------------------------------------------------------------------


def torch(form: Form, batch: int, compiled: bool = False) -> Case:
    import torch
    from torch import nn

    made: list[Any] = []
    for w, b in parameters(form):
        made += [nn.Linear(w.shape[1], w.shape[0]), nn.ReLU()]
        with torch.no_grad():
            made[-2].weight.copy_(torch.from_numpy(w))
            made[-2].bias.copy_(torch.from_numpy(b))
    model, x = nn.Sequential(*made[:-1]).eval(), torch.from_numpy(rows(batch))
    if form == "int8":
        model = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    if form == "bf16":
        model, x = model.to(torch.bfloat16), x.to(torch.bfloat16)
    if compiled:
        torch.compiler.reset()
        model = torch.compile(model, fullgraph=True, options={"freezing": True})

    def step() -> Any:
        with torch.no_grad():
            return model(x)

    return Case(step, lambda: {"y": step().float().numpy()})


# ---- ONNX Runtime and OpenVINO ------------------------------------------------------------------------------


def onnx_model(form: Form, batch: int) -> bytes:
    """Products, sums and ReLU; weights as [in, out]."""
    from onnx import helper

    nodes: list[Any] = []
    constants: dict[str, Array] = {}
    name = "x"
    for i, (w, b) in enumerate(parameters(form)):
        constants |= {f"w{i}": w.T.copy(), f"b{i}": b}
        end = "y" if i == len(SIZES) - 2 else f"s{i}"
        nodes += [
            helper.make_node("MatMul", [name, f"w{i}"], [f"p{i}"]),
            helper.make_node("Add", [f"p{i}", f"b{i}"], [end]),
        ]
        if end != "y":
            nodes.append(helper.make_node("Relu", [end], [f"r{i}"]))
        name = f"r{i}"
    return model_of(nodes, {"x": (np.float32, (batch, SIZES[0]))}, {"y": (batch, SIZES[-1])}, constants)


def _call(run: Callable[[], Array]) -> Case:
    return Case(run, lambda: {"y": run().copy()})


def onnxruntime(form: Form, batch: int) -> Case:
    model, x = onnx_model(form, batch), {"x": rows(batch)}
    return _call(session_on(onnx_int8.dynamic(model) if form == "int8" else model, x, (batch, SIZES[-1])))


def onnxruntime_qdq(batch: int) -> Case:
    x = {"x": rows(batch)}
    return _call(session_on(onnx_int8.static(onnx_model("int8", batch), x), x, (batch, SIZES[-1])))


def openvino(form: Form, batch: int) -> Case:
    model, x = onnx_model(form, batch), {"x": rows(batch)}
    return _call(
        openvino_on(onnx_int8.static(model, x) if form == "int8" else model, x, "bf16" if form == "bf16" else "f32")
    )


# ---- rows ---------------------------------------------------------------------------------------------------

_WEIGHTS = sum(inputs * outputs for inputs, outputs in pairwise(SIZES))
_KEPT = {"zeros_90": 0.1, "two_of_four": 0.5, "half": (1024 * 2048 + 2048 * 2048 + 2048 * 1024) / _WEIGHTS}
# Results have a spread of about 1.4. Errors of bytes are a few percent of it, those of bf16 less than one.
_TOLERANCE = {"int8": 0.35, "bf16": 0.1}
_FP32: dict[Form, tuple[float | None, float | None]] = {  # aimed at over our f32, on 1 and on 32 rows
    "bf16": (1.5, 1.7),
    "int8": (3.3, 3.3),
    "zeros_90": (4.0, 4.0),
    "two_of_four": (1.5, 1.0),
    "half": (1.8, 1.8),
}


def _register(form: Form, batch: int) -> None:
    builders: dict[str, Callable[[], Case]] = {
        "tinytorch": functools.partial(tinytorch, form, batch),
        "torch": functools.partial(torch, form, batch),
        "onnxruntime": functools.partial(onnxruntime, form, batch),
        "openvino": functools.partial(openvino, form, batch),
    }
    if form != "int8":
        builders["torch.compile"] = functools.partial(torch, form, batch, True)
    if form == "bf16":
        del builders["onnxruntime"]  # which has no products of bf16
    if form == "int8":
        builders["onnxruntime QDQ"] = functools.partial(onnxruntime_qdq, batch)
    if form != "fp32":
        builders[BASELINE] = functools.partial(tinytorch_fp32, form, batch)
    best = 1.2 if form == "int8" else None
    register(
        Workload(
            f"mlp_big_b{batch}_{form}",
            builders,
            flops=2.0 * batch * _WEIGHTS * _KEPT.get(form, 1.0),
            atol=_TOLERANCE.get(form, 1e-3),
            prepare=lambda: (parameters(form), rows(batch)),
            suites=("compression",),
            targets=Targets(best=best, fp32=_FP32[form][batch > 1] if form in _FP32 else None),
        )
    )


for _batch in (1, 32):
    for _form in ("fp32", "bf16", "int8", "zeros_90", "two_of_four", "half"):
        _register(_form, _batch)
