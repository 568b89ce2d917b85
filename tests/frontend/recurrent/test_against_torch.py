"""Recurrent layers and their cells with every option: eager, interpreted and compiled, as PyTorch has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.frontend.recurrent.models import BACKENDS, KINDS, Array, as_doubles, compiled, weights_of
from tinytorch.frontend.tensor import Tensor
from tinytorch.nn.utils import rnn as packing


@dataclass(frozen=True)
class Case:
    kind: str
    steps: int
    batch: int | None  # None: one sequence
    sizes: tuple[int, int]
    options: dict[str, Any]
    initial: bool
    lengths: bool
    packed: bool = False  # instead of padded, where there are lengths

    @property
    def batch_axis(self) -> int:
        return 0 if self.options.get("batch_first") else 1

    def input(self, rng: np.random.Generator) -> Array:
        shape = [self.steps, self.sizes[0]]
        if self.batch is not None:
            shape.insert(self.batch_axis, self.batch)
        return rng.normal(size=shape)

    def states(self, rng: np.random.Generator) -> list[Array]:
        if not self.initial:
            return []
        count = self.options["num_layers"] * (1 + self.options["bidirectional"])
        hidden = self.options.get("proj_size") or self.sizes[1]
        sizes = (hidden, self.sizes[1]) if self.kind == "LSTM" else (hidden,)
        return [rng.normal(size=(count, *([] if self.batch is None else [self.batch]), size)) for size in sizes]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kind, hidden, batch = draw(st.sampled_from(KINDS)), draw(st.integers(1, 6)), draw(st.sampled_from([None, 1, 2, 5]))
    options: dict[str, Any] = {
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
    }
    if kind == "LSTM" and hidden > 1:
        options["proj_size"] = draw(st.integers(0, hidden - 1))
    if kind == "RNN":
        options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    lengths = batch is not None and draw(st.booleans())
    sizes = (draw(st.integers(1, 5)), hidden)
    return Case(kind, draw(st.integers(1, 5)), batch, sizes, options, draw(st.booleans()), lengths, draw(st.booleans()))


def _pairs(states: Sequence[Any]) -> Any:
    return None if not states else tuple(states) if len(states) == 2 else states[0]


def _flat(result: Any) -> list[Any]:
    out, last = result
    return [out, *(last if isinstance(last, tuple) else [last])]


def _weighted(results: Sequence[Any], like: Any) -> Any:
    """A number in which every element of the results counts differently."""
    return sum(
        (r * like(np.cos(np.arange(math.prod(r.shape))).reshape(r.shape) + i)).sum() for i, r in enumerate(results)
    )


def by_torch(torch: Any, case: Case, weights: dict[str, Array], x: Array, states: list[Array], lengths: Any) -> Any:
    model = getattr(torch.nn, case.kind)(*case.sizes, **case.options).double()
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    operands = [torch.tensor(a, requires_grad=True) for a in (x, *states)]
    given, packing = operands[0], torch.nn.utils.rnn
    first = case.options["batch_first"]
    if lengths is not None:
        given = packing.pack_padded_sequence(given, torch.tensor(lengths), first, enforce_sorted=False)
    out, last = model(given, _pairs(operands[1:]))
    if lengths is not None:
        out, _ = packing.pad_packed_sequence(out, first, total_length=case.steps)
    results = _flat((out, last))
    _weighted(results, torch.tensor).backward()
    found = [r.detach().numpy() for r in results]
    return found, [t.grad.numpy() for t in (*operands, *model.parameters())]


def by_tinytorch(case: Case, model: Any, x: Array, states: list[Array], lengths: Any, backend: str) -> Any:
    ends, first = None if lengths is None else Tensor(lengths), case.options["batch_first"]

    def step(x: Tensor, *states: Tensor) -> list[Tensor]:
        if ends is not None and case.packed:
            packed = packing.pack_padded_sequence(x, ends, first, enforce_sorted=False)
            out, last = model(packed, _pairs(states))
            out, _ = packing.pad_packed_sequence(out, first, total_length=case.steps)
        else:
            out, last = model(x, _pairs(states), lengths=ends)
        results = _flat((out, last))
        _weighted(results, Tensor).backward()
        return results

    operands = [Tensor(a, requires_grad=True) for a in (x, *states)]
    for parameter in model.parameters():
        parameter.grad = None
    results = compiled(step, backend)(*operands)
    return [r.numpy() for r in results], [t.grad.numpy() for t in (*operands, *model.parameters())]


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases(), seed=st.integers(0, 99))
def test_every_option_matches_torch(case: Case, seed: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    model = as_doubles(getattr(tt, case.kind)(*case.sizes, **case.options), seed)
    x, states = case.input(rng), case.states(rng)
    lengths = rng.integers(1, case.steps + 1, case.batch) if case.lengths else None
    wanted = by_torch(torch, case, weights_of(model), x, states, lengths)
    for backend in BACKENDS:
        found = by_tinytorch(case, model, x, states, lengths, backend)
        for got, expected in zip(
            (a for part in found for a in part), (a for part in wanted for a in part), strict=True
        ):
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11, err_msg=f"{case} {backend}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(4, 3), (3,)])
def test_cells_match_torch(kind: str, bias: bool, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    model = as_doubles(getattr(tt, f"{kind}Cell")(3, 5, bias=bias))
    theirs = getattr(torch.nn, f"{kind}Cell")(3, 5, bias=bias).double()
    theirs.load_state_dict({name: torch.tensor(value) for name, value in weights_of(model).items()})
    x = rng.normal(size=shape)
    states = [rng.normal(size=(*shape[:-1], 5)) for _ in range(2 if kind == "LSTM" else 1)]
    for given_states in ([], states):
        operands = [torch.tensor(a, requires_grad=True) for a in (x, *given_states)]
        results = theirs(operands[0], _pairs(operands[1:]))
        results = list(results) if isinstance(results, tuple) else [results]
        theirs.zero_grad()
        _weighted(results, torch.tensor).backward()
        for backend in BACKENDS:
            for parameter in model.parameters():
                parameter.grad = None

            def step(x: Tensor, *states: Tensor) -> list[Tensor]:
                found = model(x, _pairs(states))
                found = list(found) if isinstance(found, tuple) else [found]
                _weighted(found, Tensor).backward()
                return found

            mine = [Tensor(a, requires_grad=True) for a in (x, *given_states)]
            for got, expected in zip(compiled(step, backend)(*mine), results, strict=True):
                np.testing.assert_allclose(got.numpy(), expected.detach().numpy(), rtol=1e-10)
            pairs = zip((*mine, *model.parameters()), (*operands, *theirs.parameters()), strict=True)
            for got, expected in pairs:
                np.testing.assert_allclose(got.grad.numpy(), expected.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_state_dicts_go_either_way(kind: str) -> None:
    torch = pytest.importorskip("torch")
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True}
    if kind == "LSTM":
        options["proj_size"] = 2
    theirs, mine = getattr(torch.nn, kind)(3, 4, **options), getattr(tt, kind)(3, 4, **options)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    mine.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    fits = theirs.load_state_dict({name: torch.tensor(value) for name, value in weights_of(mine).items()})
    assert not fits.missing_keys and not fits.unexpected_keys


# Sizes at which kernels run in eager mode, too, and which are no multiples of vectors.
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(20, 32, 64, 64), (7, 37, 19, 83), (33, 1, 70, 130)])
def test_large_layers_match_torch(kind: str, size: tuple[int, int, int, int]) -> None:
    torch = pytest.importorskip("torch")
    steps, batch, features, hidden = size
    rng = np.random.default_rng(5)
    case = Case(kind, steps, batch, (features, hidden), {"bidirectional": True, "batch_first": True}, False, False)
    model = getattr(tt, kind)(features, hidden, **case.options)
    x = case.input(rng)
    wanted = by_torch(torch, case, weights_of(model), x, [], None)
    for backend in ("eager", "llvm"):
        found = by_tinytorch(case, model, x.astype(np.float32), [], None, backend)
        for got, expected in zip(
            (a for part in found for a in part), (a for part in wanted for a in part), strict=True
        ):
            scale = abs(expected).max()
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5 * scale, err_msg=backend)
