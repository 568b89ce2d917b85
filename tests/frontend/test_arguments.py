"""What a layer, loss, optimizer or loader is not told by a name or in a form that it knows is refused, with the user's
line; nothing is read as a number or as True that was meant otherwise."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import arguments
from tinytorch.frontend.module import Module, init
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError

HERE = "test_arguments.py:"


def parameter() -> Tensor:
    return Tensor([1.0], requires_grad=True)


def trainer(**options: Any) -> Any:
    model = tt.Linear(2, 1)
    return tt.Trainer(model, tt.SGD(model.parameters()), tt.MSELoss(), **options)


SHARED = parameter()


def trainer_with(*optimizers: Any, **options: Any) -> Any:
    return tt.Trainer(tt.Linear(2, 1), optimizers, tt.MSELoss(), **options)


# What each public class needs at least.
NEEDED: dict[str, tuple[Any, ...]] = {
    "Linear": (2, 3), "LayerNorm": (3,), "Conv1d": (2, 3, 3), "Conv2d": (2, 3, 3), "ConvTranspose1d": (2, 3, 3),
    "ConvTranspose2d": (2, 3, 3), "MaxPool1d": (2,), "MaxPool2d": (2,), "AvgPool1d": (2,), "AvgPool2d": (2,),
    "AdaptiveAvgPool1d": (2,), "AdaptiveAvgPool2d": (2,), "BatchNorm1d": (3,), "BatchNorm2d": (3,),
    "SGD": ([parameter()],), "Adam": ([parameter()],), "AdamW": ([parameter()],),
    "Muon": ([tt.zeros(2, 2).requires_grad_()],),
    "DataLoader": ([1, 2],), "TensorDataset": (np.zeros(3),), "Subset": ([1, 2], [0]),
    "RandomCrop": (4,), "Cutout": (2,), "Compose": ([],),
    "Trainer": (tt.Linear(2, 1), tt.SGD([parameter()]), tt.MSELoss()),
    "MixedPrecisionTrainer": (tt.Linear(2, 1), tt.SGD([parameter()])),
}  # fmt: skip
NOT_MADE_BY_USERS = {"Tensor", "Dataset", "Compiled", "Metrics", "Function", "Module", "Optimizer", "Identity"}
CLASSES = [
    value for value in (getattr(tt, name) for name in tt.__all__)
    if inspect.isclass(value) and not issubclass(value, Exception) and value.__name__ not in NOT_MADE_BY_USERS
]  # fmt: skip


def _users(space: Any) -> list[type]:
    return [c for n, c in vars(space).items() if n[0].isupper() and isinstance(c, type) and hasattr(c, "__module__")]


@pytest.mark.parametrize("space", [tt.nn, tt.optim, tt.optim.lr_scheduler, tt.distributions, tt.utils.data])
def test_a_constructor_names_its_class_and_its_arguments(space: Any) -> None:
    """Not a private class that has the `__init__`."""
    free = {"Any", "Identity", "Unsupported", "Dataset", "IterableDataset", "ChainDataset", "Sampler", "Distribution"}
    free |= {
        "Parameter",
        "Buffer",
        "UninitializedParameter",
        "Optimizer",
        "LRScheduler",
        "WorkerInfo",
    }  # bases, and what takes anything
    tried = 0
    for cls in _users(space):
        if cls.__name__ in free:
            continue
        first = () if space is not tt.optim else ([tt.zeros(2, 2).requires_grad_()],)
        with pytest.raises(arguments.ArgumentTypeError) as info:
            cls(*first, banana=3)
        tried += 1
        text = str(info.value)
        assert text.startswith(cls.__name__) and "banana" in text and "test_arguments.py" in text, text
        assert "its arguments are (" in text or "takes no arguments" in text, text
    assert tried >= 5


def test_the_sweep_meets_every_module_loss_and_optimizer() -> None:
    names = {cls.__name__ for cls in CLASSES}
    assert set(NEEDED) <= names
    assert {"ReLU", "GELU", "Softmax", "Dropout", "Flatten", "CrossEntropyLoss", "CosineSchedule", "MNIST"} <= names


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_unknown_keyword_arguments_are_refused(cls: type) -> None:
    needed = NEEDED.get(cls.__name__, ())
    with pytest.raises(TypeError, match=r"banana|takes no keyword arguments"):
        cls(*needed, banana=3)


def test_a_misspelt_bias_is_refused() -> None:
    with pytest.raises(TypeError, match="biass"):
        tt.Linear(2, 3, biass=False)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="banana"):
        tt.ReLU(banana=3)
    with pytest.raises(TypeError, match="GlobalAvgPool2d takes no arguments, got 7"):
        tt.GlobalAvgPool2d(7)


def test_modules_of_the_user() -> None:
    class Plain(Module):
        pass

    class Named(Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.size = size

    class Counter:
        def __init__(self, count: int = 0) -> None:
            self.count = count

    class Mixed(Module, Counter):
        def __init__(self) -> None:
            super().__init__(count=5)

    class Inherited(Module, Counter):
        pass

    with pytest.raises(TypeError, match="Plain takes no arguments, got 1, b=2"):
        Plain(1, b=2)
    with pytest.raises(TypeError, match="sise"):
        Named(sise=3)  # pyright: ignore[reportCallIssue]
    assert Plain().training and Named(size=3).size == 3 and Mixed().count == 5 and Inherited().count == 0


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    # Layers.
    "a bool for a size": (lambda: tt.Linear(True, 3), "Linear: in_features is a positive integer, got True"),
    "a float for a size": (lambda: tt.Linear(2, 3.0), r"Linear: out_features is a positive integer, got 3\.0"),  # pyright: ignore[reportArgumentType]
    "a negative size": (lambda: tt.Linear(2, -3), "out_features is a positive integer, got -3"),
    "an array for a size": (lambda: tt.Linear(np.zeros(2, int), 3), "in_features is a positive integer"),  # pyright: ignore[reportArgumentType]
    "a word for bias": (lambda: tt.Linear(2, 3, "no"), "Linear: bias is True or False, got 'no'"),  # pyright: ignore[reportArgumentType]
    "an initialization": (lambda: tt.Linear(2, 3, initialization="ones"), '"default", "xavier" or "he", got \'ones\''),
    "True for a word": (lambda: tt.Linear(2, 3, initialization=True), "initialization is .*, got True"),  # pyright: ignore[reportArgumentType]
    "a seed for a generator": (lambda: tt.Linear(2, 3, generator=7), "generator is a Generator or None, got 7"),  # pyright: ignore[reportArgumentType]
    "p above 1": (lambda: tt.Dropout(1.5), r"Dropout: p is a probability, got 1\.5"),
    "p of True": (lambda: tt.Dropout(True), "Dropout: p is a probability, got True"),
    "p of NaN": (lambda: tt.Dropout(float("nan")), "Dropout: p is a probability, got nan"),
    "no p": (lambda: tt.Dropout(None), "Dropout: p is a probability, got None"),  # pyright: ignore[reportArgumentType]
    "a shape to normalise": (lambda: tt.LayerNorm(2.5), r"normalized_shape is a positive integer, got 2\.5"),  # pyright: ignore[reportArgumentType]
    "no shape to normalise": (lambda: tt.LayerNorm(()), "LayerNorm: normalized_shape is one or more sizes"),
    "eps below 0": (lambda: tt.LayerNorm(3, -1e-5), "LayerNorm: eps is a number that is not negative"),
    "a switch of 1": (lambda: tt.LayerNorm(3, elementwise_affine=1), "elementwise_affine is True or False, got 1"),  # pyright: ignore[reportArgumentType]
    "an axis by name": (lambda: tt.Softmax("rows"), "Softmax: dim is an integer, got 'rows'"),  # pyright: ignore[reportArgumentType]
    "no axis": (lambda: tt.LogSoftmax(None), "LogSoftmax: dim is an integer, got None"),  # pyright: ignore[reportArgumentType]
    "an axis of True": (lambda: tt.Flatten(True), "Flatten: start_dim is an integer, got True"),
    "approximate": (lambda: tt.GELU(True), 'GELU: approximate is "none" or "tanh", got True'),  # pyright: ignore[reportArgumentType]
    "approximate by another name": (lambda: tt.GELU("erf"), 'approximate is "none" or "tanh"'),
    # Initialisation.
    "mode": (lambda: init.kaiming_normal_(tt.zeros(2, 2), mode="fan_both"), '"fan_in" or "fan_out", got \'fan_both\''),
    "gain": (lambda: init.xavier_uniform_(tt.zeros(2, 2), "tanh"), "gain is a finite number, got 'tanh'"),  # pyright: ignore[reportArgumentType]
    "slope": (lambda: init.kaiming_uniform_(tt.zeros(2, 2), True), "slope is a finite number, got True"),
    "nonlinearity": (lambda: init.calculate_gain(["relu"]), "is not one of"),  # pyright: ignore[reportArgumentType]
    # Training.
    "accumulate": (lambda: trainer(accumulate=2.0), r"Trainer: accumulate is a positive integer, got 2\.0"),
    "accumulate nothing": (lambda: trainer(accumulate=0), "accumulate is a positive integer, got 0"),
    "compile": (lambda: trainer(compile="llvm"), "Trainer: compile is True or False, got 'llvm'"),
    "max_norm": (lambda: trainer(max_norm=-1.0), "max_norm is a number that is not negative"),
    "max_norm of True": (lambda: trainer(max_norm=True), "max_norm is a number that is not negative, got True"),
    "schedule": (lambda: trainer(schedule=0.1), r"schedule is an object with get_lr\(epoch\), or None, got 0\.1"),
    "schedule_by": (lambda: trainer(schedule_by="batch"), 'schedule_by is "epoch" or "step", got \'batch\''),
    "early_stopping": (lambda: trainer(early_stopping=3), "early_stopping is an EarlyStopping or None, got 3"),
    "hits": (lambda: trainer(hits=0.5), r"hits is a function or None, got 0\.5"),
    "progress": (lambda: trainer(progress="bar"), "progress is True or False, got 'bar'"),
    "loss_fn": (lambda: tt.Trainer(tt.Linear(2, 1), tt.SGD([parameter()]), "mse"), "loss_fn is a function, got 'mse'"),  # pyright: ignore[reportArgumentType]
    "optimizer": (lambda: tt.Trainer(tt.Linear(2, 1), 0.1, tt.MSELoss()), r"optimizer is an Optimizer, got 0\.1"),  # pyright: ignore[reportArgumentType]
    "optimizers": (lambda: trainer_with(tt.SGD([parameter()]), None), "optimizer is an Optimizer, got None"),
    "no optimizers": (lambda: tt.Trainer(tt.Linear(2, 1), [], tt.MSELoss()), r"optimizer is an Optimizer, got \[\]"),
    "a shared parameter": (lambda: trainer_with(*[tt.SGD([SHARED])] * 2), "a parameter is in more than one optimizer"),
    "one schedule for two": (lambda: trainer_with(*(tt.SGD([parameter()]) for _ in "ab"), schedule=tt.CosineSchedule()),
                             r"schedule is a list of 2, one for each optimizer \(None where the rate stays\)"),
    "two schedules for one": (lambda: trainer(schedule=[None, None]), r"a list of 1.*got \[None, None\]"),
    "a schedule in a list": (lambda: trainer(schedule=[0.1]), r"schedule is an object with get_lr\(epoch\)"),
    "epochs": (lambda: trainer().fit([], epochs=1.5), r"fit: epochs is an integer that is not negative, got 1\.5"),
    "checkpoint_every": (lambda: trainer().fit([], checkpoint_every=True), "checkpoint_every is an integer"),
    "clipping": (lambda: tt.clip_grad_norm([parameter()], "1"), "max_norm is a number that is not negative, got '1'"),  # pyright: ignore[reportArgumentType]
    "norm_type": (lambda: tt.clip_grad_norm([parameter()], 1.0, 0.0), "norm_type is a positive number, got 0"),
    "a rate": (lambda: tt.CosineSchedule("0.1"), "CosineSchedule: max_lr is a number that is not negative, got '0.1'"),  # pyright: ignore[reportArgumentType]
    "patience": (lambda: tt.EarlyStopping(2.5), r"EarlyStopping: patience is a positive integer, got 2\.5"),  # pyright: ignore[reportArgumentType]
    "monitor": (lambda: tt.EarlyStopping(monitor="val"), 'monitor is "loss" or "accuracy", got \'val\''),
    # Data.
    "batch_size of True": (lambda: tt.DataLoader([1], True), "DataLoader: batch_size must be an int, got True"),
    "shuffle": (lambda: tt.DataLoader([1], 1, "no"), "DataLoader: shuffle is True or False, got 'no'"),  # pyright: ignore[reportArgumentType]
    "shuffle by a seed": (lambda: tt.DataLoader([1], 1, 42), "shuffle is True or False, got 42"),  # pyright: ignore[reportArgumentType]
    "drop_last": (lambda: tt.DataLoader([1], drop_last=1), "drop_last is True or False, got 1"),  # pyright: ignore[reportArgumentType]
    "transform": (lambda: tt.DataLoader([1], transform="flip"), "transform is a function or None, got 'flip'"),  # pyright: ignore[reportArgumentType]
    "a split": (lambda: tt.MNIST("/nowhere", "test"), "MNIST: train is True or False, got 'test'"),  # pyright: ignore[reportArgumentType]
    "another split": (lambda: tt.CIFAR10(train=0), "CIFAR10: train is True or False, got 0"),  # pyright: ignore[reportArgumentType]
    "a padding mode": (lambda: tt.RandomCrop(4, padding_mode="zeros"), "padding_mode is one of"),  # pyright: ignore[reportArgumentType]
    "a crop of True": (lambda: tt.RandomCrop(True), "size is an int or a pair of ints"),
    "a flip of True": (lambda: tt.RandomHorizontalFlip(True), "p is a number, got True"),
    "lengths": (lambda: tt.random_split([1, 2], ["1", 1]), "lengths are ints or fractions"),  # pyright: ignore[reportArgumentType]
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_wrong_values_are_refused_with_the_line(case: str) -> None:
    function, message = BAD[case]
    with pytest.raises(TinyTorchError, match=message) as error:
        function()
    assert HERE in str(error.value)


def test_wrong_kinds_are_type_errors_and_wrong_values_value_errors() -> None:
    with pytest.raises(TypeError):
        tt.Linear(2.0, 3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="positive"):
        tt.Linear(0, 3)


def test_numpy_numbers_are_numbers() -> None:
    assert tt.Linear(np.int64(2), np.int32(3)).weight.shape == (3, 2)  # pyright: ignore[reportArgumentType]
    assert tt.Dropout(np.float32(0.5)).p == 0.5 and tt.Dropout(0).p == 0 and tt.Dropout(1).p == 1  # pyright: ignore[reportArgumentType]
    assert arguments.flag("f", "x", np.True_) is True
    assert type(tt.Linear(np.int64(2), 3).in_features) is int  # pyright: ignore[reportArgumentType]
