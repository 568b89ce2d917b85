"""Milestones end to end, shortened: what they write, what they say, and what their exit status means."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from milestones import cnn, mlp, perceptron, tinygpt, tinygpt_profiles, whitened
from milestones.common import Criterion, Report, bound
from tinytorch.frontend.data import ArrayDataset
from tinytorch.frontend.profiling.memory import peak_bytes

PNG = b"\x89PNG\r\n\x1a\n"


def pictures(folder):
    found = sorted(folder.glob("*.png"))
    assert all(path.read_bytes().startswith(PNG) and path.stat().st_size > 5000 for path in found)
    return [path.stem for path in found]


@pytest.fixture
def short_perceptron(monkeypatch):
    monkeypatch.setattr(perceptron, "SEEDS", range(2))
    monkeypatch.setattr(perceptron, "BATCHES", (16, 64))


@pytest.mark.parametrize("flags", [[], ["--eager"]], ids=["compiled", "eager"])
def test_the_perceptron_meets_its_criterion(tmp_path, capsys, short_perceptron, flags):
    assert perceptron.main(["--out", str(tmp_path), "--epochs", "6", *flags]) == 0
    assert pictures(tmp_path) == ["boundary", "convergence", "memory"]
    report = json.loads((tmp_path / "perceptron.json").read_text())
    (criterion,) = report["criteria"]
    assert criterion["met"] and criterion["goal"] == 0.95 and criterion["figure"] >= 0.95
    runs = report["figures"]["runs"]
    assert set(runs) == set(perceptron.VARIANTS)
    assert criterion["figure"] == min(run["accuracy"] for run in runs[perceptron.MAIN])
    assert all(len(run["history"]) == 6 for results in runs.values() for run in results)
    assert f"{criterion['figure']:.2%}" in capsys.readouterr().out.splitlines()[-1]


def test_a_criterion_that_is_not_met_is_said_and_fails(tmp_path, capsys, monkeypatch, short_perceptron):
    monkeypatch.setattr(perceptron, "RATE", 1e-6)
    assert perceptron.main(["--out", str(tmp_path), "--epochs", "1"]) == 1
    assert "NOT met" in capsys.readouterr().out.splitlines()[-1]
    assert not json.loads((tmp_path / "perceptron.json").read_text())["criteria"][0]["met"]


def test_separable_points_keep_their_distance_and_both_classes():
    for seed in range(5):
        points, labels = perceptron.separable(1000, seed)
        assert points.shape == (1000, 2) and labels.shape == (1000, 1) and 0.1 < labels.mean() < 0.9
        again, _ = perceptron.separable(1000, seed)
        np.testing.assert_array_equal(points, again)


def test_the_profile_adds_up():
    profile = perceptron.profile(1024)  # for few points, the frames of kernels are most of the arena
    assert profile.batch_bytes == 1024 * 3 * 4
    # weight, bias, their moments, rate, totals, counts
    assert profile.state == 4 * (2 + 1) * 2 + 4 + 4 * 8 + 3 * 8
    assert 0 < profile.arena < profile.graph < profile.eager
    assert profile.seconds < profile.eager_seconds


def test_an_aim_does_not_decide_the_status(tmp_path):
    report = Report("x", tmp_path)
    report.criteria.append(Criterion("a", 0.951, 0.95, strict=True))
    report.criteria.append(Criterion("b", 0.951, 0.98, aim=True))
    assert report.finish() == 0
    report.criteria.append(Criterion("c", 0.95, 0.95, strict=True))
    assert report.finish() == 1
    assert [c.met for c in report.criteria] == [True, False, False]
    assert not Criterion("d", 60.0, 60.0, below=True).met


def test_peak_bytes_sees_numpy():
    assert 8_000_000 <= peak_bytes(lambda: np.ones(10**6)) < 8_100_000


def test_without_data_the_mlp_says_so(tmp_path, capsys, monkeypatch):
    def missing(**options):
        raise mlp.DataError("MNIST: nothing found; set TINYTORCH_DATA")

    monkeypatch.setattr(mlp.tt, "MNIST", missing)
    assert mlp.main(["--out", str(tmp_path)]) == 2
    assert "set TINYTORCH_DATA" in capsys.readouterr().err


def test_without_data_the_cnn_says_so(tmp_path, capsys, monkeypatch):
    def missing(**options):
        raise cnn.DataError("CIFAR10: nothing found; set TINYTORCH_DATA")

    monkeypatch.setattr(cnn.tt, "CIFAR10", missing)
    assert cnn.main(["--out", str(tmp_path)]) == 2
    assert "set TINYTORCH_DATA" in capsys.readouterr().err


@pytest.mark.skipif(not os.environ.get("TINYTORCH_DATA"), reason="needs MNIST: set TINYTORCH_DATA")
def test_the_mlp_on_a_part_of_mnist(tmp_path, monkeypatch):
    class Part(mlp.tt.MNIST):
        """The first tenth of a set."""

        def __init__(self, **options):
            super().__init__(**options)
            self.arrays = tuple(a[: len(a) // 10] for a in self.arrays)

    monkeypatch.setattr(mlp.tt, "MNIST", Part)
    monkeypatch.setattr(mlp, "VALIDATION", 500)
    monkeypatch.setattr(mlp, "BATCHES", (32,))
    status = mlp.main(["--out", str(tmp_path), "--epochs", "3"])
    report = json.loads((tmp_path / "mlp.json").read_text())
    baseline, network = report["figures"]["runs"]
    assert network["test_accuracy"] > baseline["test_accuracy"] > 0.8
    assert report["figures"]["mistakes"] == round((1 - network["test_accuracy"]) * 1000)
    assert network["parameters"] == 784 * 256 + 256 + 256 * 10 + 10
    met = [c["met"] for c in report["criteria"] if not c["aim"]]
    assert status == (0 if all(met) else 1)
    assert pictures(tmp_path) == ["curves", "memory", "mistakes"]


def test_the_cnn_is_what_it_says():
    model = cnn.RECIPES[0].make()
    assert [type(layer).__name__ for layer in model].count("Conv2d") == 3
    trainer = cnn.make_trainer(cnn.RECIPES[0], 2, compile=False)
    decayed, others = trainer.optimizer.param_groups
    assert [p.ndim for p in decayed.params] == [4, 4, 4, 2, 2] and all(p.ndim == 1 for p in others.params)
    assert decayed["weight_decay"] > 0 == others["weight_decay"]
    inputs = 3 * np.prod(model[0].weight.shape[2:])
    assert np.std(decayed.params[0].numpy()) == pytest.approx(np.sqrt(2 / inputs), rel=0.1)


def test_waiting_is_counted():
    class Slow(cnn.tt.DataLoader):
        def __iter__(self):
            for batch in super().__iter__():
                cnn.time.sleep(0.01)
                yield batch

    loader = cnn.Timed(Slow(cnn.tt.TensorDataset(np.arange(6)), 2))
    assert len(loader) == 3
    assert [int(batch[0].numpy()[0]) for batch in loader] == [0, 2, 4]
    assert 0.03 <= loader.waited < 1


@pytest.mark.skipif(not os.environ.get("TINYTORCH_DATA"), reason="needs CIFAR-10: set TINYTORCH_DATA")
@pytest.mark.parametrize("flags", [[], ["--eager"]], ids=["compiled", "eager"])
def test_the_cnn_on_a_part_of_cifar10(tmp_path, monkeypatch, flags):
    class Part(cnn.tt.CIFAR10):
        """The first images of a set."""

        def __init__(self, train, **options):
            super().__init__(train=train, **options)
            self.images, self.labels = self.arrays = tuple(a[: 256 if train else 100] for a in self.arrays)

    recipes = tuple(
        cnn.Recipe(name, make, rate)
        for name, make, rate in (
            ("CNN", lambda: cnn.make_cnn((8, 8, 16)), 0.1),
            ("CNN, narrow", lambda: cnn.make_cnn((4, 4, 8)), 0.1),
            ("MLP", lambda: cnn.make_mlp((3072, 32, 16)), 0.1),
            ("MLP, narrow", lambda: cnn.make_mlp((3072, 4)), 0.1),
        )
    )
    monkeypatch.setattr(cnn.tt, "CIFAR10", Part)
    monkeypatch.setattr(cnn, "RECIPES", recipes)
    monkeypatch.setattr(cnn, "BATCH", 64)
    monkeypatch.setattr(cnn.profiles, "BATCHES", (4,))
    monkeypatch.setattr(cnn.profiles, "SIZES", ((3, 4, 4),))
    monkeypatch.setattr(cnn.profiles, "REPEATS", 1)
    monkeypatch.setattr(cnn.profiles, "LOADED", 2)
    status = cnn.main(["--out", str(tmp_path), "--epochs", "2", *flags])
    assert pictures(tmp_path) == ["augmentation", "confusion", "curves", "efficiency", "filters"]
    report = json.loads((tmp_path / "cnn.json").read_text())
    figures = report["figures"]
    run, narrow, mlp_run, _ = figures["runs"]
    assert "data_batch_5" in figures["held_out"] or "official" in figures["held_out"]
    assert [run["parameters"], narrow["parameters"]] == [
        9 * (3 * 8 + 8 * 8 + 8 * 16) + 2 * (8 + 8 + 16) + 16 * 16 * 16 + 2 * 16 + 170,
        9 * (3 * 4 + 4 * 4 + 4 * 8) + 2 * (4 + 4 + 8) + 16 * 8 * 8 + 2 * 8 + 90,
    ]
    assert mlp_run["parameters"] == 3072 * 32 + 2 * 32 + 32 * 16 + 2 * 16 + 170
    confusion = np.array(figures["cnn"]["confusion"])
    assert confusion.sum() == 100 and np.trace(confusion) / 100 == pytest.approx(run["test_accuracy"])
    assert run["history"][1]["train_loss"] < run["history"][0]["train_loss"]
    assert 0 < run["waited_seconds"] < run["training_seconds"] < run["fit_seconds"]
    assert ("flops_per_sample" in run) == (not flags)
    assert figures["layers"][0]["linear_parameters"] == 3072 * 8 * 1024
    assert [step["weights"] for step in figures["steps"]] == [9 * 3 * 4, 3 * 4 * 4**4]
    assert status == (0 if report["criteria"][0]["met"] else 1)
    weights = cnn.tt.load_safetensors(tmp_path / "cnn.safetensors")
    assert weights["0.weight"].shape == (8, 3, 3, 3)


def test_whitening_filters_make_patches_white():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(300, 3, 9, 9)) @ rng.normal(size=(9, 9)) + rng.normal(size=(3, 1, 1))
    filters = whitened.whitening_filters(images)
    assert filters.shape == (24, 3, 2, 2) and np.array_equal(filters[:12], -filters[12:])
    windows = np.lib.stride_tricks.sliding_window_view(images, (2, 2), axis=(2, 3))
    found = np.einsum("ncyxij,ocij->oyxn", windows, filters[:12]).reshape(12, -1)
    np.testing.assert_allclose(found @ found.T / found.shape[1], np.eye(12), atol=0.02)


def test_the_best_rate_of_a_run_bounds_its_time():
    figures = bound(operations=26.0, seconds=8.0, rates=[4.0, 10.0, 5.0])
    assert figures["limit"] == 10 and figures["bound_seconds"] == pytest.approx(4)
    assert figures["share_of_limit"] == pytest.approx(0.325) and figures["share_of_median"] == pytest.approx(0.65)


def test_filters_begin_as_identities_and_keep_their_norm():
    model = whitened.make_model((8, 16), np.zeros((4, 3, 2, 2)))
    _, first, second, *_ = [layer for layer in model if isinstance(layer, cnn.tt.Conv2d)]
    x = cnn.tt.randn(2, 4, 5, 5)
    np.testing.assert_array_equal(first(x).numpy()[:, :4], x.numpy())
    assert not np.array_equal(first(x).numpy()[:, 4:], x.numpy())
    np.testing.assert_array_equal(second(first(x)).numpy(), first(x).numpy())
    optimizers, rates = whitened.optimizers(model)
    before = first.weight.numpy().copy()
    grads = {id(p): cnn.tt.randn(*p.shape) for p in model.parameters()}
    for p in model.parameters():
        p.grad = grads[id(p)] if p.requires_grad else None
    optimizers[0].step()
    move = (before * np.sqrt(8) / np.linalg.norm(before) - first.weight.numpy()).reshape(8, -1) / rates[0]
    assert np.all(np.abs(np.linalg.svd(move, compute_uv=False) - 1) < 0.6)  # three steps of Newton-Schulz
    assert sum(len(group.params) for o in optimizers for group in o.param_groups) == 4 + 1 + 5
    assert not model[0].weight.requires_grad and optimizers[2].param_groups[0]["lr"] == whitened.BIAS_RATE


class FewImages(ArrayDataset):
    """Six images of which each row counts up from its number; no change to see batches."""

    def __init__(self):
        self.images = (np.arange(6)[:, None] * 10 + np.arange(4)).astype(np.uint8).reshape(6, 1, 1, 4)
        super().__init__(self.images, np.arange(6))


def test_each_image_is_mirrored_in_every_second_epoch():
    views = whitened.Views(FewImages(), 9)
    images, labels = (
        np.concatenate(parts) for parts in zip(*(seen_of(views, piece) for piece in range(2)), strict=True)
    )
    assert labels.shape == (18,) and all(set(labels[i : i + 6]) == set(range(6)) for i in (0, 6, 12))
    mirrored = images[:, 0, 0, 0] > images[:, 0, 0, 3]
    assert np.array_equal(np.sort(images, -1)[:, 0, 0], labels[:, None] * 10 + np.arange(4))
    by_image = np.array([mirrored[labels == label] for label in range(6)])
    assert np.array_equal(by_image[:, 0], by_image[:, 2]) and np.array_equal(by_image[:, 0], ~by_image[:, 1])
    assert 0 < by_image[:, 0].sum() < 6
    again, _ = seen_of(whitened.Views(FewImages(), 9), 1)
    assert np.array_equal(again, images[9:])


def seen_of(views, piece):
    views.piece = piece
    return views.__getitems__(np.arange(len(views)))


def test_operations_are_those_of_direct_convolutions():
    widths = whitened.BUDGETS[False].widths
    assert whitened.forward_operations(widths) == pytest.approx(130.2e6, rel=1e-3)
    model = whitened.make_model((4, 8), np.zeros((24, 3, 2, 2))).eval()
    graph = cnn.tt.compile(model, backend="interpreter")
    graph(cnn.tt.zeros(1, 3, 32, 32))
    found = sum(node.flops for node in graph.traced_graph.nodes if node.op.name == "conv2d")
    assert whitened.forward_operations((4, 8)) == found
    steps = whitened.step_operations(widths, 1000) - 3000 * whitened.forward_operations(widths)
    assert steps == sum(6 * (2 * r * r * c + r**3) for r, c in MUON_SHAPES)


MUON_SHAPES = [(48, 216), (48, 432), (160, 432), (160, 1440), (256, 1440), (256, 2304)]


@pytest.mark.skipif(not os.environ.get("TINYTORCH_DATA"), reason="needs CIFAR-10: set TINYTORCH_DATA")
def test_the_whitened_network_on_a_part_of_cifar10(tmp_path, monkeypatch, capsys):
    class Part(cnn.tt.CIFAR10):
        """The first images of a set."""

        def __init__(self, train, **options):
            super().__init__(train=train, **options)
            self.images, self.labels = self.arrays = tuple(a[: 200 if train else 60] for a in self.arrays)

    monkeypatch.setattr(cnn.tt, "CIFAR10", Part)
    monkeypatch.setattr(whitened, "BATCH", 40)
    monkeypatch.setitem(whitened.BUDGETS, True, whitened.Budget(1e9, (8, 12), plain=0.2, views=0.99))
    command = ["--recipe", "whitened", "--quick", "--steps", "16", "--out", str(tmp_path)]
    assert cnn.main(command) == 1
    assert "NOT met: held-out accuracy with six views" in capsys.readouterr().out
    assert pictures(tmp_path) == ["augmentation", "confusion", "curves", "filters"]
    figures = json.loads((tmp_path / "cnn.json").read_text())["figures"]
    assert figures["steps"] == 16 and figures["epochs"] == 16 * 40 / 200 and figures["widths"] == [8, 12]
    losses = [piece["train_loss"] for piece in figures["history"]]
    assert len(losses) == 8 and losses[-1] < losses[0] - 0.2
    assert figures["bound_seconds"] == pytest.approx(figures["operations"] / 0.65 / figures["limit"])
    confusion = np.array(figures["confusion"])
    assert np.trace(confusion) / confusion.sum() == pytest.approx(figures["accuracy_plain"])
    assert 0 <= figures["waited_share"] < 1 and figures["operations"] == 16 * whitened.step_operations((8, 12), 40)
    assert cnn.main([*command, "--eager"]) == 1  # from the checkpoint
    again = json.loads((tmp_path / "cnn.json").read_text())["figures"]
    assert again["history"] == figures["history"] and again["confusion"] == figures["confusion"]


@pytest.mark.parametrize(
    "flags", [["--quick"], ["--steps", "3"], ["--recipe", "whitened", "--epochs", "3"], ["--recipe", "other"]]
)
def test_options_of_one_recipe_are_not_those_of_the_other(tmp_path, capsys, flags):
    with pytest.raises(SystemExit):
        cnn.main(["--out", str(tmp_path), *flags])
    assert "--recipe" in capsys.readouterr().err


def test_without_data_the_gpt_says_so(tmp_path, capsys, monkeypatch):
    def missing(**options):
        raise tinygpt.DataError("TinyShakespeare: nothing found; set TINYTORCH_DATA")

    monkeypatch.setattr(tinygpt.tt, "TinyShakespeare", missing)
    assert tinygpt.main(["--out", str(tmp_path)]) == 2
    assert "set TINYTORCH_DATA" in capsys.readouterr().err


def test_windows_do_not_overlap_and_random_ones_stay_inside(monkeypatch):
    monkeypatch.setattr(tinygpt, "CONTEXT", 4)
    windows = tinygpt.Windows(range(11))
    assert len(windows) == 2
    inputs, targets = windows[np.arange(2)]
    assert inputs.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]] and targets.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    drawn = tinygpt.RandomWindows(range(11), 100)
    inputs, targets = drawn.draw(np.arange(100), np.random.default_rng(0))
    starts, last = inputs[:, 0], targets[:, -1]
    assert set(starts.tolist()) == set(range(7)) and (last == starts + 4).all()


def test_the_loss_of_a_text_counts_every_character_but_the_first(monkeypatch):
    """Three windows of four, and one of two; from the model's own probabilities, window by window."""
    monkeypatch.setattr(tinygpt, "CONTEXT", 4)
    model = tinygpt.tt.GPT(7, 8, 1, 2, context_length=4)
    tokens = np.random.default_rng(0).integers(0, 7, 15)
    found = tinygpt.loss_of(model, tokens, compile=True)
    total = 0.0
    for start in range(0, 14, 4):
        inputs, targets = tokens[start : min(start + 4, 14)], tokens[start + 1 : start + 5]
        scores = model(tinygpt.tt.Tensor(inputs[None])).detach().numpy()[0].astype(float)
        total -= sum(row[t] - np.log(np.exp(row).sum()) for row, t in zip(scores, targets, strict=True))
    np.testing.assert_allclose(found, total / 14, rtol=1e-5)


