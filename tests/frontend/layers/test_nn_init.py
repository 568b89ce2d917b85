"""tt.nn.init and tt.nn.utils: PyTorch's names, values where they are determined, and distributions where not."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.ir.errors import TinyTorchError
from tinytorch.nn import init

NAMES = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
    "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip
UTILS = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm", "parameters_to_vector",
    "remove_spectral_norm", "remove_weight_norm", "spectral_norm", "vector_to_parameters", "weight_norm",
]  # fmt: skip


def test_names_and_arguments_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for ours, theirs, names in ((init, torch.nn.init, NAMES), (nn.utils, torch.nn.utils, UTILS)):
        for name in names:
            mine, other = (
                [(p.name, p.default) for p in inspect.signature(getattr(m, name)).parameters.values()]
                for m in (ours, theirs)
            )
            assert mine == other, name


EXACT = [
    ("eye_", (3, 5), {}),
    ("dirac_", (4, 3, 3), {}),
    ("dirac_", (6, 2, 4, 3), {"groups": 2}),
    ("dirac_", (2, 2, 1, 2, 3), {}),
    ("constant_", (2, 3), {"val": 0.3}),
    ("ones_", (2,), {}),
    ("zeros_", (2,), {}),
]


@pytest.mark.parametrize(("name", "shape", "options"), EXACT)
def test_values_that_are_determined(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    ours = tt.full(shape, 7.0).requires_grad_()
    assert getattr(init, name)(ours, **options) is ours
    wanted = getattr(torch.nn.init, name)(torch.full(shape, 7.0), **options)
    np.testing.assert_array_equal(ours.detach().numpy(), wanted.numpy())


def test_dirac_passes_channels_through() -> None:
    layer = nn.Conv2d(4, 4, 3, padding=1, bias=False, groups=2)
    init.dirac_(layer.weight, groups=2)
    x = tt.randn(1, 4, 5, 5)
    np.testing.assert_array_equal(layer(x).detach().numpy(), x.numpy())


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (3, 2, 2, 2)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    w = init.orthogonal_(tt.empty(*shape), gain=2.0).numpy().reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)


def test_truncated_normal_numbers_have_the_density_between_the_bounds() -> None:
    tt.manual_seed(0)
    for mean, std, a, b in ((0.0, 1.0, -2.0, 2.0), (1.0, 0.5, 1.2, 1.5), (0.0, 0.02, -2.0, 2.0), (0.0, 1.0, 3.0, 9.0)):
        drawn = init.trunc_normal_(tt.empty(40_000), mean, std, a, b).numpy()
        assert drawn.min() >= a and drawn.max() <= b
        x = np.linspace(a, b, 200_001)
        density = np.exp(-(((x - mean) / std) ** 2 - ((np.clip(mean, a, b) - mean) / std) ** 2) / 2)
        wanted = (x * density).sum() / density.sum()
        spread = math.sqrt(((x - wanted) ** 2 * density).sum() / density.sum())
        assert abs(drawn.mean() - wanted) < 5 * spread / 200
        assert drawn.std() == pytest.approx(spread, rel=0.03)
    assert (init.trunc_normal_(tt.empty(3), 5.0, 0.0).numpy() == 2).all()


def test_distributions() -> None:
    tt.manual_seed(1)
    drawn = init.uniform_(tt.empty(20_000), -1.0, 3.0).numpy()
    assert (drawn >= -1).all() and (drawn < 3).all() and drawn.mean() == pytest.approx(1, abs=0.05)
    drawn = init.normal_(tt.empty(20_000), mean=2.0, std=0.5).numpy()
    assert drawn.mean() == pytest.approx(2, abs=0.02) and drawn.std() == pytest.approx(0.5, rel=0.03)
    drawn = init.sparse_(tt.empty(10, 6), sparsity=0.25).numpy()
    assert ((drawn == 0).sum(0) == 3).all()
    first, second = (init.orthogonal_(tt.empty(3, 3), generator=tt.Generator(5)).numpy() for _ in range(2))
    assert (first == second).all()


def test_gains() -> None:
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    found = [init.calculate_gain(name) for name in ("linear", "conv_transpose3d", "sigmoid", "tanh", "relu", "selu")]
    assert found == [1, 1, 1, 5 / 3, math.sqrt(2), 0.75]
    assert init._calculate_fan_in_and_fan_out(tt.empty(5, 3, 2, 2)) == (12, 20)  # pyright: ignore


BAD = [
    (lambda: init.eye_(tt.empty(3)), "two axes"),
    (lambda: init.dirac_(tt.empty(3, 3)), "three, four or five"),
    (lambda: init.dirac_(tt.empty(3, 3, 3), groups=2), "2 groups"),
    (lambda: init.orthogonal_(tt.empty(3)), "at least two"),
    (lambda: init.sparse_(tt.empty(3, 3), 1.5), "sparsity"),
    (lambda: init.trunc_normal_(tt.empty(3), a=1.0, b=0.0), "a < b"),
    (lambda: init.normal_(tt.empty(3), std=-1.0), "std"),
    (lambda: init.calculate_gain("swish"), "swish"),
    (lambda: init.kaiming_uniform_(tt.empty(3, 3), mode="fan"), "fan_in"),
    (lambda: nn.utils.clip_grad_norm_(nn.Linear(1, 1), 1.0), r"model.parameters\(\)"),
    (lambda: nn.utils.clip_grad_norm_([1.0], 1.0), "a parameter is a Tensor"),
    (lambda: nn.utils.clip_grad_norm_([], 1.0, foreach=True), "foreach"),
    (lambda: nn.utils.clip_grad_value_([], -1.0), "clip_value"),
    (lambda: nn.utils.vector_to_parameters(tt.zeros(3), [tt.zeros(2)]), "2 elements"),
    (lambda: nn.utils.parameters_to_vector([]), "no parameters"),
    (lambda: nn.utils.rnn.pad_sequence([]), "no sequences"),
    (lambda: nn.utils.rnn.pad_sequence([tt.zeros(2, 3), tt.zeros(2, 4)]), "alike"),
    (lambda: nn.utils.rnn.pad_sequence([tt.zeros(2)], padding_side="top"), "padding_side"),
    (lambda: nn.utils.rnn.unpad_sequence(tt.zeros(2, 3), [1]), "3 sequences"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_arguments(make: Any, message: str) -> None:
    with pytest.raises(TinyTorchError, match=message):
        make()


# Parameters as a whole.
def parameters() -> list[tt.Tensor]:
    params = [tt.tensor([3.0, 4.0], requires_grad=True), tt.tensor([[12.0]], requires_grad=True), tt.zeros(2)]
    for p in params[:2]:
        p.grad = p.detach().clone()
    return params


@pytest.mark.parametrize(
    ("order", "norm"), [(2.0, 13.0), (1.0, 19.0), (math.inf, 12.0), (3, (27 + 64 + 1728) ** (1 / 3))]
)
def test_norms_of_all_gradients(order: float, norm: float) -> None:
    params = parameters()
    assert nn.utils.get_total_norm([p.grad for p in params[:2]], order).item() == pytest.approx(norm, rel=1e-6)
    found = nn.utils.clip_grad_norm_(params, norm / 2, norm_type=order)
    assert found.item() == pytest.approx(norm, rel=1e-6)
    np.testing.assert_allclose(params[0].grad.numpy(), [1.5, 2.0], rtol=1e-5)
    nn.utils.clip_grads_with_norm_(params, norm, found * 2)
    np.testing.assert_allclose(params[0].grad.numpy(), [0.75, 1.0], rtol=1e-5)


def test_gradients_are_clipped_by_value_also_in_a_compiled_step() -> None:
    for compiled in (False, True):
        params = parameters()

        def clip(params: list[tt.Tensor] = params) -> None:
            for p in params[:2]:
                p.grad = None
            ((params[0] * 5).sum() - params[1].sum() * 0.5).backward()
            nn.utils.clip_grad_value_(params, 1.0)

        (tt.compile(clip) if compiled else clip)()
        assert params[0].grad.tolist() == [1.0, 1.0] and params[1].grad.tolist() == [[-0.5]]


def test_parameters_as_a_vector_and_back() -> None:
    params = parameters()
    vector = nn.utils.parameters_to_vector(params)
    assert vector.tolist() == [3.0, 4.0, 12.0, 0.0, 0.0]
    (vector * tt.arange(5.0)).sum().backward()
    assert params[0].grad.tolist() == [3.0, 5.0]  # added to what was there
    nn.utils.vector_to_parameters(tt.arange(5.0), params)
    assert [p.tolist() for p in params] == [[0.0, 1.0], [[2.0]], [3.0, 4.0]] and params[0].is_leaf


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_sequences_are_padded(batch_first: bool, side: str) -> None:
    torch = pytest.importorskip("torch")
    arrays = [np.arange(n * 2, dtype=np.float32).reshape(n, 2) + 1 for n in (3, 1, 4)]
    ours = nn.utils.rnn.pad_sequence([tt.Tensor(a) for a in arrays], batch_first, -1.0, side)
    theirs = torch.nn.utils.rnn.pad_sequence([torch.tensor(a) for a in arrays], batch_first, -1.0, side)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    if side == "right":
        for sequence, array in zip(nn.utils.rnn.unpad_sequence(ours, [3, 1, 4], batch_first), arrays, strict=True):
            np.testing.assert_array_equal(sequence.numpy(), array)


def test_nothing_is_orthogonal_to_nothing() -> None:
    assert init.orthogonal_(tt.empty(0, 3)).shape == (0, 3)


# Parameters as they were at first.
LAYERS: dict[str, Any] = {
    "Linear": lambda: nn.Linear(4, 3),
    "Bilinear": lambda: nn.Bilinear(2, 3, 4),
    "Conv1d": lambda: nn.Conv1d(4, 2, 3),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(4, 2, 3),
    "Embedding": lambda: nn.Embedding(5, 4, padding_idx=1),
    "EmbeddingBag": lambda: nn.EmbeddingBag(5, 4, padding_idx=1),
    "LSTM": lambda: nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2),
    "GRUCell": lambda: nn.GRUCell(3, 4),
    "BatchNorm1d": lambda: nn.BatchNorm1d(4),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "LayerNorm": lambda: nn.LayerNorm(4),
    "RMSNorm": lambda: nn.RMSNorm(4),
    "PReLU": lambda: nn.PReLU(3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_reset_parameters_draws_as_the_first_time(name: str) -> None:
    tt.manual_seed(3)
    layer = LAYERS[name]()
    first = {key: value.numpy().copy() for key, value in layer.state_dict().items()}
    with tt.no_grad():
        for value in layer.state_dict().values():
            value.fill_(7)
    tt.manual_seed(3)
    layer.reset_parameters()
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), first[key])


def test_a_subclass_says_how_parameters_begin() -> None:
    class Small(nn.Linear):
        def reset_parameters(self) -> None:
            super().reset_parameters()
            nn.init.constant_(self.bias, 0.5)

    assert Small(2, 3).bias.tolist() == [0.5] * 3
