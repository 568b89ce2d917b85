"""Recurrent layers and their gradients."""

from __future__ import annotations

import itertools

import numpy as np

from tests.op_samples.operands import random_array, rng_of
from tests.op_samples.sample import Sample
from tinytorch.ir.op import OPS
from tinytorch.ir.types import DTYPES


def _recurrent() -> list[Sample]:
    rng = rng_of("recurrent")
    samples: list[Sample] = []
    for name, gates in {"lstm": 4, "lstm_projected": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}.items():
        sizes = [(3, 2, 3), (1, 3, 2), (4, 33, 17), (2, 1, 40), (2, 0, 3)]
        for (steps, batch, hidden), reverse in itertools.product(sizes, (False, True)):
            smooth = 0 < batch < 4 and hidden < 40
            size = hidden - 1 if name == "lstm_projected" else hidden
            states = [(batch, size), *([(batch, hidden)] if gates == 4 else [])]
            shapes = [(steps, batch, gates * hidden), (gates * hidden, size), (gates * hidden,)]
            shapes += [*([(size, hidden)] if name == "lstm_projected" else []), *states]
            dtype = DTYPES["f64" if smooth else "f32"]
            arrays = tuple(random_array(dtype, shape, rng, 0.5) for shape in shapes)
            forward = Sample(OPS[name], arrays, {"reverse": reverse}, 64, False, smooth)
            cotangents = [random_array(dtype, (steps, *state), rng) for state in states]
            results = [np.where(x == 0, -1, x).astype(x.dtype) for x in forward.results]  # where ReLU has a derivative
            back = (*cotangents, arrays[1], *arrays[3:], *results)
            samples += [forward, Sample(OPS[f"{name}_grad"], back, {"reverse": reverse}, 64, False, smooth)]
    return samples


def samples() -> list[Sample]:
    return _recurrent()
