"""Module 09: what im2col writes out, what Winograd saves and rounds away, and what separable convolutions are worth."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import COLOURS, chart, charts, style
from analyses.measuring import medians, peak_bytes, torch_if_installed
from analyses.record import Analysis, Section, Table

_BACKGROUND = """
A convolution with i channels in, o out and windows of k × k sums k² i products for each of o h w outputs: 2 k² i o h w
operations (a product and a sum each), on k² i o weights.

- im2col writes every window out as a column: k² i h w elements, k² times the image (stride 1), so that one matrix
  product computes all outputs.
- Winograd's F(m × m, k × k) makes m² outputs with (m + k - 1)² products instead of m² k², by transforms of tiles whose
  constants grow with m, and the rounding errors with them (Lavin & Gray 2016).
- Depthwise separable: one k × k window for each channel, then 1 × 1 across channels: k² i + i o weights, a fraction
  1 / o + 1 / k² of k² i o (Howard et al. 2017).
"""
_QUESTIONS = (
    "How many bytes does im2col write for a batch of 64 images of 64 × 56 × 56 and windows of 3 × 3?",
    "At stride 2, by which factor is the matrix of im2col larger than the image?",
    "F(6 × 6, 3 × 3) needs 5.06 times fewer products. What eats that gain, and in which dtype would it be wrong?",
    "A separable convolution has 8.4 times fewer operations here, and is not 8.4 times as fast. Which bytes did not "
    "get "
    "fewer?",
    "A Linear between the same images has h² w² / k² times the weights. Which two facts about images does a "
    "convolution "
    "take for granted to do without them?",
)


def analyze(*, quick: bool = False, Conv2d: Any = tt.Conv2d, unfold: Any = tt.nn.functional.unfold) -> Analysis:
    """Measure this layer, and convolutions by the product with `unfold(images, kernel_size, padding=…)`."""
    return Analysis(
        "Convolutions: im2col, Winograd, separable",
        _BACKGROUND,
        [
            _im2col(Conv2d, unfold, quick),
            _winograd_errors(quick),
            _winograd_times(Conv2d, quick),
            _separable(Conv2d, quick),
        ],
        _QUESTIONS,
    )


def _images(*shape: int) -> tt.Tensor:
    return tt.Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def _im2col(Conv2d: Any, unfold: Any, quick: bool) -> Section:
    """The same convolution by a matrix of windows and in place, by window."""
    batch, channels, size, out = (2, 8, 24, 8) if quick else (4, 32, 56, 32)
    x = _images(batch, channels, size, size)
    torch = torch_if_installed()
    rows: list[list[Any]] = []
    for k in (1, 3, 5, 7):
        layer = Conv2d(channels, out, k, padding=k // 2, bias=False)
        flat = layer.weight.detach().reshape(out, -1)

        def by_product(k: int = k, flat: tt.Tensor = flat) -> tt.Tensor:
            return (flat @ unfold(x, k, padding=k // 2)).reshape(batch, out, size, size)

        compiled = tt.compile(layer)
        with tt.no_grad():
            in_place = compiled(x)
            error = float(abs(by_product().numpy() - in_place.numpy()).max() / abs(in_place.numpy()).max())
            held = peak_bytes(by_product), peak_bytes(lambda c=compiled: c(x))
            calls: dict[str, Callable[[], Any]] = {"im2col": by_product, "in place": lambda c=compiled: c(x)}
            if torch:
                weight, given = torch.from_numpy(layer.weight.numpy().copy()), torch.from_numpy(x.numpy().copy())
                calls["torch"] = lambda w=weight, g=given, k=k: torch.nn.functional.conv2d(g, w, padding=k // 2)
            times = medians(calls, 0.05 if quick else 0.3)
        matrix = 4 * batch * k * k * channels * size * size
        arena = int(getattr(compiled.executable, "arena_bytes", 0))
        rows.append([k, matrix, held[0], held[1] + arena, *(t * 1e3 for t in times.values()), error])
    image = 4 * x.numel()
    figure, pair = charts(2)
    style(pair[0], "window k", "memory, in images")
    style(pair[1], "window k", "time, ms", log_y=True)
    for column, name in ((2, "im2col"), (3, "in place")):
        pair[0].plot([row[0] for row in rows], [row[column] / image for row in rows], "o-", label=name)
    pair[0].plot([1, 3, 5, 7], [k * k for k in (1, 3, 5, 7)], ":", color="#888888", label="k²")
    for i, name in enumerate(("im2col", "in place", *(["torch"] if torch else [])), 4):
        pair[1].plot([row[0] for row in rows], [row[i] for row in rows], "o-", label=name)
    for axes in pair:
        axes.legend(fontsize=8)
        axes.set_xticks([1, 3, 5, 7])
    pair[0].set_ylim(0, None)
    last = rows[-1]
    reading = (
        f"For windows of 7 × 7 the matrix has {last[1] / image:.0f} times the bytes of the image, and the most held at "
        "a "
        f"time was {last[2] / image:.0f} images; the kernel that reads windows in place held {last[3] / image:.1f}. "
        f"{_difference(max(row[-1] for row in rows))}"
    )
    ways = ["im2col, ms", "in place, ms", *(["torch, ms"] if torch else [])]
    columns = ["k", "matrix, bytes", "held with im2col, bytes", "held in place, bytes", *ways, "difference"]
    return Section("What does im2col write out?", reading, Table(columns, rows), figure)


def _difference(largest: float) -> str:
    return f"The results differ by at most {largest:.0e} of the largest." if largest else "Their results are equal."


_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)


def transforms(m: int, r: int = 3) -> tuple[Any, Any, Any]:
    """The matrices A, G and B of F(m, r), for which Aᵀ ((G g) * (Bᵀ d)) are the m outputs of a filter g [r] over d
    [m + r - 1]: interpolation at points and at infinity (Toom and Cook; Winograd 1980)."""
    n = m + r - 1
    at = np.array(_POINTS[: n - 1])
    a, g, b = np.zeros((n, m)), np.zeros((n, r)), np.zeros((n, n))
    for j, point in enumerate(at):
        others = np.delete(at, j)
        a[j] = point ** np.arange(m)
        g[j] = point ** np.arange(r) / np.prod(point - others)
        b[: n - 1, j] = np.poly(others)[::-1]
    a[-1, -1] = g[-1, -1] = 1
    b[:, -1] = np.poly(at)[::-1]
    return a, g, b


def winograd(tiles: Any, weight: Any, m: int, dtype: Any) -> Any:
    """Outputs [tiles, m, m] of windows `weight` [channels, 3, 3] over `tiles` [tiles, channels, m + 2, m + 2], computed
    in `dtype`."""
    a, g, b = (matrix.astype(dtype) for matrix in transforms(m))
    filtered = g @ weight.astype(dtype) @ g.T
    return a.T @ ((b.T @ tiles.astype(dtype) @ b) * filtered).sum(1, dtype=dtype) @ a


def _winograd_errors(quick: bool) -> Section:
    """Products and rounding errors of F(m, 3), by m, in f32."""
    channels, count = 64, 20 if quick else 400
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((channels, 3, 3)) / math.sqrt(9 * channels)
    rows: list[list[Any]] = []
    for m in (1, 2, 4, 6):
        tiles = rng.standard_normal((count, channels, m + 2, m + 2)).astype(np.float32).astype(np.float64)
        w = weight.astype(np.float32).astype(np.float64)
        windows = np.lib.stride_tricks.sliding_window_view(tiles, (3, 3), (2, 3))
        exact = np.einsum("tcxykl,ckl->txy", windows, w)
        narrow = winograd(tiles, w, m, np.float32) if m > 1 else np.einsum(
            "tcxykl,ckl->txy", windows.astype(np.float32), w.astype(np.float32)
        )  # fmt: skip
        error = float(np.sqrt(((narrow - exact) ** 2).mean() / (exact**2).mean()))
        tile = (m + 2) ** 2
        rows.append([m, 9 * m * m, tile, 9 * m * m / tile, tile / (m * m), error])
    figure, pair = charts(2)
    style(pair[0], "outputs m per axis of a tile", "products saved, ×")
    style(pair[1], "outputs m per axis of a tile", "relative error in f32", log_y=True)
    pair[0].plot([row[0] for row in rows], [row[3] for row in rows], "o-")
    pair[1].plot([row[0] for row in rows], [row[5] for row in rows], "o-", color=COLOURS[1])
    for axes in pair:
        axes.set_xticks([1, 2, 4, 6])
    pair[0].set_ylim(0, None)
    reading = (
        f"F(2 × 2) takes {rows[1][3]:.2f} times fewer products than the definition (m = 1), F(6 × 6) {rows[3][3]:.2f}; "
        f"their errors are {rows[1][5] / rows[0][5]:.1f} and {rows[3][5] / rows[0][5]:.1f} times as large. "
        f"Transformed tiles overlap, and hold {rows[1][4]:.2f} and {rows[3][4]:.2f} elements for each output."
    )
    columns = ["m", "products of the definition", "products of F(m, 3)", "saved, ×", "elements per output", "error"]
    return Section("What does Winograd save, and what does it round away?", reading, Table(columns, rows), figure)


def _winograd_times(Conv2d: Any, quick: bool) -> Section:
    """Three compiled 3 × 3 convolutions, with products saved where the compiler expects a gain, and as defined."""
    size, batch = (14, 4) if quick else (28, 8)
    counts = (16, 128) if quick else (16, 32, 64, 128)
    rows: list[list[Any]] = []
    for channels in counts:
        layers = [Conv2d(channels, channels, 3, padding=1) for _ in range(3)]
        model = tt.Sequential(*(m for layer in layers for m in (layer, tt.ReLU())))
        x = _images(batch, channels, size, size)
        fast, exact = tt.compile(model, freeze=True), tt.compile(model, freeze=True, precision="exact")
        with tt.no_grad():
            right = exact(x).numpy()
            error = float(abs(fast(x).numpy() - right).max() / abs(right).max())
            calls = {"exact": lambda e=exact, x=x: e(x), "fast": lambda f=fast, x=x: f(x)}
            times = medians(calls, 0.05 if quick else 0.4)
        count = sum("winograd" in node.op.name for kernel in fast.graph.nodes for node in _inside(kernel))
        rows.append([channels, count, times["exact"] * 1e3, times["fast"] * 1e3, times["exact"] / times["fast"], error])
    figure, axes = chart("channels in and out", "gain against the definition, ×", log_x=True)
    axes.plot([row[0] for row in rows], [row[4] for row in rows], "o-")
    axes.axhline(1, color="#888888", linewidth=1)
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.minorticks_off()
    axes.set_ylim(0, None)
    best = max(rows, key=lambda row: row[4])
    taken = ", ".join(f"{row[1]} at {row[0]} channels" for row in rows)
    reading = (
        f"Of three layers, the compiler takes Winograd for {taken}. The gain is "
        f'largest at {best[0]} channels, {best[4]:.2f} times against precision="exact", and the results differ by '
        f"{best[5]:.0e} of the largest."
    )
    columns = ["channels", "layers by Winograd", "exact, ms", "fast, ms", "gain, ×", "difference"]
    return Section("When is Winograd worth it?", reading, Table(columns, rows), figure)


def _inside(node: Any) -> list[Any]:
    """A node, or the nodes in the body of a kernel."""
    body = node.attrs.get("body")
    return [node] if body is None else [node, *body.nodes]


def _separable(Conv2d: Any, quick: bool) -> Section:
    """3 × 3 convolutions, full and separable, by channels."""
    size, batch = (14, 2) if quick else (28, 8)
    counts = (16, 64) if quick else (16, 32, 64, 128, 256)
    profiler = tt.Profiler()
    rows: list[list[Any]] = []
    for channels in counts:
        full = Conv2d(channels, channels, 3, padding=1, bias=False)
        apart = tt.Sequential(
            Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            Conv2d(channels, channels, 1, bias=False),
        )
        x = _images(batch, channels, size, size)
        flops = [int(profiler.count_flops(model, x.shape)) for model in (full, apart)]
        weights = [profiler.count_parameters(model) for model in (full, apart)]
        compiled = [tt.compile(model) for model in (full, apart)]
        with tt.no_grad():
            calls = {
                "full": lambda c=compiled[0], x=x: c(x),
                "separable": lambda c=compiled[1], x=x: c(x),
            }
            times = medians(calls, 0.05 if quick else 0.3)
        expected, share = 1 / channels + 1 / 9, times["separable"] / times["full"]
        rows.append(
            [channels, *weights, flops[1] / flops[0], expected, *(seconds * 1e3 for seconds in times.values()), share]
        )
    figure, axes = chart("channels in and out", "separable, as a share of the full one", log_x=True)
    axes.plot(counts, [row[4] for row in rows], color="#bbbbbb", linewidth=5, label="1 / o + 1 / k²")
    axes.plot(counts, [row[3] for row in rows], "o-", label="operations")
    axes.plot(counts, [row[7] for row in rows], "o-", label="time")
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.minorticks_off()
    axes.set_ylim(0, None)
    axes.legend(fontsize=8)
    last = rows[-1]
    reading = (
        f"At {last[0]} channels the separable form has {last[2]:,} weights instead of {last[1]:,} and {last[3]:.3f} of "
        f"the operations, where 1 / o + 1 / k² is {last[4]:.3f}; it takes {last[7]:.3f} of the time."
    )
    columns = ["channels", "weights", "separable", "share of operations", "1 / o + 1 / k²"]
    columns += ["full, ms", "separable, ms", "share of time"]
    return Section("What do separable convolutions save?", reading, Table(columns, rows), figure)
