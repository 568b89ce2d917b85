"""Weight norm and spectral norm in both forms: values, training in eager mode, compiled and in PyTorch, copies."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.nn.utils import parametrizations, parametrize, remove_spectral_norm, remove_weight_norm

X = np.linspace(-1, 2, 40, dtype=np.float32).reshape(2, 4, 5)
W = np.cos(np.arange(60, dtype=np.float32)).reshape(5, 4, 3)
U, V = np.full(5, 5**-0.5, "f4"), np.full(12, 12**-0.5, "f4")
LENGTHS = np.sqrt((W**2).sum((1, 2), keepdims=True))
DEEP = "parametrizations.weight."
FORMS: dict[str, tuple[str, dict[str, np.ndarray]]] = {  # a function of `nn.utils`, and the state it begins with
    "weight_norm": ("weight_norm", {"weight_g": LENGTHS, "weight_v": W}),
    "spectral_norm": ("spectral_norm", {"weight_orig": W, "weight_u": U, "weight_v": V}),
    "parametrized weight_norm": (
        "parametrizations.weight_norm",
        {DEEP + "original0": LENGTHS, DEEP + "original1": W},
    ),
    "parametrized spectral_norm": (
        "parametrizations.spectral_norm",
        {DEEP + "original": W, DEEP + "0._u": U, DEEP + "0._v": V},
    ),
}
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def found(utils: Any, path: str) -> Callable[..., Any]:
    for name in path.split("."):
        utils = getattr(utils, name)
    return utils


def made(form: str, **options: Any) -> Any:
    path, state = FORMS[form]
    layer = found(nn.utils, path)(nn.Conv1d(4, 5, 3, bias=False), **options)
    layer.load_state_dict(state)
    return layer


def state_of(layer: Any) -> dict[str, np.ndarray]:
    return {name: np.array(value.detach().numpy()) for name, value in layer.state_dict().items()}


def assert_alike(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert list(one) == list(other)
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=2e-5, atol=1e-6, err_msg=name)


def trained(layer: Any, optim: Any = tt.optim, x: Any = None, compile: Any = lambda step: step) -> Any:
    """The state after three steps of two forwards each, as of a GAN's discriminator, and what it gives then."""
    optimizer = optim.SGD(layer.parameters(), lr=0.01, momentum=0.9)
    x = tt.tensor(X) if x is None else x

    @compile
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (layer(x) ** 2).mean() - layer(-2 * x + 1).mean()
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(x).item() for _ in range(3)]
    layer.eval()
    result = layer(x).detach().numpy()
    return {**state_of(layer), "losses": np.array(losses, np.float32), "result": result}


@pytest.mark.parametrize("form", FORMS)
def test_training_is_that_of_pytorch_and_of_compiled_steps(form: str) -> None:
    mine = trained(made(form))
    assert_alike(trained(made(form), compile=tt.compile), mine)
    assert not any(np.allclose(mine[name], value) for name, value in FORMS[form][1].items())
    torch = pytest.importorskip("torch")
    path, state = FORMS[form]
    theirs = found(torch.nn.utils, path)(torch.nn.Conv1d(4, 5, 3, bias=False))
    theirs.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    assert_alike(trained(theirs, torch.optim, torch.tensor(X)), mine)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
@pytest.mark.parametrize("form", FORMS)
def test_copies_compute_their_weights_of_parts_of_their_own(form: str, copied: Callable[..., Any]) -> None:
    layer = made(form)
    twin = copied(layer)
    before = state_of(layer)
    mine = trained(twin)
    assert_alike(state_of(layer), before)
    assert_alike(trained(layer), mine)


@pytest.mark.parametrize("form", FORMS)
def test_the_weight_becomes_a_parameter_again(form: str) -> None:
    layer = copy.deepcopy(made(form)).eval()
    wanted = layer(tt.tensor(X)).detach().numpy()
    if form.startswith("parametrized"):
        parametrize.remove_parametrizations(layer, "weight")
    else:
        (remove_weight_norm if form == "weight_norm" else remove_spectral_norm)(layer)
    assert list(layer.state_dict()) == ["weight"]
    assert isinstance(layer.weight, nn.Parameter)
    assert [*layer.children()] == []
    assert not layer.has_hooks
    np.testing.assert_array_equal(layer(tt.tensor(X)).detach().numpy(), wanted)
    layer.weight = nn.Parameter(tt.tensor(W))
    np.testing.assert_array_equal(layer.weight.detach().numpy(), W)


