"""Module 13: where the parameters and operations of a transformer are, what depth keeps in memory, and accumulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart, charts, style
from analyses.measuring import medians, peak_bytes, torch_if_installed
from analyses.record import Analysis, Section, Table

_BACKGROUND = """
A block of width d has four d×d matrices in its attention and two of 4 d² in its network: 12 d² + 13 d parameters with
biases and two norms. L blocks, a table of V tokens and T positions: about 12 L d² + (V + T) d.

Each parameter of a matrix is used once for each token: 2 operations forward, 4 backward. Attention adds 4 T d for each
token and layer forward, half of that where it is causal; it is the smaller part as long as T is below about 12 d.

Training keeps each layer's results until backward: O(L · batch · T · d). Gradients of parts of a batch add up, so that
k parts of b/k examples give the gradient of b, with the activations of one part.
"""
_QUESTIONS = (
    "At which width do the blocks of a model with 12 layers and 50,257 tokens hold more parameters than its table?",
    "Twice the width, or twice the depth: what does each do to parameters, activations and time?",
    "A residual adds what a branch computes to x. What would the gradient of 48 layers be a product of without it?",
    "Accumulation gives the same gradient in less memory. What does it cost, and which layers break the equality?",
    "Operations of a training step are 6 for each parameter and token. Which parameters cost none?",
)


def analyze(*, quick: bool = False, Block: Any = tt.TransformerBlock, GPT: Any = tt.GPT) -> Analysis:
    """Measure these blocks, and this model, made as `tt.TransformerBlock` and `tt.GPT` are."""
    return Analysis(
        "Transformers: parameters, operations, activations",
        _BACKGROUND,
        [_parameters(Block), _operations(Block, quick), _depth(GPT, quick), _accumulation(GPT, quick)],
        _QUESTIONS,
    )


def _tokens(batch: int, length: int, vocab: int = 65) -> tt.Tensor:
    return tt.Tensor(np.random.default_rng(0).integers(0, vocab, (batch, length)))


def _parameters(Block: Any) -> Section:
    """Counted parameters of a block beside the formula, and the share of a table in a model of 12 layers."""
    widths = (32, 64, 128, 256, 512, 768)
    layers, vocab = 12, 50257
    rows: list[list[Any]] = []
    for dim in widths:
        counted = tt.Profiler().count_parameters(Block(dim, 4))
        whole = layers * counted + vocab * dim
        rows.append([dim, counted, 12 * dim * dim + 13 * dim, whole, vocab * dim / whole])
    figure, axes = chart("width d", "parameters", log_x=True, log_y=True)
    axes.plot(widths, [layers * row[1] for row in rows], "o-", label=f"{layers} blocks")
    axes.plot(widths, [vocab * row[0] for row in rows], "o-", label=f"table of {vocab:,} tokens")
    axes.set_xticks(widths, [str(d) for d in widths])
    axes.legend(fontsize=8)
    first, last = rows[0], rows[-1]
    reading = (
        f"Counted parameters differ from 12 d² + 13 d by {max(abs(row[1] - row[2]) for row in rows)}. The table is "
        f"{first[4]:.0%} of a model of width {first[0]}, and {last[4]:.0%} of one of width {last[0]}."
    )
    columns = ["d", "parameters of a block", "12 d² + 13 d", f"{layers} blocks and table", "share of the table"]
    return Section("How do parameters scale?", reading, Table(columns, rows), figure)


def _operations(Block: Any, quick: bool) -> Section:
    """Operations of a block by length: products with weights, and attention; with the time of a forward."""
    dim, heads = 64 if quick else 128, 4
    lengths = (32, 256, 1024) if quick else (32, 128, 512, 2048)
    torch = torch_if_installed()
    block = Block(dim, heads, causal=True)
    rows: list[list[Any]] = []
    for length in lengths:
        x = tt.randn(1, length, dim)
        flops = tt.Profiler().count_flops(block, x)
        compiled = tt.compile(block)
        calls: dict[str, Callable[[], Any]] = {"compiled": lambda compiled=compiled, x=x: compiled(x)}
        if torch:
            calls["torch"] = _torch_block(torch, x, heads)
        with tt.no_grad():
            times = medians(calls, 0.05 if quick else 0.3)
        products, attention = flops.ops["matmul"], flops.ops["attention"]
        rows.append([length, products, attention, attention / flops, *(t * 1e6 / length for t in times.values())])
    figure, axes = chart("length T", "operations for each token", log_x=True)
    for column, name in ((1, "products with weights"), (2, "causal attention")):
        axes.plot(lengths, [row[column] / row[0] for row in rows], "o-", label=name)
    axes.axhline(24 * dim * dim, linestyle="--", color="#555555", label="24 d²")
    axes.set_xticks(lengths, [str(n) for n in lengths])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend(fontsize=8)
    first, last = rows[0], rows[-1]
    reading = (
        f"Products with weights take {first[1] / first[0] / (24 * dim * dim):.2f} · 24 d² operations a token at any "
        f"length. Attention is {first[3]:.1%} of all operations at {first[0]} tokens and {last[3]:.0%} at "
        f"{last[0]:,}, where a token takes {last[4] / first[4]:.1f} times as long."
    )
    ways = ["compiled", *(["torch"] if torch else [])]
    columns = ["T", "operations: products", "attention", "share of attention", *(f"{w}, µs per token" for w in ways)]
    return Section(f"Where are the operations of a block of width {dim}?", reading, Table(columns, rows), figure)


def _torch_block(torch: Any, x: tt.Tensor, heads: int) -> Callable[[], Any]:
    """A pre-norm block of PyTorch, causal."""
    length, dim = x.shape[-2:]
    layer = torch.nn.TransformerEncoderLayer(dim, heads, 4 * dim, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    mask = torch.nn.Transformer.generate_square_subsequent_mask(length)
    given = torch.from_numpy(x.numpy().copy())

    def call() -> Any:
        with torch.no_grad():
            return layer(given, mask, is_causal=True)

    return call


def _step(model: Any, tokens: tt.Tensor, parts: int = 1) -> Callable[[], list[Any]]:
    """Gradients of the mean loss over the parts of a batch, added up in `grad`."""
    size = tokens.shape[0] // parts

    def step() -> list[Any]:
        for p in model.parameters():
            p.grad = None
        for i in range(parts):
            part = tokens[i * size : (i + 1) * size]
            (model(part[:, :-1], part[:, 1:]) * (1 / parts)).backward()
        return [p.grad for p in model.parameters()]

    return step


def _depth(GPT: Any, quick: bool) -> Section:
    """Bytes of parameters and of activations by the number of layers, counted by what eager training holds."""
    dim, batch, length = 64, 8, 33 if quick else 129
    depths = (1, 2, 4) if quick else (1, 2, 4, 8)
    tokens = _tokens(batch, length)
    rows: list[list[Any]] = []
    for depth in depths:
        model = GPT(65, dim, depth, 4, context_length=length)
        parameters = tt.Profiler().count_parameters(model) * 4
        forward = _forward(model, tokens)
        with tt.no_grad():
            silent = peak_bytes(forward)
        rows.append([depth, parameters, peak_bytes(forward), silent])
    figure, axes = chart("layers", "MiB")
    for column, name in ((2, "training keeps"), (3, "forward under no_grad()"), (1, "parameters")):
        axes.plot(depths, [row[column] / 2**20 for row in rows], "o-", label=name)
    axes.set_xticks(depths)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    unit = 4 * batch * (length - 1) * dim
    slope = (rows[-1][2] - rows[0][2]) / (depths[-1] - depths[0])
    reading = (
        f"Each layer adds {slope:,.0f} bytes to what a training step keeps, {slope / unit:.1f} tensors of "
        f"[{batch}, {length - 1}, {dim}]; without gradients {depths[-1]} layers need {rows[-1][3] / rows[0][3]:.2f} "
        f"times what {depths[0]} needs. {depths[-1]} layers keep {rows[-1][2] / rows[-1][1]:.0f} times the bytes of "
        "their parameters."
    )
    columns = ["layers", "parameters, bytes", "recorded forward, peak bytes", "under no_grad(), peak bytes"]
    return Section("What does depth keep in memory?", reading, Table(columns, rows), figure)


def _forward(model: Any, tokens: tt.Tensor) -> Callable[[], tt.Tensor]:
    return lambda: model(tokens[:, :-1], tokens[:, 1:])


def _accumulation(GPT: Any, quick: bool) -> Section:
    """The same gradient from parts of a batch: peak, time and difference."""
    batch, length = 16, 9 if quick else 65
    tokens = _tokens(batch, length)
    tt.manual_seed(0)
    model = GPT(65, 64, 2, 4, context_length=length)
    all_parts = (1, 4) if quick else (1, 2, 4, 8, 16)
    steps = {str(parts): _step(model, tokens, parts) for parts in all_parts}
    whole = [g.numpy().copy() for g in steps["1"]()]
    largest = max(abs(g).max() for g in whole)
    times = medians(steps, 0.1 if quick else 0.4)
    rows: list[list[Any]] = []
    for parts in all_parts:
        found = steps[str(parts)]()
        off = max(float(abs(g.numpy() - w).max()) for g, w in zip(found, whole, strict=True)) / largest
        rows.append([parts, batch // parts, peak_bytes(steps[str(parts)]), times[str(parts)] * 1e3, float(off)])
    figure, (left, right) = charts(2)
    style(left, "parts of the batch", "peak memory of a step, MiB", log_x=True)
    style(right, "parts of the batch", "time of a step, ms", log_x=True)
    for axes, column, scale in ((left, 2, 2**20), (right, 3, 1)):
        axes.plot(all_parts, [row[column] / scale for row in rows], "o-")
        axes.set_xticks(all_parts, [str(n) for n in all_parts])
        axes.set_ylim(bottom=0)
    last = rows[-1]
    reading = (
        f"Run eagerly, {last[0]} parts need {last[2] / rows[0][2]:.0%} of the memory of the whole batch and "
        f"{last[3] / rows[0][3]:.1f} times its time; their gradients differ by {max(r[4] for r in rows):.1e} of the "
        "largest element at most."
    )
    columns = ["parts", "examples in a part", "peak, bytes", "time, ms", "difference of gradients"]
    return Section("What does gradient accumulation trade?", reading, Table(columns, rows), figure)
