"""Generating text: prompts, checked; steps that make a token for each row, compiled; the loop around them."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias, cast

import numpy as np

from tinytorch.compile import compile as compiled
from tinytorch.frontend import arguments
from tinytorch.frontend.attention.layers import Cache
from tinytorch.frontend.functions.basic import cat, where
from tinytorch.frontend.functions.creation import arange
from tinytorch.frontend.functions.random import Generator, default_generator, rand
from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.transformers.sampling import draw, most_probable
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array

_NAME = "generate"
_LEAST_WINDOW = 16
_LISTS = (list, tuple, Tensor, np.ndarray)  # what a row of tokens may be


class Steps:
    """The compiled steps of a model: those without a cache, and those of the cache that was used last."""

    def __init__(self) -> None:
        self._cache: Cache | None = None
        self._without: dict[Any, Any] = {}
        self._with: dict[Any, Any] = {}

    def get(self, cache: Cache | None, key: Any, make: Callable[[], Callable[..., Tensor]]) -> Callable[..., Tensor]:
        """The step of that key, made if it is new."""
        if cache is not None and cache is not self._cache:
            self._cache, self._with = cache, {}
        known = self._without if cache is None else self._with
        if key not in known:
            known[key] = compiled(make())
        return known[key]


class Model(Protocol):
    """What a language model offers to generation."""

    vocab_size: int
    context_length: int
    steps: Steps

    def hidden(self, indices: Tensor, cache: Cache | None = None) -> Tensor: ...
    def logits(self, hidden: Tensor) -> Tensor: ...


Kinds: TypeAlias = tuple[bool, bool, bool]  # greedy, top-k, top-p: what a step is compiled for


class Settings:
    """How tokens are chosen, and what is done with them."""

    def __init__(
        self,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        stop: int | Sequence[int],
        callback: Callable[..., Any] | None,
    ) -> None:
        temperature = float(arguments.not_negative(_NAME, "temperature", temperature))
        k = None if top_k is None else arguments.integer(_NAME, "top_k", top_k, 1)
        p = 1.0 if top_p is None else float(arguments.fraction(_NAME, "top_p", top_p))
        given: Any = [stop] if isinstance(stop, (int, np.integer)) else stop
        if isinstance(given, (str, bytes)) or not isinstance(given, abc.Iterable):
            raise arguments.wrong_type(_NAME, "stop", "a token or a list of tokens", stop)
        self.stop = frozenset(arguments.integer(_NAME, "a token of stop", token) for token in given)
        arguments.function(_NAME, "callback", callback, optional=True)
        self.callback = callback
        self.greedy = temperature == 0 or k == 1
        self.kinds: Kinds = (self.greedy, k is not None, p < 1)
        self.numbers = Tensor(np.array([temperature, k or 0, p], np.float32))


def generate(
    model: Any,
    prompt: Any,
    max_length: int,
    settings: Settings,
    seed: int | None,
    generator: Generator | None,
    cache: Cache | None,
) -> Any:
    """See `GPT.generate`."""
    rows, single = _prompts(prompt, model)
    max_length = arguments.integer(_NAME, "max_length", max_length, 1)
    longest = max(map(len, rows))
    if longest > max_length:
        raise TinyTorchError(
            f"{_NAME}: a prompt of {longest} tokens is longer than max_length {max_length}", user_loc()
        )
    if cache is not None and max_length > min(cache.max_seq_len, model.context_length):
        raise TinyTorchError(
            f"{_NAME}: max_length {max_length} is more than the cache's {cache.max_seq_len} or the model's "
            f"{model.context_length} tokens",
            user_loc(),
        )
    if cache is not None and len(rows) != cache.positions.shape[0]:
        raise TinyTorchError(
            f"{_NAME}: {len(rows)} prompts do not fit a cache of {cache.positions.shape[0]} rows; make one for a batch "
            f"of {len(rows)}",
            user_loc(),
        )
    with _evaluating(model), grad_mode(False):
        uniform = _uniform(len(rows), max_length - min(map(len, rows)), settings, seed, generator)
        tokens = _Windows(model, rows, settings) if cache is None else _Cached(model, rows, settings, cache, max_length)
        _run(rows, max_length, settings, map(Tensor.wrap, uniform), tokens.step, single)
    return rows[0] if single else rows


def _run(
    rows: list[list[int]],
    most: int,
    settings: Settings,
    uniform: Iterator[Tensor],
    step: Callable[[Tensor], list[int]],
    single: bool,
) -> None:
    """Append tokens to rows until all are at their end."""
    open_rows = [i for i, row in enumerate(rows) if len(row) < most]
    stop, callback = settings.stop, settings.callback
    while open_rows:
        tokens = step(next(uniform))
        closed = False
        for i in open_rows:
            token, row = tokens[i], rows[i]
            if token < 0:
                raise TinyTorchError(f"{_NAME}: logits behind {len(row)} tokens are not finite", user_loc())
            row.append(token)
            closed = closed or len(row) == most or token in stop
            if callback is not None:
                callback(token) if single else callback(token, i)
        if closed:
            open_rows = [i for i in open_rows if len(rows[i]) < most and rows[i][-1] not in stop]


@contextmanager
def _evaluating(model: Module) -> abc.Generator[None]:
    """Every module in evaluation mode, and afterwards as it was."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