def test_known_words():
    assert tinygpt.share_of_known_words("The king's horse flies qu", "the King's horse") == 0.75


@pytest.mark.skipif(not os.environ.get("TINYTORCH_DATA"), reason="needs Shakespeare: set TINYTORCH_DATA")
@pytest.mark.parametrize("flags", [[], ["--eager"]], ids=["compiled", "eager"])
def test_a_small_gpt_on_shakespeare(tmp_path, monkeypatch, capsys, flags):
    class Part(tinygpt.tt.TinyShakespeare):
        """The first characters of each part."""

        def __init__(self):
            super().__init__()
            self.text = self.text[:4000]
            self.train, self.validation = self.text[:3500], self.text[3500:]

    small = tinygpt.Size(1e9, layers=2, heads=2, dim=16, dropout=0.1, rate=0.02, nats=9.0, aim=8.0)
    monkeypatch.setattr(tinygpt.tt, "TinyShakespeare", Part)
    monkeypatch.setattr(tinygpt, "CONTEXT", 32)
    monkeypatch.setattr(tinygpt, "GENERATED", 20)
    monkeypatch.setattr(tinygpt_profiles, "UNCACHED", 10)
    monkeypatch.setattr(tinygpt_profiles, "DEPTHS", (1, 2))
    monkeypatch.setitem(tinygpt.SIZES, "small", small)
    assert tinygpt.main(["--size", "small", "--steps", "16", "--out", str(tmp_path), *flags]) == 1
    assert "NOT met: held-out perplexity" in capsys.readouterr().out
    report = json.loads((tmp_path / "tinygpt.json").read_text())
    figures = report["figures"]
    assert figures["steps"] == 16 and figures["operations"] == 16 * small.step_operations(len(set(Part().text)))
    assert 2.0 < figures["validation_nats"] < 4.3 and figures["same_without_cache"] and len(figures["sample"]) == 20
    assert figures["validation_nats"] == pytest.approx(figures["history"][-1]["val_loss"], rel=0.05)
    assert pictures(tmp_path) == ["curves"]
    again = tinygpt.main(["--size", "small", "--steps", "16", "--out", str(tmp_path), *flags])  # from the checkpoint
    assert again == 1
    assert (
        json.loads((tmp_path / "tinygpt.json").read_text())["figures"]["validation_nats"] == figures["validation_nats"]
    )


@pytest.mark.parametrize(
    ("main", "arguments", "said"),
    [
        (perceptron.main, ["--epochs", "0"], "--epochs: a positive whole number, got '0'"),
        (tinygpt.main, ["--steps", "-5"], "--steps: a positive whole number, got '-5'"),
        (mlp.main, ["--out", f"{__file__}/x"], "--out: cannot make the folder"),
        (cnn.main, ["--out", __file__], "--out: cannot make the folder"),
    ],
)
def test_options_that_cannot_be_met_are_refused_before_any_training(main, arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and said in capsys.readouterr().err
