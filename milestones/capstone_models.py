"""The models of the capstone, read from a file or trained for a short while; with the data that judge them, calibrate
them, and train them further."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tinytorch as tt
from milestones import cnn, tinygpt
from milestones.common import LinearSchedule, console

CALIBRATION = 512  # images
CALIBRATION_WINDOWS = 4
GPT_SIZE = "small"


class WeightsError(Exception):
    """A file does not hold the weights that it should."""


@dataclass(frozen=True)
class Scale:
    """How much is trained and measured: widths of the CNN, epochs and operations of the short trainings, epochs of the
    CNN and steps of the GPT after pruning, images and windows of text that judge, rounds of the timing."""

    widths: tuple[int, int, int]
    cnn_epochs: int
    gpt_operations: float
    tune_epochs: int
    tune_steps: int
    images: int
    windows: int
    rounds: int


WHOLE = Scale((64, 128, 256), 8, 4e13, 3, 300, 10_000, 1000, 20)
QUICK = Scale((32, 64, 128), 2, 6e12, 1, 60, 2_000, 24, 9)


@dataclass
class Subject:
    """A model in fp32 and what belongs to it.

    data: whole batches (inputs, targets) that judge it; calibration: a batch of inputs; tune: trains a model of its
    kind for a while, at a share of the rate that the training began with.
    """

    name: str
    model: Any
    data: list[tuple[tt.Tensor, tt.Tensor]]
    calibration: tt.Tensor
    tune: Callable[[Any], None]


def _weights_of(file: Path) -> dict[str, Any]:
    try:
        return tt.load_safetensors(file)
    except tt.TinyTorchError as error:
        raise WeightsError(error.message) from error


# The CNN.
def cnn_subject(file: Path | None, scale: Scale, compile: bool) -> Subject:
    training, test = (tt.CIFAR10(train=t, normalize=True) for t in (True, False))
    model = _cnn_of(file) if file else _train_cnn(training, scale, compile)
    images, labels = test[: scale.images]
    size = cnn.BATCH
    data = [(images[i : i + size], labels[i : i + size]) for i in range(0, len(images) // size * size, size)]
    calibration, _ = training[:CALIBRATION]

    def tune(changed: Any) -> None:
        _fit_cnn(changed, training, scale.tune_epochs, cnn.RECIPES[0].rate / 5, compile)

    return Subject("CNN", model.eval(), data, calibration, tune)


def _cnn_of(file: Path) -> Any:
    """The CNN whose weights milestone 3 wrote; its widths are those of the weights."""
    weights = _weights_of(file)
    convolutions = {name: w for name, w in weights.items() if len(w.shape) == 4 and name.split(".")[0].isdecimal()}
    widths = [convolutions[name].shape[0] for name in sorted(convolutions, key=lambda name: int(name.split(".")[0]))]
    if not widths:
        raise WeightsError(f"{file} has no convolutions; --cnn takes cnn.safetensors of milestone 3")
    model = cnn.make_cnn(widths)
    try:
        model.load_state_dict(weights)
    except tt.TinyTorchError as error:
        raise WeightsError(f"{file} is not of the CNN of milestone 3: {error.message}") from error
    return model


def _train_cnn(training: tt.CIFAR10, scale: Scale, compile: bool) -> Any:
    name = f"CNN {'-'.join(map(str, scale.widths))}"
    recipe = cnn.Recipe(name, functools.partial(cnn.make_cnn, scale.widths), cnn.RECIPES[0].rate)
    console.print(f"\nTraining the {recipe.name} for {scale.cnn_epochs} epochs (--cnn takes weights instead)")
    trainer = cnn.make_trainer(recipe, scale.cnn_epochs, compile)
    trainer.fit(cnn.train_loader(training), epochs=scale.cnn_epochs, on_epoch=_show)
    return trainer.model


def _fit_cnn(model: Any, training: tt.CIFAR10, epochs: int, rate: float, compile: bool) -> None:
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": cnn.DECAY}, {"params": others}]
    trainer = tt.Trainer(
        model,
        tt.SGD(groups, lr=rate, momentum=0.9, nesterov=True),
        tt.CrossEntropyLoss(label_smoothing=cnn.SMOOTHING),
        compile=compile,
        schedule=LinearSchedule(rate, epochs, 0.1),
        schedule_by="step",
    )
    trainer.fit(cnn.train_loader(training), epochs=epochs, on_epoch=_show)


# The GPT.
def gpt_subject(file: Path | None, scale: Scale, compile: bool) -> Subject:
    text = tt.TinyShakespeare()
    tokenizer = tt.CharTokenizer().train(text.text)
    tokens = tokenizer.encode(text.train)
    if file:
        model = _gpt_of(file, tokenizer.vocab_size)
    else:
        model = _train_gpt(tokens, tokenizer.vocab_size, scale, compile)
    held_out = tinygpt.Windows(tokenizer.encode(text.validation))
    size = tinygpt.BATCH
    count = min(len(held_out), scale.windows) // size * size
    data = [_tensors(held_out[np.arange(i, i + size)]) for i in range(0, count, size)]
    calibration, _ = _tensors(tinygpt.Windows(tokens)[np.arange(CALIBRATION_WINDOWS)])

    def tune(changed: Any) -> None:
        rate = 1e-3
        optimizer = tt.AdamW(changed.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.01)
        _fit_gpt(changed, optimizer, LinearSchedule(rate, 1, 0.1), tokens, scale.tune_steps, compile)

    return Subject("GPT", model.eval(), data, calibration, tune)


def _tensors(pair: tuple[Any, Any]) -> tuple[tt.Tensor, tt.Tensor]:
    inputs, targets = (tt.from_numpy(np.ascontiguousarray(x)) for x in pair)
    return inputs, targets


def _gpt_of(file: Path, vocabulary: int) -> Any:
    """The GPT whose weights milestone 4 wrote, of the size that they fit."""
    weights = _weights_of(file)
    for size in tinygpt.SIZES.values():
        model = tinygpt.make_model(size, vocabulary)
        own = model.state_dict()
        if own.keys() == weights.keys() and all(own[name].shape == weights[name].shape for name in own):
            model.load_state_dict(weights)
            return model
    raise WeightsError(
        f"{file} fits none of the sizes {', '.join(tinygpt.SIZES)}; --gpt takes tinygpt.safetensors of milestone 4"
    )


def _train_gpt(tokens: Sequence[int], vocabulary: int, scale: Scale, compile: bool) -> Any:
    size = tinygpt.SIZES[GPT_SIZE]
    pieces = tinygpt.PIECES
    steps = max(1, int(scale.gpt_operations / size.step_operations(vocabulary) / pieces))  # of a piece
    console.print(f"\nTraining the {GPT_SIZE} GPT for {steps * pieces} steps (--gpt takes weights instead)")
    trainer = tinygpt.make_trainer(size, vocabulary, compile)
    trainer.fit(_loader(tokens, steps), epochs=pieces, on_epoch=_show)
    return trainer.model


def _fit_gpt(
    model: Any, optimizer: Any, schedule: LinearSchedule, tokens: Sequence[int], steps: int, compile: bool
) -> None:
    trainer = tt.Trainer(
        model,
        optimizer,
        lambda logits, targets: tt.cross_entropy(logits.flatten(0, 1), targets.flatten()),
        hits=None,
        compile=compile,
        schedule=schedule,
        schedule_by="step",
    )
    trainer.fit(_loader(tokens, steps), epochs=1, on_epoch=_show)


def _loader(tokens: Sequence[int], steps: int) -> tt.DataLoader:
    windows = tinygpt.RandomWindows(tokens, steps * tinygpt.BATCH)
    return tt.DataLoader(windows, tinygpt.BATCH, seed=tinygpt.SEED, transform=windows.draw)


def _show(record: dict[str, Any]) -> None:
    console.print(f"  epoch {record['epoch']}: training loss {record['train_loss']:.4f}")