@pytest.mark.parametrize("form", [form for form in FORMS if "spectral" in form])
def test_spectral_norm_keeps_the_parameter_and_finds_the_largest_singular_value(form: str) -> None:
    layer = nn.Linear(12, 5, bias=False)
    weight = layer.weight
    found(nn.utils, FORMS[form][0])(layer)
    assert layer.parameters()[0] is weight
    layer.eval()(tt.zeros(1, 12))
    before = state_of(layer)
    for _ in range(60):
        layer.train()(tt.zeros(1, 12))
    sigma = np.linalg.svd(weight.detach().numpy(), compute_uv=False)[0]
    np.testing.assert_allclose(layer.weight.detach().numpy(), weight.detach().numpy() / sigma, rtol=1e-4)
    assert not np.array_equal([*before.values()][-1], [*state_of(layer).values()][-1])


@pytest.mark.parametrize("dim", [0, 1, -2, -1, None])
@pytest.mark.parametrize("form", ["weight_norm", "parametrized weight_norm"])
def test_lengths_along_an_axis_are_those_of_pytorch(dim: int | None, form: str) -> None:
    torch = pytest.importorskip("torch")
    pair = []
    for library, tensor in ((nn, tt.tensor), (torch.nn, torch.tensor)):
        layer = library.Conv1d(4, 5, 3, bias=False)
        layer.load_state_dict({"weight": tensor(W)})
        pair.append(found(library.utils, FORMS[form][0])(layer, "weight", dim))
    assert_alike(*map(state_of, pair))
    assert_alike(*({"": layer.weight.detach().numpy()} for layer in pair))


def test_assigning_sets_what_the_weight_is_computed_of_or_says_what_that_is() -> None:
    layer = made("parametrized weight_norm")
    layer.weight = tt.tensor(-2 * W)
    assert_alike(state_of(layer), {DEEP + "original0": 2 * LENGTHS, DEEP + "original1": -2 * W})
    with pytest.raises(tt.TinyTorchError, match="is computed of"):
        layer.weight = tt.zeros(1, 4, 3)
    for form, parts in (("weight_norm", "weight_g, weight_v"), ("spectral_norm", "weight_orig, weight_u, weight_v")):
        with pytest.raises(tt.TinyTorchError, match=f"is computed of {parts}"):
            made(form).weight = tt.tensor(W)


@pytest.mark.parametrize("form", FORMS)
def test_the_weight_of_a_compiled_layer(form: str) -> None:
    layer = nn.Conv1d(4, 5, 3, bias=False)
    compiled: Any = tt.compile(layer)
    found(nn.utils, FORMS[form][0])(compiled)
    compiled.load_state_dict(FORMS[form][1])
    wanted = made(form)(tt.tensor(X))
    np.testing.assert_allclose(compiled(tt.tensor(X)).detach().numpy(), wanted.detach().numpy(), rtol=1e-5, atol=1e-6)
    assert list(layer.state_dict()) == [*FORMS[form][1]]


def test_norms_of_norms() -> None:
    layer = parametrizations.spectral_norm(parametrizations.weight_norm(nn.Linear(12, 5)))
    sigma = np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)[0]
    assert sigma == pytest.approx(1, rel=0.02)
    assert len(layer.parameters()) == 3


def test_transposed_convolutions_and_vectors() -> None:
    layer = nn.utils.spectral_norm(nn.ConvTranspose1d(4, 5, 3))
    assert layer.get_buffer("weight_u").shape == (5,)
    vector: Any = parametrizations.spectral_norm(nn.LayerNorm(4))
    np.testing.assert_allclose(vector.weight.detach().numpy(), np.full(4, 0.5), rtol=1e-6)


def test_a_layer_whose_weight_is_computed_is_not_quantized() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.utils.weight_norm(nn.Linear(8, 8)))
    quantized = tt.quantize(model)
    assert [type(layer).__name__ for layer in quantized.children()] == ["QuantizedLinear", "Linear"]


def test_errors() -> None:
    with pytest.raises(ValueError, match="weight_norm: name is among weight, bias, got 'scale'"):
        nn.utils.weight_norm(nn.Linear(2, 3), "scale")
    with pytest.raises(ValueError, match="among weight_g, weight_v"):
        nn.utils.spectral_norm(nn.utils.weight_norm(nn.Linear(2, 3, bias=False)))
    with pytest.raises(tt.TinyTorchError, match="axis"):
        nn.utils.weight_norm(nn.Linear(2, 3), dim=2)
    with pytest.raises(ValueError, match="n_power_iterations"):
        nn.utils.spectral_norm(nn.Linear(2, 3), n_power_iterations=0)
    for remove in (remove_weight_norm, remove_spectral_norm):
        with pytest.raises(ValueError, match="such a norm"):
            remove(nn.Linear(2, 3))
