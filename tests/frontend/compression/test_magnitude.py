"""Pruning by magnitude: which weights go, that they stay away, and what is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn, optim


def mlp(seed: int = 0) -> nn.Sequential:
    tt.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))


def batch(seed: int = 1) -> tuple[tt.Tensor, tt.Tensor]:
    rng = np.random.default_rng(seed)
    return tt.tensor(rng.standard_normal((8, 12), dtype=np.float32)), tt.tensor(rng.integers(0, 4, 8))


def zeros(model: nn.Module) -> list[np.ndarray]:
    return [p.numpy() == 0 for p in model.parameters() if p.ndim > 1]


def hold(model: nn.Module, known: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(zeros(model), known, strict=True))


def filled(*rows: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = np.array(rows, np.float32)
    return layer


# Which weights go.
def test_the_smallest_of_all_weights_go_or_those_of_each_layer() -> None:
    def model() -> nn.Sequential:
        return nn.Sequential(filled([1, -5], [6, 2]), filled([-10, 9], [8, 3]))

    together = tt.magnitude_prune(model(), 0.5)
    assert [p.numpy().tolist() for p in together.parameters()] == [[[0, 0], [6, 0]], [[-10, 9], [8, 0]]]
    apart = tt.magnitude_prune(model(), 0.5, per_layer=True)
    assert [p.numpy().tolist() for p in apart.parameters()] == [[[0, -5], [6, 0]], [[-10, 9], [0, 0]]]


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.1, 1), (0.37, 4), (0.5, 6), (0.9, 11)])
def test_the_number_of_zeros_is_exact_also_of_equal_weights(share: float, count: int) -> None:
    layer = filled(*[[1.0] * 4] * 3)
    tt.magnitude_prune(layer, share)
    assert (layer.weight.numpy() == 0).sum() == count == round(float(tt.measure_sparsity(layer)) * 12)


def test_a_layer_of_small_weights_keeps_its_largest() -> None:
    model = nn.Sequential(filled([9, 8], [7, 6]), filled([1e-3, -2e-3], [0, 0]))
    tt.magnitude_prune(model, 0.5)
    assert [p.numpy().tolist() for p in model.parameters()] == [[[9, 8], [7, 0]], [[0, np.float32(-2e-3)], [0, 0]]]
    for options in ({}, {"per_layer": True}, {"block": (2, 1)}):
        model = mlp()
        tt.magnitude_prune(model, 0.999, **options)
        assert all(p.numpy().any() for p in model.parameters() if p.ndim == 2)
    zero = filled([0.0, 0.0])
    tt.magnitude_prune(zero, 0.5)
    assert zero.state_dict()["weight_mask"].numpy().tolist() == [[True, False]]


def test_biases_norms_and_embeddings_are_kept_and_shared_weights_are_pruned_once() -> None:
    tt.manual_seed(0)
    gpt = tt.GPT(11, 8, 1, 2, context_length=4)
    tt.magnitude_prune(gpt, 0.5)
    pruned = {n for n, p in gpt.named_parameters() if (p.numpy() == 0).any() and p.ndim > 1}
    layers = {"attention.query", "attention.key", "attention.value", "attention.output", "feed_forward.up"}
    assert pruned == {f"blocks.0.{layer}.weight" for layer in {*layers, "feed_forward.down"}}
    shared = nn.Linear(4, 4, bias=False)
    model = nn.Sequential(shared, shared, nn.BatchNorm1d(4), nn.LayerNorm(4))
    tt.magnitude_prune(model, 0.5)
    assert list(tt.measure_sparsity(model).parameters) == ["0.weight", "2.weight", "2.bias", "3.weight", "3.bias"]
    assert (shared.weight.numpy() == 0).sum() == 8 and (model[2].weight.numpy() == 1).all()


def test_parameters_can_be_named_and_left_out() -> None:
    model = mlp()
    tt.magnitude_prune(model, 0.5, exclude=["2.weight"])
    assert float(tt.measure_sparsity(model)) == 96 / 256 and model[2].weight.numpy().all()
    tt.magnitude_prune(model, 0.5, parameters=["2.bias"])
    assert (model[2].bias.numpy() == 0).sum() == 2


def test_more_is_pruned_step_by_step_and_what_is_pruned_stays_so() -> None:
    model = mlp()
    tt.magnitude_prune(model, 0.5)
    first = zeros(model)
    with tt.no_grad():
        model[0].weight[0] = 1e-3 * model[0].weight.abs().amax()  # what was pruned is set again, and is pruned again
    tt.magnitude_prune(model, 0.75)
    assert all((b | ~a).all() for a, b in zip(first, zeros(model), strict=True))
    assert float(tt.measure_sparsity(model)) == 0.75
    tt.magnitude_prune(model, 0.1)
    assert float(tt.measure_sparsity(model)) == 0.75


def test_blocks_go_as_a_whole_and_are_smaller_at_the_edges() -> None:
    layer = filled([1, 1, 9, 9, 2], [1, 1, 9, 9, 2], [5, 5, 3, 3, 8])
    tt.magnitude_prune(layer, 0.6, block=(2, 2))  # room for 9 of 15: means square 1, 4 (2 weights), 9 (2 weights)
    assert layer.weight.numpy().tolist() == [[0, 0, 9, 9, 0], [0, 0, 9, 9, 0], [5, 5, 0, 0, 8]]
    conv = nn.Conv2d(3, 8, 3)
    tt.magnitude_prune(conv, 0.75, block=(4, 1))
    groups = (conv.weight.numpy() == 0).reshape(2, 4, 27)
    assert (groups.all(1) == groups.any(1)).all() and float(tt.measure_sparsity(conv)) == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_n_of_m_keeps_the_largest_of_each_group(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = int(rng.integers(2, 6))
    n = int(rng.integers(1, m + 1))
    rows, columns = int(rng.integers(1, 5)), int(rng.integers(m, 14))
    weight = rng.standard_normal((rows, columns)).astype(np.float32)
    layer = filled(*weight.tolist())
    tt.prune_n_of_m(layer, n, m)
    for row, found in zip(weight, layer.weight.numpy(), strict=True):
        for at in range(0, columns, m):
            largest = sorted(map(abs, row[at : at + m]))[-n:]
            assert sorted(abs(x) for x in found[at : at + m] if x) == pytest.approx(largest)


def test_two_of_four_run_along_the_inputs() -> None:
    layer = filled([1, -2, 3, 4, 4, 3, 2, 1], [1, 1, 1, 1, 0, 5, 0, 6])
    tt.prune_n_of_m(layer)
    assert layer.weight.numpy().tolist() == [[0, 0, 3, 4, 4, 3, 0, 0], [0, 0, 1, 1, 0, 5, 0, 6]]
    conv, transposed = nn.Conv2d(8, 4, 3), nn.ConvTranspose2d(8, 4, 3)
    for layer, axis in ((conv, 1), (transposed, 0)):
        tt.prune_n_of_m(layer)
        kept = np.moveaxis(layer.weight.numpy() != 0, axis, -1).reshape(-1, 2, 4)
        assert (kept.sum(-1) == 2).all()


# Training.
MAKERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "adam": lambda p: optim.Adam(p, lr=0.05, weight_decay=0.1),
    "adamw": lambda p: optim.AdamW(p, lr=0.05, weight_decay=0.5),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.05, momentum=0.5),
    "muon": lambda p: optim.Muon([x for x in p if x.ndim == 2], lr=0.05),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", MAKERS)
def test_zeros_stay_through_training(name: str, compiled: bool) -> None:
    """Also where moments of the steps before pruning would move them, and where the step was compiled before."""
    model, (x, y) = mlp(), batch()
    optimizer = MAKERS[name](list(model.parameters()))

    def step(x: tt.Tensor, y: tt.Tensor) -> tt.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = tt.compile(step) if compiled else step
    for _ in range(2):
        run(x, y)
    tt.magnitude_prune(model, 0.75)
    known, before = zeros(model), model[0].weight.numpy().copy()
    for _ in range(3):
        run(x, y)
    assert hold(model, known) and float(tt.measure_sparsity(model)) == 0.75
    assert np.abs(model[0].weight.numpy() - before).max() > 1e-3
    tt.magnitude_prune(model, 0.875)
    known = zeros(model)
    run(x, y)
    assert hold(model, known) and float(tt.measure_sparsity(model)) == 0.875
    tt.remove_masks(model)
    run(x, y)
    assert float(tt.measure_sparsity(model)) < 0.5


def test_zeros_stay_with_lbfgs_and_with_updates_by_hand() -> None:
    model, (x, y) = mlp(), batch()
    tt.magnitude_prune(model, 0.75)
    known = zeros(model)
    optimizer = optim.LBFGS(model.parameters(), max_iter=4)

    def closure() -> tt.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert hold(model, known)
    closure()
    assert all((p.grad.numpy()[k] == 0).all() for p, k in zip([model[0].weight, model[2].weight], known, strict=True))
    with tt.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
    assert hold(model, known)


def test_eager_and_compiled_steps_of_a_pruned_model_agree() -> None:
    finals: list[np.ndarray] = []
    for wrap in (lambda f: f, tt.compile, lambda f: tt.compile(f, backend="interpreter")):
        model, (x, y) = tt.magnitude_prune(mlp(), 0.6), batch()
        optimizer = optim.AdamW(model.parameters(), lr=0.01)

        def step(x: tt.Tensor, y: tt.Tensor, model=model, optimizer=optimizer) -> None:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            tt.clip_grad_norm(model.parameters(), 0.5)
            optimizer.step()

        run = wrap(step)
        for _ in range(4):
            run(x, y)
        finals.append(model[0].weight.numpy().copy())
    np.testing.assert_allclose(finals[1], finals[0], atol=1e-6)
    np.testing.assert_allclose(finals[2], finals[0], atol=1e-6)


def loader() -> tt.DataLoader:
    x, _ = batch(2)
    x = tt.tensor(np.tile(x.numpy(), (4, 1)))
    return tt.DataLoader(tt.TensorDataset(x, tt.arange(32) % 4), batch_size=8)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_trainer_prunes_step_by_step_and_goes_on_where_it_was(tmp_path, accumulate: int) -> None:
    def run(epochs: int, path: str | None = None) -> tuple[nn.Module, list[float]]:
        model = mlp()
        trainer = tt.Trainer(
            model, optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), accumulate=accumulate, progress=False
        )
        gradual, seen = tt.GradualPruning(model, 0.8, begin=1, end=3), []
        trainer.fit(
            loader(),
            epochs=epochs,
            checkpoint=path,
            before_epoch=gradual,
            on_epoch=lambda record: seen.append(round(float(tt.measure_sparsity(model)), 2)),
        )
        return model, seen

    whole, seen = run(4)
    assert seen == [0.0, 0.0, 0.7, 0.8]  # 0.8 (1 - 0.5³)
    _, first = run(3, str(tmp_path / "a"))
    resumed, last = run(4, str(tmp_path / "a"))
    assert first + last == seen
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert np.array_equal(a.numpy(), b.numpy())


def test_the_schedule_is_that_of_its_formula() -> None:
    gradual = tt.GradualPruning(mlp(), 0.9, begin=2, end=6, start=0.1)
    assert [round(gradual.sparsity_at(e), 4) for e in (0, 2, 3, 4, 6, 9)] == [0, 0.1, 0.5625, 0.8, 0.9, 0.9]


# Saving and copying.
def test_masks_are_part_of_the_state(tmp_path) -> None:
    model = tt.magnitude_prune(mlp(), 0.75)
    assert [*model.state_dict()][-2:] == ["0.weight_mask", "2.weight_mask"]
    tt.save(model.state_dict(), tmp_path / "a")
    fresh, (x, y) = mlp(7), batch()
    fresh.load_state_dict(tt.load(tmp_path / "a"))
    for twin in (fresh, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        known = zeros(twin)
        optimizer = optim.Adam(twin.parameters(), lr=0.1)
        nn.functional.cross_entropy(twin(x), y).backward()
        optimizer.step()
        assert hold(twin, known) and hold(model, known) and float(tt.measure_sparsity(twin)) == 0.75


def test_the_initial_weights_come_back_under_the_mask() -> None:
    model = mlp()
    start = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    tt.magnitude_prune(model, 0.5)
    known = zeros(model)
    model.load_state_dict(start)
    assert hold(model, known)
    assert np.array_equal(model[0].weight.numpy(), np.where(known[0], 0, start["0.weight"]))


def test_masks_that_do_not_fit_are_refused() -> None:
    model = mlp()
    for mask in (np.ones((16, 12), np.float32), np.ones((12, 16), np.bool_)):
        with pytest.raises(tt.TinyTorchError, match=r"mask of 0\.weight is bool"):
            model.load_state_dict({**model.state_dict(), "0.weight_mask": mask})
    with pytest.raises(tt.TinyTorchError, match=r"unexpected: 3\.weight_mask"):
        model.load_state_dict({**model.state_dict(), "3.weight_mask": np.ones(1, np.bool_)})


# Measuring.
def test_sparsity_is_a_number_with_counts() -> None:
    model = nn.Sequential(filled([0.0, -0.0, 1.0], [2.0, 0.0, 3.0]), nn.Linear(2, 1))
    found = tt.measure_sparsity(model)
    assert isinstance(found, float) and found == 3 / 8
    assert found.parameters["0.weight"].zeros == 3 and found.parameters["1.bias"].elements == 1
    assert found.overall == 3 / 9 and "37.50%" in str(found)
    model.register_buffer("weight_int8", tt.tensor(np.eye(2), dtype=tt.int8))
    assert tt.measure_sparsity(model) == 5 / 12
    assert tt.measure_sparsity(nn.ReLU()) == 0 and tt.measure_sparsity(nn.BatchNorm2d(3)) == 0


# Bad input.
@pytest.mark.parametrize("share", [1, 1.0, -0.1, float("nan"), float("inf"), True, "half", None])
def test_a_sparsity_is_at_least_0_and_below_1(share: object) -> None:
    with pytest.raises(tt.TinyTorchError, match="sparsity is a number of at least 0 and below 1"):
        tt.magnitude_prune(mlp(), share)


@pytest.mark.parametrize(
    ("prune", "message"),
    [
        (lambda m: tt.magnitude_prune(m, parameters=["0.wait"]), "parameters is among 0.weight, 0.bias, .*0.wait"),
        (lambda m: tt.magnitude_prune(m, exclude="0.weight"), "exclude is a list of names"),
        (lambda m: tt.magnitude_prune(m, parameters=["0.weight"], exclude=["0.weight"]), "has no weights to prune"),
        (lambda m: tt.magnitude_prune(m, block=4), "block is a pair"),
        (lambda m: tt.magnitude_prune(m, block=(0, 4)), "block is a positive integer"),
        (lambda m: tt.magnitude_prune([m]), "model is a Module"),
        (lambda m: tt.prune_n_of_m(m, 5, 4), "n is at most m"),
        (lambda m: tt.prune_n_of_m(m, 0, 4), "n is a positive integer"),
        (lambda m: tt.prune_n_of_m(m, parameters=["0.bias"]), "no axis of inputs"),
        (lambda m: tt.remove_masks(m, ["wait"]), "parameters is among"),
        (lambda m: tt.measure_sparsity(m.parameters()), "model is a Module"),
        (lambda m: tt.GradualPruning(m, 0.5, start=0.6, end=3), "start is at most"),
        (lambda m: tt.GradualPruning(m, 0.5, begin=4, end=3), "end is an integer of at least 4"),
        (lambda m: tt.magnitude_prune(nn.BatchNorm1d(3)), "BatchNorm1d has no weights"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(prune, message: str) -> None:
    model = mlp()
    with pytest.raises(tt.TinyTorchError, match=message):
        prune(model)
    assert tt.measure_sparsity(model) == 0 and not [name for name in model.state_dict() if "mask" in name]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    model = mlp()
    model[2].weight.numpy()[1, 2] = value
    for prune in (tt.magnitude_prune, tt.prune_n_of_m):
        with pytest.raises(tt.TinyTorchError, match=r"2\.weight has weights that are NaN or infinite"):
            prune(model)


def test_pruning_is_no_part_of_a_compiled_function() -> None:
    model = mlp()
    with pytest.raises(tt.TraceError, match="cannot prune"):
        tt.compile(lambda x: tt.magnitude_prune(model, 0.5)(x))(batch()[0])


# Against PyTorch.
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_masks_are_those_of_pytorch(share: float) -> None:
    torch = pytest.importorskip("torch")
    from torch.nn.utils import prune

    for per_layer in (False, True):
        model = mlp()
        theirs = torch.nn.Sequential(torch.nn.Linear(12, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
        theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in model.state_dict().items()})
        tt.magnitude_prune(model, share, per_layer=per_layer)
        if per_layer:
            for layer in (theirs[0], theirs[2]):
                prune.l1_unstructured(layer, "weight", share)
        else:
            pairs = [(theirs[0], "weight"), (theirs[2], "weight")]
            prune.global_unstructured(pairs, prune.L1Unstructured, amount=share)
        for ours, other in ((model[0], theirs[0]), (model[2], theirs[2])):
            assert np.array_equal(ours.weight.numpy(), other.weight.detach().numpy())
