"""Module 02: where a sigmoid overflows, how sparse ReLU is, how good approximations of GELU are, what each costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart, legend_above
from analyses.measuring import medians, torch_if_installed
from analyses.record import Analysis, Section, Table

_BACKGROUND = """
An activation is applied to each element: n elements cost O(n) operations and move 8n bytes (f32, read and written).

- σ(x) = 1 / (1 + exp(-x)), σ' = σ (1 - σ) ≤ 1/4. exp(x) leaves f32 above x = ln(3.4e38) = 88.72.
- ReLU(x) = max(x, 0), with derivative 1 above 0 and 0 elsewhere. For x ~ N(μ, 1) the share of zeros is Φ(-μ).
- GELU(x) = x Φ(x) = x (1 + erf(x / √2)) / 2, approximately x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, or x σ(1.702 x).
"""
_QUESTIONS = (
    "At which x would each form of the sigmoid overflow in bf16, whose exponent has 8 bits as that of f32? In f16?",
    "Half of ReLU's results are zeros. Why does the product that reads them take as long as a dense one, and what "
    "would have to change?",
    "GELU by tanh is off by less than 5e-4. Is that more or less than what a bf16 result rounds off near x = 2?",
    "A compiled activation behind a matrix product costs almost nothing. Which bytes does it not move?",
    "σ' is at most 1/4. What happens to the gradient of ten layers of sigmoids, and what does ReLU do instead?",
)


def analyze(*, quick: bool = False, Sigmoid: Any = tt.Sigmoid, ReLU: Any = tt.ReLU, GELU: Any = tt.GELU) -> Analysis:
    """Measure these activations."""
    return Analysis(
        "Activations: range, sparsity, approximation, cost",
        _BACKGROUND,
        [_overflow(Sigmoid()), _sparsity(ReLU(), quick), _approximations(GELU), _cost(Sigmoid, ReLU, GELU, quick)],
        _QUESTIONS,
    )


def _overflow(sigmoid: Callable[[tt.Tensor], tt.Tensor]) -> Section:
    """Three forms of the sigmoid against f64, with the gradients that autograd finds for them."""
    forms: dict[str, Callable[[tt.Tensor], tt.Tensor]] = {
        "1 / (1 + exp(-x))": lambda x: 1 / (1 + (-x).exp()),
        "exp(x) / (1 + exp(x))": lambda x: x.exp() / (1 + x.exp()),
        "Sigmoid": sigmoid,
    }
    at = np.linspace(-110, 110, 881)
    right = np.exp(np.minimum(at, 0)) / (1 + np.exp(-abs(at)))
    gradients = {name: _gradient(form, at) for name, form in forms.items()}
    figure, axes = chart("x", "relative error of σ(x) in f32", log_y=True)
    for style, (name, form) in zip(("-", "--", "-"), forms.items(), strict=True):
        error = abs(form(tt.Tensor(at.astype(np.float32))).numpy() / right - 1)
        axes.plot(at, np.maximum(error, 1e-8), style, label=name)
    axes.legend(fontsize=8)
    rows: list[list[Any]] = []
    for x in (-100.0, -89.0, -20.0, 0.0, 20.0, 89.0, 100.0):
        values = [float(form(tt.Tensor([x]))[0]) for form in forms.values()]
        slopes = [float(gradients[name][np.searchsorted(at, x)]) for name in forms]
        rows.append([x, *values, *slopes])
    bad = {name: int((~np.isfinite(found)).sum()) for name, found in gradients.items()}
    counts = "; ".join(f"{name}: {count or 'none'}" for name, count in bad.items())
    reading = f"Of {len(at)} points, so many have a gradient that is not finite: {counts}"
    first = at[~np.isfinite(gradients["exp(x) / (1 + exp(x))"])]
    where = f" exp overflows in f32 beyond x = {first.min():.2f}." if first.size else ""
    columns = ["x", *forms, "gradients: first form", "second form", "Sigmoid"]
    return Section("How large may the input of a sigmoid be?", f"{reading}.{where}", Table(columns, rows), figure)


def _gradient(function: Callable[[tt.Tensor], tt.Tensor], at: Any) -> Any:
    x = tt.Tensor(at.astype(np.float32), requires_grad=True)
    function(x).sum().backward()
    assert x.grad is not None
    return x.grad.numpy()


def _sparsity(relu: Callable[[tt.Tensor], tt.Tensor], quick: bool) -> Section:
    """Zeros by the mean of the inputs, and what a product with them costs."""
    size = 192 if quick else 768
    rng = np.random.default_rng(0)
    means = np.linspace(-2, 2, 17)
    inputs = {mean: tt.Tensor((rng.standard_normal((size, size)) + mean).astype(np.float32)) for mean in means}
    zeros = {mean: float((relu(x).numpy() == 0).mean()) for mean, x in inputs.items()}
    expected = [0.5 * math.erfc(mean / math.sqrt(2)) for mean in means]
    figure, axes = chart("mean μ of the inputs, N(μ, 1)", "share of zeros after ReLU")
    axes.plot(means, expected, label="Φ(-μ)")
    axes.plot(means, [zeros[mean] for mean in means], "o", markersize=4, label="measured")
    axes.legend(fontsize=8)
    w = tt.Tensor(rng.standard_normal((size, size)).astype(np.float32))
    shown = (-2.0, 0.0, 2.0)
    sparse = {mean: relu(inputs[mean]) for mean in shown}
    product = tt.compile(lambda h: h @ w)
    calls: dict[str, Callable[[], Any]] = {str(mean): lambda h=h: product(h) for mean, h in sparse.items()}
    times = medians(calls, 0.03 if quick else 0.4)
    rows = [[mean, zeros[mean], sparse[mean].numel() * 4, times[str(mean)] * 1e6] for mean in shown]
    reading = (
        f"With centred inputs {zeros[0.0]:.1%} of the results are 0; the largest distance from Φ(-μ) is "
        f"{max(abs(zeros[m] - e) for m, e in zip(means, expected, strict=True)):.1e}. Zeros take as many bytes as "
        f"other numbers, and the dense product by {zeros[-2.0]:.0%} zeros took "
        f"{times['-2.0'] / times['2.0']:.2f} times as long as the one by {zeros[2.0]:.0%}."
    )
    columns = ["μ", "share of zeros", "bytes of the result", f"product with [{size}, {size}], µs"]
    return Section("How sparse is ReLU, and what is that worth?", reading, Table(columns, rows), figure)


def _approximations(GELU: Any) -> Section:
    """GELU by tanh and by a sigmoid, against erf in f64."""
    at = np.linspace(-6, 6, 2401)
    exact = at * 0.5 * (1 + np.vectorize(math.erf)(at / math.sqrt(2)))
    x = tt.Tensor(at.astype(np.float32))
    found = {
        "erf": GELU()(x).numpy(),
        "tanh": GELU(approximate="tanh")(x).numpy(),
        "x σ(1.702 x)": (x * (x * 1.702).sigmoid()).numpy(),
    }
    errors = {name: abs(values - exact) for name, values in found.items()}
    figure, axes = chart("x", "absolute error of GELU(x)", log_y=True)
    for name, error in errors.items():
        axes.plot(at, np.maximum(error, 1e-9), label=name)
    legend_above(axes, 3)
    rows = [[name, float(error.max()), float(at[error.argmax()])] for name, error in errors.items()]
    ratio = errors["x σ(1.702 x)"].max() / errors["tanh"].max()
    reading = (
        f"By tanh the largest error is {errors['tanh'].max():.1e}, at x = {at[errors['tanh'].argmax()]:.2f}; by a "
        f"sigmoid it is {ratio:.0f} times as large. The form with erf differs from f64 by at "
        f"most {errors['erf'].max():.1e}."
    )
    return Section(
        "How good are the approximations of GELU?", reading, Table(["form", "largest error", "at x"], rows), figure
    )


def _cost(Sigmoid: Any, ReLU: Any, GELU: Any, quick: bool) -> Section:
    """Time for each element, alone and behind a product, eager and compiled."""
    count = 1 << (16 if quick else 20)
    x = tt.Tensor(np.random.default_rng(0).standard_normal(count).astype(np.float32))
    made = {"Sigmoid": Sigmoid(), "ReLU": ReLU(), "GELU": GELU(), "GELU by tanh": GELU(approximate="tanh")}
    torch = torch_if_installed()
    rows: list[list[Any]] = []
    ways: list[str] = ["eager", "compiled", *(["torch eager"] if torch else [])]
    eager: dict[str, float] = {}
    for name, module in made.items():
        compiled = tt.compile(module)
        calls: dict[str, Callable[[], Any]] = {"eager": lambda m=module: m(x), "compiled": lambda c=compiled: c(x)}
        if torch:
            calls["torch eager"] = _torch_call(torch, name, x)
        times = medians(calls, 0.02 if quick else 0.3)
        eager[name] = times["eager"] / times["compiled"]
        rows.append([name, *(times[way] / count * 1e9 for way in ways)])
    best = max(eager, key=eager.__getitem__)
    cheapest = min(rows, key=lambda row: row[2])
    dearest = max(rows, key=lambda row: row[2])
    reading = (
        f"Compiled, {cheapest[0]} is the cheapest at {cheapest[2]:.2f} ns for an element, and {dearest[0]} takes "
        f"{dearest[2] / cheapest[2]:.1f} times as long. Compiling gains most for {best}: {eager[best]:.1f}×."
    )
    columns = ["activation", *(f"{way}, ns per element" for way in ways)]
    return Section(f"What does each cost, on {count:,} elements?", reading, Table(columns, rows), _bars(rows, ways))


def _torch_call(torch: Any, name: str, x: tt.Tensor) -> Callable[[], Any]:
    modules = {
        "Sigmoid": torch.nn.Sigmoid(), "ReLU": torch.nn.ReLU(), "GELU": torch.nn.GELU(),
        "GELU by tanh": torch.nn.GELU("tanh"),
    }  # fmt: skip
    given = torch.from_numpy(x.numpy().copy())
    return lambda: modules[name](given)


def _bars(rows: list[list[Any]], ways: list[str]) -> Any:
    """A group of bars for each row."""
    figure, axes = chart("", "ns per element", log_y=True)
    width = 0.8 / len(ways)
    for i, way in enumerate(ways):
        axes.bar([j + i * width for j in range(len(rows))], [row[1 + i] for row in rows], width, label=way)
    axes.set_xticks([j + width * (len(ways) - 1) / 2 for j in range(len(rows))], [str(row[0]) for row in rows])
    axes.legend(fontsize=8)
    return figure
