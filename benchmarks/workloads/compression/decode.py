"""A token of a GPT behind a text of 144 others in a cache, with weights in f32, bf16, bytes and four bits.

The base model of `gpt_shapes`, and a wide one with random weights, so many that even in four bits they are more than
four times the cache of the last level: there, the time is that of reading them. All weights are constants; keys and
values are arguments, and each call writes the same row, so that all calls are alike. PyTorch, eager, is there for f32
and bf16.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import BASELINE, Case, Targets, Workload, random, register
from benchmarks.workloads.gpt import tinytorch_model
from benchmarks.workloads.gpt_shapes import BASE, EPS, Shape, parameters

Form = Literal["fp32", "bf16", "int8", "int4"]
WIDE = Shape(vocab=65, context=256, layers=5, heads=16, width=2048, batch=1)
POSITION, TOKEN, SEEN = 144, 17, 0.5  # SEEN: the spread of keys and values in the cache


def tinytorch(shape: Shape, form: Form) -> Case:
    import tinytorch as tt

    model = tinytorch_model(shape, parameters(shape)).eval()
    if form == "bf16":
        model = model.to(tt.bf16)
    elif form != "fp32":
        model = tt.quantize(model, weight_only="int4" if form == "int4" else None)
    dtype = tt.bf16 if form == "bf16" else tt.f32
    sizes = (shape.layers, shape.width, shape.heads)

    def cache() -> Any:
        return tt.KVCache(1, shape.context, *sizes, dtype=dtype)

    start = cache()
    start.positions.fill_(POSITION)
    held = (tt.tensor(rows).to(dtype) for rows in _held(shape))
    arguments = tt.tensor([[TOKEN]]), start.positions, start.pending, *held

    def step(token: Any, positions: Any, pending: Any, *rows: Any) -> Any:
        now = cache()
        now.keys, now.values = list(rows[: shape.layers]), list(rows[shape.layers :])
        now.positions, now.pending = positions.clone(), pending.clone()
        return model(token, cache=now)[:, -1].float()

    compiled = tt.compile(step, freeze=True)

    def run() -> NDArray[np.float32]:
        with tt.no_grad():
            return compiled(*arguments).numpy()

    return Case(run, lambda: {"logits": run()})


def torch(shape: Shape, form: Form) -> Case:
    import torch
    import torch.nn.functional as F

    dtype = torch.bfloat16 if form == "bf16" else torch.float32
    w = {name: torch.tensor(value).to(dtype) for name, value in parameters(shape).items()}
    held = [torch.tensor(rows).to(dtype).view(shape.context, shape.heads, -1) for rows in _held(shape)]
    keys, values = held[: shape.layers], held[shape.layers :]

    def norm(x: Any, name: str) -> Any:
        return F.layer_norm(x, (shape.width,), w[f"{name}.gain"], w[f"{name}.bias"], EPS)

    def linear(x: Any, name: str) -> Any:
        return F.linear(x, w[name], w[f"{name}.bias"])

    def run() -> NDArray[np.float32]:
        with torch.no_grad():
            x = w["tokens"][TOKEN] + w["positions"][POSITION]
            for i in range(shape.layers):
                q, k, v = linear(norm(x, f"{i}.norm1"), f"{i}.qkv").view(3, shape.heads, 1, -1)
                keys[i][POSITION], values[i][POSITION] = k[:, 0], v[:, 0]
                seen = (rows[: POSITION + 1].transpose(0, 1) for rows in (keys[i], values[i]))
                y = F.scaled_dot_product_attention(q, *seen).reshape(-1)
                x = x + linear(y, f"{i}.projection")
                x = x + linear(F.gelu(linear(norm(x, f"{i}.norm2"), f"{i}.up"), approximate="tanh"), f"{i}.down")
            return F.linear(norm(x, "norm"), w["head"])[None].float().numpy()

    return Case(run, lambda: {"logits": run()})


def _held(shape: Shape) -> list[NDArray[np.float32]]:
    """What is in the cache: keys of each layer, then values."""
    return [random(1, shape.context, shape.width, seed=i, scale=SEEN) for i in range(2 * shape.layers)]


# Bytes of a weight; four bits have a scale of 16 for 32 of them.
_BYTES = {"fp32": 4.0, "bf16": 2.0, "int8": 1.0, "int4": 0.5 + 2 / 32}
_FASTER = {"bf16": 1.5, "int8": 3.3, "int4": 4.95}  # aimed at, out of cache, over f32; four bits 1.5 × over bytes
# Logits have a spread of about 1. Rounding normal weights to four bits, 32 to a scale, makes an error of 9 % in each
# product; those of the ten products of the wide model's five layers add up to a spread of 0.2, the largest of 65 to 4.5
# times as much.
_TOLERANCE = {"fp32": 1e-3, "bf16": 0.1, "int8": 0.1, "int4": 0.9}


def _register(name: str, shape: Shape, form: Form) -> None:
    builders = {"tinytorch": functools.partial(tinytorch, shape, form)}
    if form in ("fp32", "bf16"):
        builders["torch"] = functools.partial(torch, shape, form)
    if form != "fp32":
        builders[BASELINE] = functools.partial(tinytorch, shape, "fp32")
    register(
        Workload(
            f"{name}_{form}",
            builders,
            bytes=_BYTES[form] * shape.matrices,
            limit="read",
            atol=_TOLERANCE[form],
            prepare=lambda: parameters(shape),
            suites=("compression",),
            targets=Targets(limit=0.95, fp32=_FASTER.get(form) if shape is WIDE else None),
        )
    )


for _form in ("bf16", "int8", "int4"):
    _register("gpt_base_decode", BASE, _form)
for _form in ("fp32", "bf16", "int8", "int4"):
    _register("gpt_wide_decode", WIDE, _form)
