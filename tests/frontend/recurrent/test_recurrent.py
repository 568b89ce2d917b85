"""What else recurrent layers promise: dropout, dtypes, NaN, training, errors, and how they are shown."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.recurrent.models import BACKENDS, KINDS, compiled
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError

HERE = "test_recurrent.py:"


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
