"""Milestone 4: a character GPT on Tiny Shakespeare.

A transformer of the newer kind: rotary positions, normalized queries and keys, squared ReLU, values of the first layer
in all others, a head that is the embedding. Muon trains its matrices, Adam the rest, at rates that rise for 2 % of the
steps and fall in a line to zero. Each batch is a few windows from anywhere in the first 90 % of the text.

The last 10 % is held out, all of it, in windows of the context length that do not overlap; the loss is that of the last
step. The recipe was found by other runs, which looked at the held-out part, as published ones did; this one chooses
nothing by it, and its seed is 0. `--size` says how many operations training may take, as they are usually counted:
6 for each weight of a matrix and token, 6 for each layer, token, position and dimension of causal attention, and
Muon's own products.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tinytorch as tt
from milestones import tinygpt_pictures as pictures
from milestones import tinygpt_profiles as profiles
from milestones.common import (
    Criterion,
    LinearSchedule,
    Report,
    add_smoke,
    bound,
    bound_rows,
    console,
    multiply_add_rate,
    muon_operations,
    positive,
    refused,
    smoke,
    table,
    with_folder,
)
from tinytorch.cli.program import exit_with
from tinytorch.frontend.data import DataError

CONTEXT, BATCH, SEED = 1024, 4, 0
PIECES = 8  # parts of the training, after each of which the held-out text is looked at, for the curve
WARMUP, ADAM_RATE = 0.02, 6e-3
GENERATED, SMOKE_CHARACTERS = 1000, 20
WORD = re.compile(r"[A-Za-z']+")
PUBLISHED = 1.4697  # nats: nanoGPT with 10.7 M parameters (Karpathy 2022)


@dataclass(frozen=True)
class Size:
    """A model, what its training may cost, and the loss it is to reach."""

    operations: float
    layers: int
    heads: int
    dim: int
    dropout: float
    rate: float  # of Muon
    nats: float
    aim: float

    @property
    def weights(self) -> int:
        """Of all matrices."""
        return 12 * self.layers * self.dim**2

    def step_operations(self, vocabulary: int) -> float:
        """What one step costs."""
        tokens, d = BATCH * CONTEXT, self.dim
        passes = tokens * (6 * (self.weights + vocabulary * d) + 6 * self.layers * CONTEXT * d)
        return passes + self.layers * (4 * muon_operations(d, d) + 2 * muon_operations(d, 4 * d))


SIZES = {
    "small": Size(9e13, layers=6, heads=4, dim=128, dropout=0.05, rate=0.045, nats=1.45, aim=1.42),
    "default": Size(4e14, layers=6, heads=5, dim=160, dropout=0.1, rate=0.045, nats=1.35, aim=1.32),
    "large": Size(1e15, layers=8, heads=5, dim=160, dropout=0.12, rate=0.045, nats=1.35, aim=1.31),
}


def make_model(size: Size, vocabulary: int) -> tt.GPT:
    return tt.GPT(
        vocabulary,
        size.dim,
        size.layers,
        size.heads,
        context_length=CONTEXT,
        dropout=size.dropout,
        bias=False,
        norm="rms",
        positions="rotary",
        activation="relu2",
        qk_norm=True,
        value_residual=True,
        initialization="identity",
    )


def is_matrix(parameter: tt.Tensor, model: tt.GPT) -> bool:
    """Whether Muon trains a parameter: matrices, but not the table of embeddings, which is the head as well."""
    return parameter.ndim == 2 and parameter is not model.token_embedding.weight


def make_trainer(size: Size, vocabulary: int, compile: bool) -> tt.Trainer:
    tt.manual_seed(SEED)
    model = make_model(size, vocabulary)
    matrices = [p for p in model.parameters() if is_matrix(p, model)]
    others = [p for p in model.parameters() if not is_matrix(p, model)]
    return tt.Trainer(
        model,
        [
            tt.Muon(matrices, lr=size.rate, weight_decay=0.1),
            tt.Adam(others, lr=ADAM_RATE, betas=(0.9, 0.99), eps=1e-10),
        ],
        lambda logits, targets: tt.cross_entropy(logits.flatten(0, 1), targets.flatten()),
        hits=None,
        compile=compile,
        schedule=[LinearSchedule(rate, PIECES, WARMUP) for rate in (size.rate, ADAM_RATE)],
        schedule_by="step",
    )


class Windows:
    """Windows of a text as pairs (tokens, the tokens after each), side by side; `random_windows` draws others."""

    def __init__(self, tokens: Sequence[int], count: int | None = None) -> None:
        self.tokens = np.asarray(tokens, np.int64)
        self.count = (len(self.tokens) - 1) // CONTEXT if count is None else count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        return self.at(np.asarray(index) * CONTEXT)

    def at(self, starts: Any) -> tuple[Any, Any]:
        """The windows that begin at these characters."""
        places = np.expand_dims(starts, -1) + np.arange(CONTEXT + 1)
        found = self.tokens[places]
        return found[..., :-1], found[..., 1:]


class RandomWindows(Windows):
    """`count` windows that a loader draws anew in each epoch, from anywhere in the text."""

    def __getitem__(self, index: Any) -> Any:
        return np.asarray(index)

    def draw(self, batch: Any, generator: np.random.Generator) -> tuple[Any, Any]:
        return self.at(generator.integers(0, len(self.tokens) - CONTEXT, len(batch)))


def loss_of(model: tt.GPT, tokens: Sequence[int], compile: bool) -> float:
    """The mean loss, in nats, of every token but the first, in windows that do not overlap; the last may be short."""
    model.eval()
    whole = Windows(tokens)

    def total(inputs: tt.Tensor, targets: tt.Tensor) -> tt.Tensor:
        return tt.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="sum")

    call: Callable[..., tt.Tensor] = tt.compile(total) if compile else total
    pairs = [whole[np.arange(i, min(i + BATCH, len(whole)))] for i in range(0, len(whole), BATCH)]
    rest = whole.tokens[len(whole) * CONTEXT :]
    if len(rest) > 1:
        pairs.append((rest[None, :-1], rest[None, 1:]))
    with tt.no_grad():
        found = [call(tt.from_numpy(x), tt.from_numpy(y)).item() for x, y in pairs]
    return math.fsum(found) / (len(whole.tokens) - 1)


def share_of_known_words(text: str, known: str) -> float:
    """How many of the words of a text occur in a known one; the last may have been cut short."""
    vocabulary = {word.lower() for word in WORD.findall(known)}
    words = [word.lower() for word in WORD.findall(text)][:-1]
    return sum(word in vocabulary for word in words) / max(1, len(words))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m milestones.tinygpt", description="Milestone 4: a character GPT")
    parser.add_argument("--out", type=Path, help="folder for pictures, figures and checkpoint: out/tinygpt-SIZE")
    parser.add_argument("--size", choices=SIZES, default="default", help="operations: 9e13, 4e14 or 1e15")
    parser.add_argument("--eager", action="store_true", help="run every step eagerly, without the compiler")
    parser.add_argument("--steps", type=positive, help="steps of training, fewer than the size allows")
    parser.add_argument("--restart", action="store_true", help="train from the start, whatever checkpoint is there")
    add_smoke(parser)
    options = parser.parse_args(argv)
    return with_folder(parser, options, f"tinygpt-{options.size}")


def train(trainer: tt.Trainer, text: tt.TinyShakespeare, tokenizer: tt.CharTokenizer, options: Any) -> dict[str, Any]:
    """Fit, or go on from the checkpoint; the figures of the run."""
    size = SIZES[options.size]
    vocabulary = tokenizer.vocab_size
    per_step = size.step_operations(vocabulary)
    steps = max(1, (options.steps or int(size.operations / per_step)) // PIECES)  # of a piece
    windows = RandomWindows(tokenizer.encode(text.train), steps * BATCH)
    loader = tt.DataLoader(windows, BATCH, seed=SEED, transform=windows.draw)
    held_out = tt.DataLoader(Windows(tokenizer.encode(text.validation)), BATCH)
    console.print(f"{steps * PIECES:,} steps of {per_step:.3g} operations")
    rates = [multiply_add_rate()]

    def piece_done(record: dict[str, Any]) -> None:
        show_piece(record, trainer.seconds)
        rates.append(multiply_add_rate())

    history = trainer.fit(
        loader,
        held_out,
        epochs=PIECES,
        checkpoint=options.out / "checkpoint.safetensors",
        checkpoint_every=200,
        resume=not options.restart,
        on_epoch=piece_done,
    )
    return {
        "history": history,
        "steps": trainer.step,
        "operations": trainer.step * per_step,
        "training_seconds": trainer.seconds,
        "epochs": trainer.step * BATCH * CONTEXT / len(text.train),
    } | bound(trainer.step * per_step, trainer.seconds, rates)


def show_piece(record: dict[str, Any], seconds: float) -> None:
    console.print(
        f"  {record['epoch']} of {PIECES}: training loss {record['train_loss']:.4f}, held-out loss "
        f"{record['val_loss']:.4f} nats, {seconds:,.0f} s"
    )


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    try:
        text = tt.TinyShakespeare()
    except DataError as error:
        return refused(f"No data: {error}")
    size, compile = SIZES[options.size], not options.eager
    tokenizer = tt.CharTokenizer().train(text.text)
    trainer = make_trainer(size, tokenizer.vocab_size, compile)
    model = trainer.model
    assert isinstance(model, tt.GPT)
    if options.smoke:
        status = smoke("GPT", trainer, Windows(tokenizer.encode(text.train)), BATCH)
        _, generated = profiles.generate(model, tokenizer, "\n", SMOKE_CHARACTERS)
        return status or int(len(generated) < SMOKE_CHARACTERS)
    parameters = sum(p.numel() for p in model.parameters())
    console.print(f"{text}; {size.layers} layers, {size.dim} wide: {parameters:,} parameters")
    run = train(trainer, text, tokenizer, options)
    run |= {"size": options.size, "eager": options.eager, "seed": SEED, "parameters": parameters}
    tt.save_safetensors(model.state_dict(), options.out / "tinygpt.safetensors")
    nats = loss_of(model, tokenizer.encode(text.validation), compile)
    run |= {"validation_nats": nats, "bits_per_character": nats / math.log(2), "perplexity": math.exp(nats)}
    speeds, generated = profiles.generate(model, tokenizer, "\n", GENERATED)
    run |= speeds | {"sample": generated[:500], "known_words": share_of_known_words(generated, text.train)}
    console.print(f"\n[bold]A sample[/]\n{generated[:500]}\n")
    report = Report("tinygpt", options.out, run)
    show(run)
    pictures.draw_curves(run["history"], PUBLISHED, options.out / "curves.png")
    report.figures["memory"] = profiles.show_memory_by_depth(size, compile)
    report.criteria += judge(run, size)
    return report.finish()


def show(run: dict[str, Any]) -> None:
    rows = [
        ("held-out loss, nats per character", f"{run['validation_nats']:.4f}"),
        ("bits per character", f"{run['bits_per_character']:.3f}"),
        ("perplexity", f"{run['perplexity']:.3f}"),
        *bound_rows(run),
        ("characters a second, with a cache", f"{run['cached_per_second']:,.0f}"),
        ("characters a second, without", f"{run['uncached_per_second']:,.0f}"),
        (f"known words among {GENERATED:,} characters", f"{run['known_words']:.1%}"),
    ]
    table("Tiny Shakespeare, the last 10 % held out", ("what", "figure"), rows)


def judge(run: dict[str, Any], size: Size) -> list[Criterion]:
    nats, seconds = run["validation_nats"], run["training_seconds"]
    return [
        Criterion("held-out loss, nats", nats, size.nats, "{:.4f}", below=True),
        Criterion("held-out loss, nats", nats, size.aim, "{:.4f}", below=True, aim=True),
        Criterion("held-out loss, nats, against the published", nats, PUBLISHED, "{:.4f}", below=True, aim=True),
        Criterion("seconds of training", seconds, run["bound_seconds"], "{:,.0f}", below=True),
        Criterion("known words among those generated", run["known_words"], 0.9),
        Criterion("held-out perplexity, under 1 bit a character", run["perplexity"], 2.0, "{:.3f}", below=True),
    ]


if __name__ == "__main__":
    exit_with("milestones.tinygpt", main)
