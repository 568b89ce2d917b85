"""Packed sequences: PyTorch's fields and functions, and layers that go to the end of each sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.ir.errors import RangeError, ShapeError, TinyTorchError, TraceError
from tinytorch.nn.utils import rnn

HERE = "test_packed.py:"
LENGTHS = [2, 5, 1, 5, 3]
Array = np.ndarray


def batch(*features: int, lengths: list[int] = LENGTHS, first: bool = False, dtype: str = "f8") -> Array:
    x = np.random.default_rng(0).normal(size=(max(lengths), len(lengths), *features)) * 9
    return np.ascontiguousarray(x.swapaxes(0, 1) if first else x).astype(dtype)


def same(ours: Any, theirs: Any) -> None:
    """The four fields, or tensors."""
    for mine, wanted in zip(ours, theirs, strict=True):
        if wanted is None:
            assert mine is None
        else:
            np.testing.assert_array_equal(mine.numpy(), wanted.detach().numpy())


# Functions.
@pytest.mark.parametrize("features", [(), (3,), (2, 3)])
@pytest.mark.parametrize("dtype", ["f8", "i8", "?"])
@pytest.mark.parametrize("first", [False, True])
def test_packing_and_padding_match_torch(features: tuple[int, ...], dtype: str, first: bool) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.utils.rnn
    cases = [(False, LENGTHS), (True, sorted(LENGTHS, reverse=True)), (False, [1]), (True, [3, 2])]
    for enforce_sorted, lengths in cases:
        x = batch(*features, lengths=lengths, first=first, dtype=dtype)
        ours = rnn.pack_padded_sequence(tt.tensor(x), lengths, first, enforce_sorted)
        wanted = theirs.pack_padded_sequence(torch.tensor(x), lengths, first, enforce_sorted)
        same(ours, wanted)
        assert ours[0].shape == tuple(wanted[0].shape)
        for value, total in ((0.0, None), (-1.0, 7)):
            same(
                rnn.pad_packed_sequence(ours, first, value, total),
                theirs.pad_packed_sequence(wanted, first, value, total),
            )
        same(rnn.unpack_sequence(ours), theirs.unpack_sequence(wanted))
        same(rnn.PackedSequence(*ours), wanted)
        same(rnn.PackedSequence(ours.data, ours.batch_sizes, None, ours.unsorted_indices), wanted)
        same(rnn.pad_packed_sequence(rnn.PackedSequence(*list(ours)[:3])), theirs.pad_packed_sequence(wanted))
        same(ours._replace(data=ours.data * 2), wanted._replace(data=wanted.data * 2))


@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_lists_of_sequences_match_torch(enforce_sorted: bool) -> None:
    torch = pytest.importorskip("torch")
    arrays = [np.arange(2.0 * n).reshape(n, 2) + n for n in ((5, 3, 3) if enforce_sorted else LENGTHS)]
    ours = rnn.pack_sequence([tt.tensor(a) for a in arrays], enforce_sorted)
    same(ours, torch.nn.utils.rnn.pack_sequence([torch.tensor(a) for a in arrays], enforce_sorted))
    for found, array in zip(rnn.unpack_sequence(ours), arrays, strict=True):
        np.testing.assert_array_equal(found.numpy(), array)
    assert ours.double().data.dtype == ours.to(tt.f64).padded.dtype == tt.f64 and ours.half().data.dtype == tt.f16


def test_a_packed_batch_keeps_its_values() -> None:
    x, lengths = tt.tensor(batch(3)), tt.tensor(LENGTHS)
    packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    before = packed.data.numpy().copy()
    x.zero_()
    lengths.fill_(1)
    np.testing.assert_array_equal(packed.data.numpy(), before)


def test_gradients_go_through_data() -> None:
    """The square of each packed row, by hand; what stands behind the ends has none."""
    x = tt.tensor(batch(3), requires_grad=True)
    packed = rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
    squares = rnn.PackedSequence(packed.data**2, *list(packed)[1:])
    rnn.pad_packed_sequence(squares)[0].sum().backward()
    inside = np.arange(5)[:, None] < np.array(LENGTHS)
    np.testing.assert_allclose(x.grad.numpy(), 2 * batch(3) * inside[:, :, None])


# Layers.
def alone(model: Any, x: Array, lengths: list[int]) -> tuple[list[Array], list[Array], list[Array]]:
    """Outputs, hidden states, cell states and gradients of weights of each sequence by itself."""
    outs, hiddens, cells = [], [], []
    for i, length in enumerate(lengths):
        out, (h, c) = model(tt.tensor(x[:length, i]))
        (out**2).sum().backward()
        for found, one in zip((outs, hiddens, cells), (out, h, c), strict=True):
            found.append(one.detach().numpy())
    return outs, hiddens, cells


@pytest.mark.parametrize("backend", ["eager", "llvm"])
def test_a_packed_batch_gives_what_each_sequence_gives_alone(backend: str) -> None:
    model = tt.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2).double()
    x = batch(3)
    x[np.arange(5)[:, None] >= np.array(LENGTHS)] = np.nan  # behind the ends, nothing counts
    outs, hiddens, cells = alone(model, x, LENGTHS)
    wanted = [p.grad.numpy().copy() for p in model.parameters()]
    model.zero_grad()

    def step(x: tt.Tensor, lengths: tt.Tensor) -> Any:
        out, last = model(rnn.pack_padded_sequence(x, lengths, enforce_sorted=False))
        out, lengths = rnn.pad_packed_sequence(out, total_length=5)
        (out**2).sum().backward()
        return out, lengths, last

    run = step if backend == "eager" else tt.compile(step)
    out, lengths, (h, c) = run(tt.tensor(x), tt.tensor(LENGTHS))
    assert lengths.tolist() == LENGTHS
    for i, length in enumerate(LENGTHS):
        np.testing.assert_allclose(out.numpy()[:length, i], outs[i], rtol=1e-9)
        assert not out.numpy()[length:, i].any()
        np.testing.assert_allclose(h.numpy()[:, i], hiddens[i], rtol=1e-9)
        np.testing.assert_allclose(c.numpy()[:, i], cells[i], rtol=1e-9)
    for parameter, gradient in zip(model.parameters(), wanted, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), gradient, rtol=1e-8, atol=1e-12)


def test_the_packed_result_and_its_order_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    for lengths, enforce_sorted, first in ((LENGTHS, False, True), ([4, 4, 1], True, False)):
        theirs = torch.nn.GRU(3, 4, bidirectional=True, batch_first=first).double()
        ours = tt.GRU(3, 4, bidirectional=True, batch_first=first).double()
        ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
        x, h = batch(3, lengths=lengths, first=first), np.random.default_rng(1).normal(size=(2, len(lengths), 4))
        packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), lengths, first, enforce_sorted)
        wanted, wanted_last = theirs(packed, torch.tensor(h))
        found, last = ours(rnn.pack_padded_sequence(tt.tensor(x), lengths, first, enforce_sorted), tt.tensor(h))
        for mine, expected in zip((*found, last), (*wanted, wanted_last), strict=True):
            if expected is not None:
                np.testing.assert_allclose(mine.numpy(), expected.detach().numpy(), rtol=1e-9)


def test_dropout_is_that_of_the_padded_batch() -> None:
    x = tt.tensor(batch(3, dtype="f4"))
    model = tt.RNN(3, 8, num_layers=2, dropout=0.5, generator=tt.Generator(0))
    model.generator.manual_seed(1)
    wanted = model(x, lengths=LENGTHS)[0].numpy()
    model.generator.manual_seed(1)
    found, _ = rnn.pad_packed_sequence(model(rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False))[0])
    np.testing.assert_array_equal(found.numpy(), wanted)


# Under a trace.
def test_one_graph_serves_all_lengths_of_a_tensor() -> None:
    model = tt.GRU(3, 4, batch_first=True)
    step, x = tt.compile(lambda packed: model(packed)), tt.tensor(batch(3, first=True, dtype="f4"))
    for lengths in (LENGTHS, [5, 1, 4, 2, 2]):
        packed = rnn.pack_padded_sequence(x, lengths, True, False)
        (found, last), (wanted, wanted_last) = step(packed), model(packed)
        for mine, expected in zip((*found, last), (*wanted, wanted_last), strict=True):
            np.testing.assert_allclose(mine.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    assert sum(map(len, step._known.values())) == 1


def test_lengths_in_a_list_are_static_and_count_steps() -> None:
    """The targets of an image caption, say, against the outputs, packed alike."""

    def loss(x: tt.Tensor, target: tt.Tensor, lengths: list[int]) -> tt.Tensor:
        logits, wanted = (rnn.pack_padded_sequence(t, lengths, enforce_sorted=False) for t in (x, target))
        assert logits.batch_sizes.shape == (max(lengths),)
        return tt.nn.functional.cross_entropy(logits._replace(data=logits.data * 2)[0], wanted[0])

    x, target = tt.tensor(batch(4)), tt.tensor(np.random.default_rng(0).integers(0, 4, (5, 5)))
    compiled = tt.compile(loss)
    for lengths in (LENGTHS, [5, 4, 3, 2, 1]):
        assert compiled(x, target, lengths).item() == pytest.approx(loss(x, target, lengths).item(), rel=1e-9)


# Bad input.
X = tt.zeros(4, 3, 2)
PACKED = rnn.pack_padded_sequence(X, [3, 2, 1])


def traced(*lengths: int, then: Any = rnn.unpack_sequence, **options: Any) -> Any:
    return tt.compile(lambda x, n: then(rnn.pack_padded_sequence(x, n, **options)))(X, tt.tensor(lengths))


def padded(packed: rnn.PackedSequence) -> tt.Tensor:
    return rnn.pad_packed_sequence(packed, total_length=3)[0]


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: rnn.pack_padded_sequence(X, [1, 2, 3]), TinyTorchError, "enforce_sorted=False"),
    (lambda: rnn.pack_padded_sequence(X, [2, 1, 0]), RangeError, "between 1 and 4"),
    (lambda: rnn.pack_padded_sequence(X, [5, 1, 1]), RangeError, "between 1 and 4"),
    (lambda: rnn.pack_padded_sequence(X, [2, 1]), ShapeError, r"integers \[3\]"),
    (lambda: rnn.pack_padded_sequence(X, [2.0, 1.0, 1.0]), ShapeError, "integers"),
    (lambda: rnn.pack_padded_sequence(tt.zeros(3), [1]), ShapeError, r"\[steps, batch, …\]"),
    (lambda: rnn.pack_padded_sequence(tt.zeros(0, 3), [], batch_first=True), ShapeError, r"\[batch, steps, …\]"),
    (lambda: rnn.pack_padded_sequence(np.zeros((2, 2)), [1, 1]), TinyTorchError, "input"),
    (lambda: rnn.pack_sequence([tt.zeros(1, 2), tt.zeros(2, 2)]), TinyTorchError, "enforce_sorted=False"),
    (lambda: rnn.pad_packed_sequence(X), TinyTorchError, "sequence"),
    (lambda: rnn.pad_packed_sequence(PACKED, padding_value="0"), TinyTorchError, "padding_value"),
    (lambda: rnn.pad_packed_sequence(PACKED, total_length=2), ShapeError, "a sequence has 3 steps"),
    (lambda: rnn.PackedSequence(X, [1, 2]), ShapeError, "never rise"),
    (lambda: rnn.PackedSequence(X, [2, 1]), ShapeError, "sum to the rows"),
    (lambda: rnn.PackedSequence(X, [[4]]), ShapeError, "one axis"),
    (lambda: rnn.PackedSequence(X, [4], tt.tensor([0, 1, 2, 4])), ShapeError, "sorted_indices are a permutation"),
    (lambda: rnn.PackedSequence(X, [4], None, tt.tensor([0, 1, 2])), ShapeError, "unsorted_indices are a perm"),
    (lambda: tt.LSTM(3, 4)(PACKED), ShapeError, "LSTM: x is"),
    (lambda: tt.LSTM(2, 4)(PACKED, lengths=[3, 2, 1]), TinyTorchError, "has its lengths"),
    (lambda: tt.GRU(2, 4)(rnn.pack_padded_sequence(X[:, :, 0], [3, 2, 1])), TinyTorchError, "data"),
    (lambda: tt.GRU(2, 4)(PACKED, tt.zeros(1, 2, 4)), ShapeError, r"h_0 is a float tensor \[1, 3, 4\]"),
    (lambda: tt.GRUCell(2, 4)(PACKED), TinyTorchError, "GRUCell: got a PackedSequence"),
    (lambda: traced(3, 2, 1), TraceError, "total_length"),
    (lambda: traced(3, 2, 1, then=lambda packed: packed.data), TraceError, "as a list"),
    (lambda: traced(1, 2, 3, then=padded), IndexError, "never rise"),
    (lambda: traced(5, 2, 3, then=padded, enforce_sorted=False), IndexError, "between 1 and the steps"),
    (lambda: traced(0, 2, 3, then=padded, enforce_sorted=False), IndexError, "between 1 and the steps"),
    (lambda: traced(4, 2, 3, then=padded, enforce_sorted=False), IndexError, "reaches the longest"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors_say_what_and_where(number: int) -> None:
    run, kind, words = ERRORS[number]
    with pytest.raises(kind, match=words) as error:
        run()
    assert HERE in str(error.value)
