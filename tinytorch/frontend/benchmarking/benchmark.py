"""The measuring: models on the same data, timed in turns."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.benchmarking import plots, reports
from tinytorch.frontend.benchmarking.candidates import (
    Named,
    batches_of,
    largest_scores,
    memory_of_call,
    named_models,
    stored_bytes,
)
from tinytorch.frontend.benchmarking.comparison import Comparison, Result
from tinytorch.frontend.benchmarking.energy import joules_per_call
from tinytorch.frontend.benchmarking.intervals import median_interval, speedup, verdict
from tinytorch.frontend.benchmarking.metrics import TIMED, Metric, chosen_metrics
from tinytorch.frontend.module import Module
from tinytorch.frontend.profiling.flops import count_flops
from tinytorch.frontend.profiling.inputs import Model, evaluating, plain
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.training.steps import samples_in
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.system import collector
from tinytorch.ir.system.files import write_texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WHAT = "Benchmark"
_PAUSE = 2e-3  # seconds before a turn, for the threads of the one before to fall asleep

DEFAULT_METRICS = ("accuracy", "latency", "memory")


class Benchmark:
    """Compares models (modules, compiled ones, functions of tensors) on the same data; each runs as it is given.

    - `data`: batches (inputs, targets) of a loader or a list, a data set, or two tensors or arrays; for metrics that
      need no targets, a tensor of inputs. What has no batches is cut into those of `batch_size`.
    - `example`: the inputs of the call that is timed and measured (several in a tuple), by default those of the first
      batch; or a mapping from the names of all models to such, where they take different ones.
    - `hits`: (prediction, targets) to booleans, whose mean is the accuracy; by default, where the largest score is
      that of the target class.

    Models are timed in `rounds` turns of about `seconds` each, all models in each round, in an order of its own. The
    median over the rounds is the latency, with the interval in which it lies with `confidence`; a model is "faster" or
    "slower" than the baseline where the interval of the ratio of the rounds says so, and differs from 1 by more than
    `margin`, else there is "no difference seen".

    All runs are without gradients and in evaluation mode; models are afterwards as they were.
    """

    def __init__(
        self,
        data: Any = None,
        *,
        example: Any = None,
        hits: Callable[[Any, Any], Any] | None = None,
        batch_size: int = 256,
        rounds: int = 20,
        seconds: float = 0.02,
        confidence: float = 0.95,
        margin: float = 0.02,
    ) -> None:
        arguments.function(_WHAT, "hits", hits, optional=True)
        self.hits = hits or largest_scores
        self.rounds = arguments.integer(_WHAT, "rounds", rounds, 1)
        self.seconds = float(arguments.positive(_WHAT, "seconds", seconds))
        self.margin = float(arguments.not_negative(_WHAT, "margin", margin))
        self.confidence = float(
            arguments.number(_WHAT, "confidence", confidence, lambda x: 0 < x < 1, "between 0 and 1")
        )
        size = arguments.integer(_WHAT, "batch_size", batch_size, 1)
        self.batches = None if data is None else batches_of(data, size)
        self.example = _examples(example)
        self._found: Comparison | None = None

    def compare_models(
        self, models: Any, metrics: Sequence[str] = DEFAULT_METRICS, baseline: str | None = None
    ) -> Comparison:
        """Measure `metrics` (of accuracy, latency, throughput, memory, size, parameters, flops, energy) of all models:
        a mapping from names, or a list. `baseline`, by default the first, is what the others' times are compared with.

        A model that raises an error ends the comparison, before anything is timed; the error has a note with the name
        of the model.
        """
        found, chosen = named_models(models), chosen_metrics(metrics)
        first = next(iter(found)) if baseline is None else baseline
        if first not in found:
            raise arguments.wrong_value("compare_models", "baseline", f"one of {', '.join(found)}", baseline)
        examples = self._examples_of(found)
        names = {metric.name for metric in chosen}
        with ExitStack() as stack:
            for model in found.values():
                stack.enter_context(self._around(model))
            figures = {name: self._untimed(name, model, chosen, examples[name]) for name, model in found.items()}
            times = self._timed(found, examples) if names.intersection(TIMED) else {}
        samples = {name: _samples_in(example) for name, example in examples.items()}
        results = [self._result(name, figures[name], times, first, samples[name], names) for name in found]
        notes = ["energy: this machine shows no counter that can be read, so none was measured"]
        absent = "energy" in names and all(r.figures["energy"] is None for r in results)
        self._found = Comparison(
            tuple(results), chosen, first, samples[first], self.rounds, tuple(notes * absent), self.confidence
        )
        return self._found

    def _examples_of(self, models: Iterable[str]) -> dict[str, tuple[Any, ...]]:
        """What each model is called with."""
        if isinstance(self.example, dict):
            missing = [name for name in models if name not in self.example]
            if missing:
                raise TinyTorchError(f"Benchmark: example has nothing for {', '.join(missing)}", user_loc())
            return {name: self.example[name] for name in models}
        return dict.fromkeys(models, self.example or self._first())

    def _first(self) -> tuple[Any, ...]:
        if self.batches is None:
            raise TinyTorchError(
                "Benchmark: there is nothing to call the models with; pass data, such as Benchmark((inputs, targets)), "
                "or example=inputs",
                user_loc(),
            )
        return self.batches.first()

    # What is not timed.
    def _untimed(
        self, name: str, model: Model, metrics: Iterable[Metric], example: tuple[Any, ...]
    ) -> dict[str, float | None]:
        """The figures of one model, those that follow from times left open."""
        measures: dict[str, Callable[[], float | None]] = {
            "accuracy": lambda: self._accuracy(model),
            "memory": lambda: memory_of_call(model, example),
            "size": lambda: stored_bytes(model),
            "parameters": lambda: _parameters(model),
            "flops": lambda: count_flops(model, example),
            "energy": lambda: joules_per_call(lambda: model(*example)),
        }
        with Named(name):
            model(*example)
            return {metric.name: measures[metric.name]() if metric.name in measures else None for metric in metrics}

    def _accuracy(self, model: Model) -> float:
        """The share of hits in all of the data."""
        if self.batches is None:
            raise _without_targets()
        right = count = 0
        for inputs, targets in self.batches:
            if targets is None:
                raise _without_targets()
            found = self.hits(model(*inputs), targets)
            hits = np.asarray(found.numpy() if isinstance(found, Tensor) else found)
            if hits.dtype != np.bool_:
                raise arguments.wrong_type(_WHAT, "hits", "a function that gives booleans", found)
            right, count = right + int(np.count_nonzero(hits)), count + hits.size
        if not count:
            raise TinyTorchError("Benchmark: the data has no targets, so there is no accuracy", user_loc())
        return right / count

    # What is.
    def _around(self, model: Model) -> AbstractContextManager[None]:
        """In which mode a model is called: in evaluation, without gradients."""
        return evaluating(model)

    def _before_turn(self, name: str) -> None:
        """What is done before the calls of a model, and not timed: nothing here."""

    def _timed(self, models: dict[str, Model], examples: dict[str, tuple[Any, ...]]) -> dict[str, list[float]]:
        """Seconds of a call of each model in each round."""
        calls = {name: functools.partial(model, *examples[name]) for name, model in models.items()}
        counts: dict[str, int] = {}
        for name, call in calls.items():
            self._before_turn(name)
            counts[name] = _calls_within(call, self.seconds)
        times: dict[str, list[float]] = {name: [] for name in models}
        order = np.random.default_rng(0)
        with collector.paused():
            for _ in range(self.rounds):
                for name in order.permutation(list(models)):
                    self._before_turn(name)
                    time.sleep(_PAUSE)
                    times[name].append(_turn(calls[name], counts[name]))
        return times

    def _result(
        self,
        name: str,
        figures: dict[str, float | None],
        times: dict[str, list[float]],
        baseline: str,
        samples: int,
        metrics: set[str],
    ) -> Result:
        if name not in times:
            return Result(name, figures)
        latency = median_interval(times[name], self.confidence)
        timed = {"latency": latency.median, "throughput": samples / latency.median if latency.median else math.inf}
        figures = figures | {metric: value for metric, value in timed.items() if metric in metrics}
        if name == baseline:
            return Result(name, figures, tuple(times[name]), latency)
        ratio = speedup(times[baseline], times[name], self.confidence)
        return Result(name, figures, tuple(times[name]), latency, ratio, verdict(ratio, self.margin))

    # What is shown.
    @property
    def comparison(self) -> Comparison:
        """The last one; an error before the first."""
        if self._found is None:
            raise TinyTorchError("Benchmark: there is nothing to show yet; call compare_models first", user_loc())
        return self._found

    def plot_results(self, folder: str | PathLike[str] | None = None) -> dict[str, Figure]:
        """Figures of matplotlib of the last comparison: pairs of the metrics with their Pareto frontiers, by name, such
        as "latency-accuracy"; with one metric, bars. With a `folder` also as SVG files there; TinyTorchError if they
        cannot be written."""
        made = plots.figures(self.comparison)
        if folder is not None:
            write_texts(folder, {f"{name}.svg": plots.as_svg(figure) for name, figure in made.items()})
        return made

    def generate_report(self, folder: str | PathLike[str] | None = None, title: str = "Comparison of models") -> str:
        """The last comparison as Markdown. With a `folder`, it is written there as `report.md`, with its pictures
        beside it, and as `report.html`, one page with all of them; TinyTorchError where that cannot be done."""
        found = self.comparison
        return reports.markdown(found, title=title) if folder is None else reports.write(found, folder, title)


def _examples(example: Any) -> tuple[Any, ...] | dict[str, tuple[Any, ...]] | None:
    if isinstance(example, Mapping):
        return {str(name): _inputs(each) for name, each in cast("Mapping[Any, Any]", example).items()}
    return None if example is None else _inputs(example)


def _inputs(example: Any) -> tuple[Any, ...]:
    items = tuple(example) if isinstance(example, (tuple, list)) else (example,)
    made = tuple(Tensor(x) if isinstance(x, np.ndarray) else x for x in items)
    if not made or not isinstance(made[0], Tensor):
        raise arguments.wrong_type(_WHAT, "example", "a tensor, an array, or a tuple of inputs", example)
    return made


def _samples_in(example: tuple[Any, ...]) -> int:
    """One, where there is no axis of samples."""
    return samples_in(example) if example and getattr(example[0], "shape", ()) else 1


def _parameters(model: Model) -> int | None:
    found = plain(model)
    return sum(p.numel() for p in found.parameters()) if isinstance(found, Module) else None


def _without_targets() -> TinyTorchError:
    return TinyTorchError(
        "Benchmark: accuracy needs targets; pass data=(inputs, targets) or batches of them, or leave accuracy out of "
        "the metrics",
        user_loc(),
    )


def _calls_within(call: Callable[[], Any], seconds: float) -> int:
    """How many calls make a turn."""
    call()
    return max(1, round(seconds / max(_turn(call, 1), 1e-9)))


def _turn(call: Callable[[], Any], count: int) -> float:
    """Seconds of one of `count` calls, behind one that is not timed."""
    call()
    clock = time.perf_counter
    start = clock()
    for _ in range(count):
        call()
    return (clock() - start) / count