# What is given.
def _prompts(prompt: Any, model: Model) -> tuple[list[list[int]], bool]:
    """Rows of tokens, and whether there is but one that stands alone."""
    plain: Any = prompt.tolist() if isinstance(prompt, (Tensor, np.ndarray)) else prompt
    if not isinstance(plain, (list, tuple)):
        raise arguments.wrong_type(_NAME, "prompt", "a list of tokens, or a list of such lists", prompt)
    items = cast("Sequence[Any]", plain)
    single = not items or not isinstance(items[0], _LISTS)
    for i, row in enumerate(() if single else items):
        if not isinstance(row, _LISTS) or (isinstance(row, (Tensor, np.ndarray)) and row.ndim != 1):
            raise arguments.wrong_type(_NAME, f"prompt {i}", "a list of tokens, as the first one is", row)
    rows = [[*row] for row in ([items] if single else items)]
    for row in rows:
        if not row:
            raise TinyTorchError(f"{_NAME}: the prompt is empty; begin with one token at least", user_loc())
        if len(row) > model.context_length:
            raise TinyTorchError(
                f"{_NAME}: a prompt of {len(row)} tokens is longer than the context, {model.context_length}", user_loc()
            )
        for i, token in enumerate(row):
            row[i] = arguments.integer(_NAME, f"token {i} of the prompt", token)
            if not 0 <= row[i] < model.vocab_size:
                raise arguments.wrong_value(_NAME, f"token {i} of the prompt", f"in [0, {model.vocab_size})", token)
    return rows, single


def _uniform(rows: int, steps: int, settings: Settings, seed: int | None, generator: Generator | None) -> Array:
    """Numbers for each step and row, f32[steps, rows]: with a seed, each row has a stream of its own."""
    arguments.instance(_NAME, "generator", generator, Generator, optional=True)
    if settings.greedy:
        return np.zeros((steps, rows), np.float32)
    if seed is None:
        return rand(steps, rows, generator=generator or default_generator).numpy()
    first = arguments.integer(_NAME, "seed", seed)
    streams = [rand(steps, generator=Generator(first + row)).numpy() for row in range(rows)]
    return np.ascontiguousarray(np.stack(streams, 1))


# Steps.
def _padded(rows: list[list[int]], width: int) -> Tensor:
    """i64[rows, width], 0 behind the ends."""
    return Tensor(np.array([row + [0] * (width - len(row)) for row in rows], np.int64))


def _lengths(rows: list[list[int]]) -> Tensor:
    return Tensor(np.array([len(row) for row in rows], np.int64))


def _bucket(length: int, most: int) -> int:
    """The next power of two, so that few executables serve all lengths."""
    return min(most, max(_LEAST_WINDOW, 1 << (length - 1).bit_length()))


def _at(hidden: Tensor, places: Tensor) -> Tensor:
    """[batch, length, d] at one place of each row, [batch, d]."""
    batch, length, width = hidden.shape
    return hidden.reshape(batch * length, width)[arange(batch) * length + places]


