"""What quantizing each layer costs and gains: error, memory, time; and what was therefore done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from tinytorch.compile import compile
from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.ir.characters import printable
from tinytorch.ir.op import Array

_ROUNDS, _LEAST_SECONDS = 7, 0.002  # interleaved rounds, each of so long at least


@dataclass(frozen=True)
class LayerSensitivity:
    """A layer: its name and class, its form afterwards ("int8, static", "fp32", …; "W7A8": weights of 7 bits by
    activations of 8), and why, where that is fp32.

    `error` is that of the quantized layer's results relative to those of the layer, both as root mean squares, on the
    first batch of calibration; without calibration data that of its weights. `bytes` are those of its parameters
    before and in its form afterwards, `seconds` those of a call as machine code, in fp32 and in int8, where measured.
    """

    name: str
    kind: str
    form: str
    reason: str = ""
    error: float | None = None
    bytes_before: int = 0
    bytes_after: int = 0
    seconds_fp32: float | None = None
    seconds_int8: float | None = None


@dataclass(frozen=True)
class Sensitivity:
    """The layers of a quantized model; printed, a table."""

    layers: tuple[LayerSensitivity, ...]

    def __iter__(self) -> Iterator[LayerSensitivity]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, name: str) -> LayerSensitivity:
        """The layer of that name."""
        return {layer.name: layer for layer in self.layers}[name]

    def __str__(self) -> str:
        head = ("layer", "class", "form", "error", "bytes", "", "fp32", "int8", "why")
        rows = [
            (
                layer.name or "(model)", layer.kind, layer.form, "" if layer.error is None else f"{layer.error:.2%}",
                f"{layer.bytes_before:,}", f"-> {layer.bytes_after:,}", _time(layer.seconds_fp32),
                _time(layer.seconds_int8), layer.reason,
            )
            for layer in self.layers
        ]  # fmt: skip
        told = [i for i in range(len(head)) if any(row[i] for row in rows)]  # no columns of nothing
        lines = [tuple(line[i] for i in told) for line in (head, *rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        before, after = (sum(getattr(layer, f"bytes_{when}") for layer in self.layers) for when in ("before", "after"))
        rule = "─" * max(map(len, text))
        total = f"parameters of these layers: {before:,} bytes -> {after:,}"
        return printable("\n".join([text[0], rule, *text[1:], rule, total]))

    __repr__ = __str__


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e6:,.1f} µs"


def relative_error(found: Array, wanted: Array) -> float:
    """Of two arrays, as root mean squares; that of anything relative to nothing is infinite."""
    difference, size = (float(np.square(x.astype(np.float64)).sum()) for x in (found - wanted, wanted))
    if not size:
        return 0.0 if not difference else float("inf")
    return float(np.sqrt(difference / size))


def error_on(layer: Module, quantized: Module, x: Tensor) -> float:
    """The error of the quantized layer's results for the input x."""
    with grad_mode(False):
        return relative_error(*(as_array(each(x)).astype(np.float32) for each in (quantized, layer)))


def seconds_of(layers: tuple[Module, ...], x: Tensor) -> list[float]:
    """Of a call of each layer on x, frozen machine code: medians of interleaved rounds."""
    calls: list[Any] = [compile(layer, freeze=True) for layer in layers]
    with grad_mode(False):
        counts = [_calls_in(call, x) for call in calls]
        rounds = [[_seconds(call, x, count) for call, count in zip(calls, counts, strict=True)] for _ in range(_ROUNDS)]
    return [median(times) for times in zip(*rounds, strict=True)]


def _calls_in(call: Any, x: Tensor) -> int:
    """How many calls take long enough to be measured."""
    call(x)
    return max(1, round(_LEAST_SECONDS / max(_seconds(call, x, 3), 1e-7)))


def _seconds(call: Any, x: Tensor, count: int) -> float:
    start = perf_counter()
    for _ in range(count):
        call(x)
    return (perf_counter() - start) / count
