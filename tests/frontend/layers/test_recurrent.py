"""LSTM, GRU and RNN with every option, and their cells: eager, interpreted and compiled, as PyTorch has them."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.nn.utils import rnn as packing

BACKENDS = ["eager", "interpreter", "llvm"]
HERE = "test_recurrent.py:"
Array = np.ndarray
KINDS = ["LSTM", "GRU", "RNN"]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def compiled(function: Any, backend: str) -> Any:
    return function if backend == "eager" else tt.compile(function, backend=backend)


def as_doubles(module: Any, seed: int = 0) -> Any:
    """The module in f64, with parameters that tell one from another."""
    rng = np.random.default_rng(seed)
    module.double()
    module.load_state_dict({name: rng.normal(size=t.shape) * 0.4 for name, t in module.state_dict().items()})
    return module


# By hand.
def lstm_by_hand(x: Array, w: dict[str, Array], h: Array, c: Array) -> tuple[Array, Array, Array]:
    outputs: list[Array] = []
    for row in x:
        z = w["weight_ih"] @ row + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"]
        i, f, g, o = np.split(z, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), h, c


def gru_by_hand(x: Array, w: dict[str, Array], h: Array) -> tuple[Array, Array]:
    outputs: list[Array] = []
    for row in x:
        (xr, xz, xn), (hr, hz, hn) = (
            np.split(w[f"weight_{k}"] @ v + w[f"bias_{k}"], 3) for k, v in (("ih", row), ("hh", h))
        )
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        h = (1 - z) * np.tanh(xn + r * hn) + z * h
        outputs.append(h)
    return np.stack(outputs), h


def weights_of(module: Any, suffix: str = "") -> dict[str, Array]:
    return {name.removesuffix(suffix): t.numpy() for name, t in module.state_dict().items() if name.endswith(suffix)}


@pytest.mark.parametrize("backend", BACKENDS)
def test_lstm_computes_its_formula(backend: str) -> None:
    rng = np.random.default_rng(3)
    model = as_doubles(tt.LSTM(3, 5))
    x, h, c = rng.normal(size=(4, 3)), rng.normal(size=5), rng.normal(size=5)
    out, (h_n, c_n) = compiled(model, backend)(Tensor(x), (Tensor(h[None]), Tensor(c[None])))
    wanted = lstm_by_hand(x, weights_of(model, "_l0"), h, c)
    for found, expected in zip((out, h_n[0], c_n[0]), wanted, strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    cell = tt.LSTMCell(3, 5).double()
    cell.load_state_dict(weights_of(model, "_l0"))
    states = (Tensor(h), Tensor(c))
    for row in x:
        states = compiled(cell, backend)(Tensor(row), states)
    for found, expected in zip(states, wanted[1:], strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gru_computes_its_formula(backend: str) -> None:
    rng = np.random.default_rng(4)
    model = as_doubles(tt.GRU(3, 5))
    x, h = rng.normal(size=(4, 3)), rng.normal(size=5)
    out, h_n = compiled(model, backend)(Tensor(x), Tensor(h[None]))
    expected, last = gru_by_hand(x, weights_of(model, "_l0"), h)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(h_n.numpy()[0], last, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_and_its_gradient_of_one_number(nonlinearity: str, backend: str) -> None:
    """h₁ = f(w x₁ + b), h₂ = f(w x₂ + u h₁ + b) with b the sum of both biases; the gradient of h₂ by hand."""
    model = as_doubles(tt.RNN(1, 1, nonlinearity=nonlinearity))
    w, u, b, d = 0.5, -0.7, 0.2, 0.1
    numbers = {"weight_ih_l0": [[w]], "weight_hh_l0": [[u]], "bias_ih_l0": [b], "bias_hh_l0": [d]}
    model.load_state_dict({name: np.array(value) for name, value in numbers.items()})

    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        out, last = model(x)
        last.sum().backward()
        return out, last

    out, last = compiled(step, backend)(Tensor([[2.0], [3.0]], dtype="f64"))
    f = np.tanh if nonlinearity == "tanh" else lambda v: max(v, 0.0)
    first = f(w * 2 + b + d)
    second = f(w * 3 + u * first + b + d)
    slopes = [1 - h * h if nonlinearity == "tanh" else float(h > 0) for h in (first, second)]
    np.testing.assert_allclose(out.numpy(), [[first], [second]], rtol=1e-12)
    np.testing.assert_allclose(last.numpy(), [[second]], rtol=1e-12)
    back = u * slopes[1] * slopes[0]
    gradients = {name: t.grad.numpy().item() for name, t in model.named_parameters()}
    assert gradients == pytest.approx({
        "weight_ih_l0": slopes[1] * 3 + back * 2, "weight_hh_l0": slopes[1] * first,
        "bias_ih_l0": slopes[1] + back, "bias_hh_l0": slopes[1] + back,
    })  # fmt: skip


def test_initial_weights_are_uniform_and_follow_the_generator() -> None:
    model = tt.LSTM(40, 100, generator=tt.Generator(1))
    for _, weight in model.named_parameters():
        values = weight.numpy()
        assert abs(values).max() <= 0.1
        assert abs(values).max() > 0.099 and abs(values.mean()) < 0.01
    again = tt.LSTM(40, 100, generator=tt.Generator(1))
    np.testing.assert_array_equal(again.weight_hh_l0.numpy(), model.weight_hh_l0.numpy())


# PyTorch.
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


# What else there is.
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_of_a_gradient(backend: str) -> None:
    """The derivative of |gradient|² with respect to x, against differences of the gradient."""
    model = as_doubles(tt.LSTM(2, 3))
    x = np.random.default_rng(0).normal(size=(3, 2, 2))

    def penalty(x: Tensor) -> Tensor:
        gradient = tt.grad(lambda x: (model(x)[0] ** 2).sum())(x)
        return (gradient**2).sum()

    found = compiled(lambda x: tt.grad(penalty)(x), backend)(Tensor(x)).numpy()
    for index in np.ndindex(x.shape):
        there, back = x.copy(), x.copy()
        there[index] += 1e-5
        back[index] -= 1e-5
        slope = (penalty(Tensor(there)).numpy() - penalty(Tensor(back)).numpy()) / 2e-5
        np.testing.assert_allclose(found[index], slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_between_layers_and_in_training_only(kind: str) -> None:
    model = getattr(tt, kind)(3, 64, num_layers=2, dropout=0.5, generator=tt.Generator(0))
    plain = getattr(tt, kind)(3, 64, num_layers=2)
    plain.load_state_dict(model.state_dict())
    x = tt.randn(5, 4, 3)
    np.testing.assert_array_equal(model.eval()(x)[0].numpy(), plain(x)[0].numpy())
    model.train()
    states = [s[0] if isinstance(s, tuple) else s for s in (model(x)[1], plain(x)[1])]
    np.testing.assert_array_equal(states[0].numpy()[0], states[1].numpy()[0])  # the first layer drops nothing
    assert abs(states[0].numpy()[1] - states[1].numpy()[1]).max() > 1e-3
    step = tt.compile(model)
    assert abs(step(x)[0].numpy() - step(x)[0].numpy()).max() > 1e-3  # each call draws anew


def test_dropout_of_one_layer_warns() -> None:
    with pytest.warns(UserWarning, match="one"):
        tt.GRU(2, 3, dropout=0.1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_halves_are_computed_in_f32(dtype: str, backend: str) -> None:
    wide = tt.LSTM(4, 8, bidirectional=True)
    model = copy.deepcopy(wide).to(dtype)
    wide.load_state_dict({name: t.float() for name, t in model.state_dict().items()})
    x = tt.randn(6, 3, 4).cast(dtype)
    out, (h, c) = compiled(model, backend)(x)
    wanted, (wanted_h, wanted_c) = wide(x.float())
    for found, expected in ((out, wanted), (h, wanted_h), (c, wanted_c)):
        assert found.dtype == x.dtype
        np.testing.assert_allclose(found.float().numpy(), expected.cast(dtype).float().numpy(), rtol=1e-2, atol=1e-5)


def test_dtypes_meet_in_one() -> None:
    model = tt.GRU(2, 3)
    assert model(tt.zeros(2, 1, 2, dtype="f64"))[0].dtype == tt.f64
    assert model(tt.zeros(2, 1, 2), tt.zeros(1, 1, 3, dtype="f64"))[1].dtype == tt.f64
    assert model(tt.zeros(2, 1, 2, dtype="bf16"))[0].dtype == tt.f32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_batch_has_empty_results(kind: str, backend: str) -> None:
    model = getattr(tt, kind)(3, 4, bidirectional=True)

    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        out, last = model(x)
        out.sum().backward()
        return out, last[0] if isinstance(last, tuple) else last

    out, last = compiled(step, backend)(tt.zeros(5, 0, 3))
    assert out.shape == (5, 0, 8) and last.shape == (2, 0, 4)
    assert all((p.grad.numpy() == 0).all() for p in model.parameters())


def test_not_a_number_stays_in_its_sequence() -> None:
    model = tt.LSTM(2, 40)
    x = tt.randn(4, 3, 2).numpy()
    x[1, 1] = np.nan
    for run in (model, tt.compile(model)):
        out = run(Tensor(x))[0].numpy()
        assert np.isnan(out[1:, 1]).all()
        assert np.isfinite(out[:, [0, 2]]).all() and np.isfinite(out[0]).all()


@pytest.mark.parametrize("backend", ["eager", "llvm"])
def test_not_a_number_behind_an_end_counts_nowhere(backend: str) -> None:
    model, x = tt.GRU(2, 3, bidirectional=True), tt.randn(3, 2, 2).numpy()
    x[2, 1] = np.nan

    def step(x: Tensor) -> Tensor:
        out, last = model(x, lengths=[3, 2])
        (out.sum() + last.sum()).backward()
        return out

    assert np.isfinite(compiled(step, backend)(Tensor(x)).numpy()).all()
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())


def test_numbers_far_out_saturate() -> None:
    model = tt.LSTM(1, 20)
    for run in (model, tt.compile(model)):
        out = run(Tensor([[[1e30]], [[-1e30]]]))[0].numpy()
        assert np.isfinite(out).all()


def test_training_learns_to_remember() -> None:
    """The sign of the first of eight numbers, from the last state."""
    tt.manual_seed(0)
    model, head = tt.GRU(1, 16), tt.Linear(16, 1)
    optimizer = tt.Adam([*model.parameters(), *head.parameters()], lr=0.02)

    @tt.compile
    def step(x: Tensor) -> Tensor:
        loss = tt.binary_cross_entropy_with_logits(head(model(x)[1][0])[:, 0], (x[0, :, 0] > 0).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(tt.randn(8, 64, 1)).item() for _ in range(300)]
    assert np.mean(losses[:5]) > 0.6
    assert np.mean(losses[-5:]) < 0.25


# Bad input.
ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: tt.LSTM(0, 4), TinyTorchError, "input_size is a positive integer"),
    (lambda: tt.LSTM(3, 0), TinyTorchError, "hidden_size is a positive integer"),
    (lambda: tt.GRU(3, 4, num_layers=0), TinyTorchError, "num_layers is a positive integer"),
    (lambda: tt.GRU(3, 4, dropout=2.0, num_layers=2), TinyTorchError, "dropout is a probability"),
    (lambda: tt.GRU(3, 4, bias=1), TinyTorchError, "bias is True or False"),
    (lambda: tt.LSTM(3, 4, proj_size=4), TinyTorchError, "proj_size is smaller than hidden_size"),
    (lambda: tt.LSTM(3, 4, proj_size=-1), TinyTorchError, "proj_size is an integer that is not negative"),
    (lambda: tt.RNN(3, 4, nonlinearity="gelu"), TinyTorchError, "nonlinearity"),
    (lambda: tt.RNNCell(3, 4, nonlinearity="gelu"), TinyTorchError, "nonlinearity"),
    (lambda: tt.LSTM(3, 4)(np.zeros((2, 1, 3))), TinyTorchError, "expected a Tensor"),
    (lambda: tt.LSTM(3, 4)(tt.zeros(3)), ShapeError, "LSTM: x is"),
    (lambda: tt.LSTM(3, 4)(tt.zeros(2, 1, 4)), ShapeError, "LSTM: x is"),
    (lambda: tt.LSTM(3, 4)(tt.zeros(2, 1, 1, 3)), ShapeError, "LSTM: x is"),
    (lambda: tt.LSTM(3, 4)(tt.zeros(2, 1, 3, dtype="i64")), ShapeError, "float dtype"),
    (lambda: tt.LSTM(3, 4)(tt.zeros(0, 2, 3)), ShapeError, "one step at least"),
    (lambda: tt.LSTM(3, 4, batch_first=True)(tt.zeros(2, 0, 3)), ShapeError, "one step at least"),
    (lambda: tt.LSTM(3, 4)(tt.zeros(2, 1, 3), tt.zeros(1, 1, 4)), TinyTorchError, "a pair"),
    (lambda: tt.LSTM(3, 4)(tt.zeros(2, 1, 3), (tt.zeros(1, 1, 4), tt.zeros(1, 4))), ShapeError, "c_0"),
    (lambda: tt.LSTM(3, 4)(tt.zeros(2, 3), (tt.zeros(1, 1, 4), tt.zeros(1, 4))), ShapeError, "h_0"),
    (lambda: tt.GRU(3, 4)(tt.zeros(2, 1, 3), tt.zeros(1, 2, 4)), ShapeError, r"h_0 is a float tensor \[1, 1, 4\]"),
    (lambda: tt.GRU(3, 4)(tt.zeros(2, 1, 3), tt.zeros(1, 1, 4, dtype="i64")), ShapeError, "h_0"),
    (lambda: tt.GRU(3, 4)(tt.zeros(2, 1, 3), (tt.zeros(1, 1, 4),)), TinyTorchError, "expected a Tensor"),
    (lambda: tt.GRU(3, 4)(tt.zeros(2, 1, 3), lengths=[1, 2]), ShapeError, "lengths are integers"),
    (lambda: tt.GRU(3, 4)(tt.zeros(2, 1, 3), lengths=[1.0]), ShapeError, "lengths are integers"),
    (lambda: tt.GRU(3, 4)(tt.zeros(2, 1, 3), lengths=[3]), IndexError, "between 1 and 2"),
    (lambda: tt.GRU(3, 4)(tt.zeros(2, 1, 3), lengths=[0]), IndexError, "between 1 and 2"),
    (lambda: tt.compile(tt.GRU(3, 4))(tt.zeros(2, 1, 3), lengths=Tensor([3])), IndexError, "index"),
    (lambda: tt.compile(tt.GRU(3, 4))(tt.zeros(2, 1, 3), lengths=Tensor([0])), IndexError, "index"),
    (lambda: tt.GRU(3, 4)(tt.zeros(2, 3), lengths=[2]), ShapeError, "one sequence"),
    (lambda: tt.LSTMCell(3, 4)(tt.zeros(2, 4)), ShapeError, "LSTMCell: x is"),
    (lambda: tt.LSTMCell(3, 4)(tt.zeros(2, 3), tt.zeros(2, 4)), TinyTorchError, "a pair"),
    (lambda: tt.GRUCell(3, 4)(tt.zeros(2, 3), tt.zeros(1, 4)), ShapeError, "hx is a float tensor"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors_say_what_and_where(number: int) -> None:
    run, kind, words = ERRORS[number]
    with pytest.raises(kind, match=words) as error:
        run()
    assert HERE in str(error.value)


def test_packed_sequences_are_answered() -> None:
    torch = pytest.importorskip("torch")
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.zeros(2, 1, 3), [2])
    with pytest.raises(TinyTorchError, match=r"lengths=[\s\S]*" + HERE):
        tt.LSTM(3, 4)(packed)


def test_modules_show_their_options() -> None:
    shown = repr(tt.LSTM(3, 4, num_layers=2, batch_first=True, proj_size=2))
    assert shown == "LSTM(3, 4, num_layers=2, batch_first=True, proj_size=2)"
    assert repr(tt.RNN(3, 4, nonlinearity="relu")) == "RNN(3, 4, nonlinearity=relu)"
    assert repr(tt.GRUCell(3, 4, bias=False)) == "GRUCell(3, 4, bias=False)"