def _choose(kinds: Kinds, logits: Tensor, uniform: Tensor, numbers: Tensor) -> Tensor:
    """A token of each row; `numbers` are those of `Settings`."""
    greedy, by_count, by_sum = kinds
    if greedy:
        return most_probable(logits)
    return draw(logits, uniform, numbers[0], numbers[1] if by_count else None, numbers[2] if by_sum else None)


class _Windows:
    """Steps that compute the last tokens again, as many as the context holds."""

    def __init__(self, model: Model, rows: list[list[int]], settings: Settings) -> None:
        self.model, self.kinds, self.numbers = model, settings.kinds, settings.numbers
        self.longest = max(map(len, rows))
        self.window, self.lengths = _padded(rows, model.context_length), _lengths(rows)

    def step(self, uniform: Tensor) -> list[int]:
        model, kinds, width = self.model, self.kinds, _bucket(self.longest, self.model.context_length)
        self.longest = min(self.longest + 1, model.context_length)
        run = model.steps.get(None, (width, kinds), lambda: _window_step(model, width, kinds))
        return run(self.window, self.lengths, uniform, self.numbers).tolist()


def _window_step(model: Model, width: int, kinds: Kinds) -> Callable[..., Tensor]:
    """A token for each row, appended to `window` [batch, context], of which the first `width` are computed."""

    def window_step(window: Tensor, lengths: Tensor, uniform: Tensor, numbers: Tensor) -> Tensor:
        hidden = model.hidden(window[:, :width])
        token = _choose(kinds, model.logits(_at(hidden, lengths - 1)), uniform, numbers)
        most = window.shape[1]
        moved = where((lengths == most).unsqueeze(1), cat([window[:, 1:], window[:, :1]], 1), window)
        last = lengths.minimum(most - 1).unsqueeze(1)
        window.copy_(where(arange(most) == last, token.maximum(0).unsqueeze(1), moved))
        lengths.copy_((lengths + 1).minimum(most))
        return token

    return window_step


class _Cached:
    """Steps that compute the prompts once, then one token of each row at a time."""

    def __init__(self, model: Model, rows: list[list[int]], settings: Settings, cache: Cache, max_length: int) -> None:
        self.model, self.cache, self.kinds, self.numbers = model, cache, settings.kinds, settings.numbers
        cache.reset()
        width = _bucket(max(map(len, rows)), min(cache.max_seq_len, model.context_length))
        self.tokens, self.lengths = _padded(rows, width), _lengths(rows)
        self.last = Tensor(np.full(len(rows), max_length - 1))  # rows that are at their end stay there
        self.run: Callable[..., Tensor] | None = None

    def step(self, uniform: Tensor) -> list[int]:
        if self.run is not None:
            return self.run(self.tokens, self.last, uniform, self.numbers).tolist()
        model, cache, kinds, steps = self.model, self.cache, self.kinds, self.model.steps
        first = steps.get(cache, ("prompt", kinds), lambda: _prompt_step(model, cache, kinds))
        token = first(self.tokens, self.lengths, uniform, self.numbers)
        self.tokens = token.clone()
        self.run = steps.get(cache, ("token", kinds), lambda: _token_step(model, cache, kinds))
        return token.tolist()


def _prompt_step(model: Model, cache: Cache, kinds: Kinds) -> Callable[..., Tensor]:
    """A token behind each prompt, of `lengths` of `tokens` [batch, width]."""

    def prompt_step(tokens: Tensor, lengths: Tensor, uniform: Tensor, numbers: Tensor) -> Tensor:
        hidden = model.hidden(tokens, cache)
        cache.truncate(lengths)
        return _choose(kinds, model.logits(_at(hidden, lengths - 1)), uniform, numbers)

    return prompt_step


def _token_step(model: Model, cache: Cache, kinds: Kinds) -> Callable[..., Tensor]:
    """A token behind each of `tokens` [batch], whose place it takes; the cache keeps `last` tokens at most."""

    def token_step(tokens: Tensor, last: Tensor, uniform: Tensor, numbers: Tensor) -> Tensor:
        hidden = model.hidden(tokens.unsqueeze(1), cache)
        cache.truncate(last)
        token = _choose(kinds, model.logits(hidden[:, 0]), uniform, numbers)
        tokens.copy_(token.maximum(0))
        return token

    return token_step
