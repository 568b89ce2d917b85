"""Module 17: the error of bytes, how it adds up with depth, and what they save."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart
from analyses.measuring import medians, torch_if_installed
from analyses.record import Analysis, Section, Table
from tinytorch.frontend.quantization.affine import quantize_rows

_BACKGROUND = """
A number x is kept as an integer q with x ≈ s (q - z): scale s, zero point z. With 8 bits for [low, high] the scale is
(high - low) / 255, and rounding is off by at most s/2; if the error is uniform in that interval, its variance is s²/12.

A product of quantized numbers is one of integers, Σ x w ≈ s_x s_w (Σ q_x q_w - z_x Σ q_w), and exact in i32 as long as
it has at most 2³¹ / (255 · 128) = 65,793 terms. Errors of n independent terms add up as √n; relative to the sum,
which also grows as √n, they stay the same.

Weights take m n bytes and a scale for each of m rows, a fourth of f32; activations are made bytes in each call.
"""
_QUESTIONS = (
    "One outlier makes the scale of a whole tensor 10 times as large. How many of 8 bits are left for the others?",
    "Why do weights get a scale for each output and activations one for each row of the batch, and not the other way?",
    "Why is the zero point an integer? What would go wrong with padding by zeros if it were not?",
    "From which number of layers on would the error measured here, growing as it does, reach 10 %?",
    "bf16 halves the bytes without a scale. When is int8 still the better choice, and when is bf16?",
)


def analyze(
    *,
    quick: bool = False,
    quantize_int8: Callable[[tt.Tensor], tuple[tt.Tensor, tt.Tensor, tt.Tensor]] = tt.quantize_int8,
    QuantizedLinear: Any = tt.QuantizedLinear,
) -> Analysis:
    """Measure this way to quantize, and this layer."""
    return Analysis(
        "Quantization: errors of bytes, and what they save",
        _BACKGROUND,
        [
            _rounding(quantize_int8, quick),
            _outliers(quantize_int8),
            _depth(QuantizedLinear, quick),
            _bytes(QuantizedLinear, quick),
        ],
        _QUESTIONS,
    )


def _relative(found: Any, right: Any) -> float:
    """The root mean square of the error over that of the numbers."""
    return float(np.sqrt(np.mean((found - right) ** 2, dtype=np.float64) / np.mean(right**2, dtype=np.float64)))


def _back(quantized: tuple[tt.Tensor, tt.Tensor, tt.Tensor]) -> Any:
    """What the integers stand for, in f64."""
    q, scale, zero_point = (x.numpy().astype(np.float64) for x in quantized)
    return scale * (q - zero_point)


def _rounding(quantize_int8: Callable[[tt.Tensor], tuple[tt.Tensor, tt.Tensor, tt.Tensor]], quick: bool) -> Section:
    """Errors of one tensor in units of its scale, for several distributions."""
    count = 1 << (15 if quick else 18)
    rng = np.random.default_rng(0)
    drawn = {
        "uniform in [-1, 1]": rng.uniform(-1, 1, count),
        "normal": rng.standard_normal(count),
        "normal, after ReLU": np.maximum(rng.standard_normal(count), 0),
        "Laplace": rng.laplace(size=count),
        "normal, one outlier of 100": np.append(rng.standard_normal(count - 1), 100),
    }
    rows: list[list[object]] = []
    worst = 0.0
    figure, axes = chart("error in units of the scale", "density")
    for name, numbers in drawn.items():
        x = numbers.astype(np.float32)
        made = quantize_int8(tt.Tensor(x))
        scale, error = float(made[1]), (_back(made) - x) / float(made[1])
        worst = max(worst, float(np.abs(error).max()))
        used = len(np.unique(made[0].numpy()))
        rows.append([name, scale, float(np.abs(error).max()), float(error.std()), used, _relative(_back(made), x)])
        if name in ("uniform in [-1, 1]", "normal", "normal, one outlier of 100"):
            axes.hist(error, bins=20, range=(-0.5, 0.5), density=True, histtype="step", label=name)
    axes.legend(fontsize=8, loc="lower center")
    reading = (
        f"No error is above {worst:.4f} scales; that of uniform numbers has the deviation {rows[0][3]:.3f}, "
        f"1/√12 being {12**-0.5:.3f}. What differs is the scale: the relative error is {rows[0][5]:.2%} of uniform "
        "numbers, "
        f"{rows[1][5]:.2%} of normal ones, and {rows[4][5]:.1%} with one outlier, where {rows[4][4]} of 256 integers "
        "are used."
    )
    columns = [
        "numbers",
        "scale",
        "largest error / scale",
        "deviation of the error / scale",
        "integers used",
        "relative error",
    ]
    return Section("How large is the error of one rounding?", reading, Table(columns, rows), figure)


def _outliers(quantize_int8: Callable[[tt.Tensor], tuple[tt.Tensor, tt.Tensor, tt.Tensor]]) -> Section:
    """One scale for a matrix, or one for each row, where one row is larger."""
    rng = np.random.default_rng(0)
    factors = (1, 2, 5, 10, 20, 50, 100)
    matrix = rng.standard_normal((64, 256)).astype(np.float32)
    rows: list[list[object]] = []
    whole, each = list[float](), list[float]()
    for factor in factors:
        grown = matrix.copy()
        grown[0] *= factor
        tensor = _back(quantize_int8(tt.Tensor(grown)))
        by_row = quantize_rows(grown, 8).values
        whole.append(_relative(tensor[1:], grown[1:]))
        each.append(_relative(by_row[1:], grown[1:]))
        rows.append([factor, whole[-1], each[-1], 4, 4 * len(matrix)])
    figure, axes = chart("size of row 0, times the others", "relative error of the other rows", log_x=True, log_y=True)
    axes.plot(factors, whole, "o-", markersize=4, label="one scale for all")
    axes.plot(factors, each, "o-", markersize=4, label="a scale for each row")
    axes.legend(fontsize=8)
    reading = (
        f"A row that is {factors[-1]} times as large as the others leaves these an error of {whole[-1]:.0%} under "
        "one scale, "
        f"and of {each[-1]:.2%} with a scale for each row, which is {each[-1] / each[0]:.2f} times that without the "
        "large "
        f"row. It costs {4 * len(matrix)} bytes for {matrix.size:,} weights."
    )
    columns = ["factor", "error, one scale", "error, a scale for each row", "bytes of one scale", "bytes of scales"]
    return Section("How many scales does a matrix need?", reading, Table(columns, rows), figure)


def _depth(QuantizedLinear: Any, quick: bool) -> Section:
    """Relative errors behind each of many layers: of weights, of activations, of both."""
    width, depth, batch = (64, 8, 32) if quick else (256, 32, 128)
    tt.manual_seed(0)
    layers = [tt.Linear(width, width, initialization="he") for _ in range(depth)]
    quantized = [QuantizedLinear.from_float(layer) for layer in layers]
    rounded = [_with_weights(layer, q) for layer, q in zip(layers, quantized, strict=True)]
    rng = np.random.default_rng(0)
    right = tt.Tensor(rng.standard_normal((batch, width)).astype(np.float32))
    found = {"weights": right, "activations": right, "both": right}
    errors: dict[str, list[float]] = {name: [] for name in found}
    with tt.no_grad():
        for exact, bytes_, weights in zip(layers, quantized, rounded, strict=True):
            right = exact(right).relu()
            found["weights"] = weights(found["weights"]).relu()
            found["activations"] = exact(_as_bytes(found["activations"])).relu()
            found["both"] = bytes_(found["both"]).relu()
            for name, x in found.items():
                errors[name].append(_relative(x.numpy(), right.numpy()))
    at = range(1, depth + 1)
    figure, axes = chart("layers", "relative error", log_x=True, log_y=True)
    for name, values in errors.items():
        axes.plot(at, values, "o-", markersize=3, label=name)
    axes.plot(at, [errors["both"][0] * n**0.5 for n in at], ":", color="#000000", label="√layers")
    marks = [n for n in (1, 2, 4, 8, 16, 32) if n <= depth]
    axes.set_xticks(marks, [str(n) for n in marks])
    axes.legend(fontsize=8)
    rows = [[n, *(errors[name][n - 1] for name in errors)] for n in marks]
    growth = np.polyfit(np.log(at), np.log(errors["both"]), 1)[0]
    first = {name: values[0] for name, values in errors.items()}
    reading = (
        f"One layer is off by {first['both']:.2%}: {first['weights']:.2%} by its weights alone, "
        f"{first['activations']:.2%} by "
        f"its activations alone. After {depth} layers it is {errors['both'][-1]:.2%}; the error grows as the number "
        "of "
        f"layers to the power of {growth:.2f}, where independent errors would give 0.5."
    )
    columns = ["layers", *(f"error by {name}" for name in errors)]
    question = f"How do errors add up through layers of {width}, and whose are they?"
    return Section(question, reading, Table(columns, rows), figure)


def _with_weights(layer: tt.Linear, quantized: Any) -> tt.Linear:
    """The layer with the weights that the integers stand for."""
    made = tt.Linear(layer.in_features, layer.out_features)
    bias = layer.bias.numpy() if layer.bias is not None else np.zeros(layer.out_features, np.float32)
    made.load_state_dict({"weight": quantized.weight.numpy(), "bias": bias})
    return made


def _as_bytes(x: tt.Tensor) -> tt.Tensor:
    """Each row rounded to its own 256 numbers."""
    low, high = x.amin(-1, keepdim=True).minimum(0.0), x.amax(-1, keepdim=True).maximum(0.0)
    scale = (high - low) / 255.0
    return (x / scale).round() * scale


def _bytes(QuantizedLinear: Any, quick: bool) -> Section:
    """Bytes, time and error of a layer in f32, bf16 and int8."""
    width = 256 if quick else 1024
    tt.manual_seed(0)
    layer = tt.Linear(width, width)
    int8 = QuantizedLinear.from_float(layer)
    narrow = tt.Linear(width, width)
    narrow.load_state_dict(layer.state_dict())
    narrow.to(tt.bfloat16)
    forms: dict[str, tuple[Any, int]] = {
        "f32": (layer, 4 * width**2 + 4 * width),
        "bf16": (narrow, 2 * width**2 + 2 * width),
        "int8": (int8, width**2 + 12 * width),  # weights; scale, sum of integers and bias of each output
    }
    batches = (1, 64)
    rng = np.random.default_rng(0)
    inputs = {n: tt.Tensor(rng.standard_normal((n, width)).astype(np.float32)) for n in batches}
    calls: dict[str, Callable[[], Any]] = {}
    for name, (form, _) in forms.items():
        compiled = tt.compile(form.eval(), freeze=True)
        for n, x in inputs.items():
            given = x.cast(tt.bfloat16) if name == "bf16" else x
            calls[f"{name} {n}"] = lambda compiled=compiled, given=given: compiled(given)
    torch = torch_if_installed()
    if torch:
        same = torch.nn.Linear(width, width)
        for n, x in inputs.items():
            same_x = torch.from_numpy(x.numpy().copy())
            calls[f"torch f32 {n}"] = lambda same_x=same_x: same(same_x)
    with tt.no_grad():
        right = layer(inputs[64]).numpy()
        results = {"f32": right, "int8": int8(inputs[64]).numpy(),
                   "bf16": narrow(inputs[64].cast(tt.bfloat16)).cast(tt.f32).numpy()}  # fmt: skip
    times = medians(calls, 0.05 if quick else 0.4)
    rows: list[list[object]] = [
        [name, held, _relative(results[name], right), *(times[f"{name} {n}"] * 1e6 for n in batches)]
        for name, (_, held) in forms.items()
    ]
    if torch:
        rows.append(["torch f32", 4 * width**2 + 4 * width, None, *(times[f"torch f32 {n}"] * 1e6 for n in batches)])
    figure, axes = chart("", "time against f32")
    for i, n in enumerate(batches):
        share = [times[f"{name} {n}"] / times[f"f32 {n}"] for name in forms]
        axes.bar([j + 0.4 * i for j in range(len(forms))], share, 0.4, label=f"batch {n}")
    axes.set_xticks([j + 0.2 for j in range(len(forms))], list(forms))
    axes.legend(fontsize=8)
    gains = [times[f"f32 {n}"] / times[f"int8 {n}"] for n in batches]
    reading = (
        f"int8 takes {forms['f32'][1] / forms['int8'][1]:.2f} times fewer bytes than f32 and was {gains[0]:.2f} "
        "times as fast "
        f"for a batch of 1, {gains[1]:.2f} times for 64; its error is {_relative(results['int8'], right):.2%}, that "
        "of bf16 "
        f"{_relative(results['bf16'], right):.2%}."
    )
    columns = ["form", "bytes of the layer", "relative error", *(f"batch {n}, µs" for n in batches)]
    return Section(f"What do 8 or 16 bits save, {width} by {width}?", reading, Table(columns, rows), figure)
