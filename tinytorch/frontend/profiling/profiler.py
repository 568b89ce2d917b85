"""What a model costs: parameters, operations, bytes and seconds, each alone and all in a table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

import numpy as np

from tinytorch.compile import compile as compiled
from tinytorch.frontend import arguments
from tinytorch.frontend.module import Module
from tinytorch.frontend.profiling import flops as counting
from tinytorch.frontend.profiling import memory as measuring
from tinytorch.frontend.profiling.flops import Flops
from tinytorch.frontend.profiling.inputs import Model, evaluating, examples, is_compiled, name_of, plain
from tinytorch.frontend.profiling.latency import Latency, time_calls
from tinytorch.frontend.profiling.memory import Memory
from tinytorch.frontend.profiling.tables import in_columns
from tinytorch.frontend.training.steps import samples_in
from tinytorch.insight.page import write_profile
from tinytorch.ir.characters import printable
from tinytorch.ir.text.units import count, duration

_ROUNDS = 5  # of the forwards in which modules are timed


@dataclass(frozen=True)
class ModuleProfile:
    """One module: its name in the model ("" of the model itself), its class, the elements of its parameters and the
    operations of a forward, what is below it included, and the median seconds that it takes eagerly."""

    name: str
    kind: str
    parameters: int
    flops: int
    seconds: float


@dataclass(frozen=True)
class Profile:
    """All that was found out about a model; printed, it is a table, and `save_html` makes it a page."""

    modules: tuple[ModuleProfile, ...]
    parameters: int
    flops: Flops
    memory: Memory
    eager: Latency
    compiled: Latency

    def __str__(self) -> str:
        rows = [
            (
                "  " * (row.name.count(".") + 1 if row.name else 0) + (f"({row.name}) " if row.name else "") + row.kind,
                f"{row.parameters:,}",
                f"{row.flops:,}",
                f"{row.flops / self.flops:.1%}" if self.flops else "–",
                duration(row.seconds),
            )
            for row in self.modules
        ]
        rate = f"{count(self.flops / self.compiled)}FLOP/s" if self.compiled else "–"
        text = "\n\n".join(
            [
                in_columns(("module", "parameters", "FLOPs", "share", "eager"), rows),
                self.memory.table(),
                f"eager:    {self.eager.table()}\ncompiled: {self.compiled.table()}; {rate}, "
                f"{count(self.compiled.throughput)} samples/s, {self.eager / self.compiled:.1f}× eager",
            ]
        )
        return printable(text)

    __repr__ = __str__

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON's types: what the page of `save_html` reads."""
        memory = asdict(self.memory) | {"inference": self.memory.inference, "peak": self.memory.peak}
        return {
            "title": self.modules[0].kind,
            "modules": [asdict(row) for row in self.modules],
            "parameters": self.parameters,
            "flops": int(self.flops),
            "ops": dict(self.flops.ops),
            "memory": memory,
            "eager": {"times": list(self.eager.times), "samples": self.eager.samples},
            "compiled": {"times": list(self.compiled.times), "samples": self.compiled.samples},
        }

    def save_html(self, path: str | PathLike[str]) -> None:
        """Write the profile as a page that needs nothing else, to open in a browser. TinyTorchError if `path` cannot be
        written."""
        write_profile(self.as_dict(), path)


class Profiler:
    """Counts and measures models: modules, compiled ones, and functions of tensors.

    `input_shape` is the shape of the input with its batch axis; for several inputs a list of shapes; a tensor or an
    array may stand for a shape. A shape stands for random f32, or for tokens (i64) where the model begins with an
    `Embedding`; `dtype` says otherwise. All runs are in evaluation mode and without gradients, but where gradients are
    what is measured; models are afterwards as they were.

    `repeats` calls are timed behind `warmup` others, but for no longer than `seconds` (five calls at least).
    """

    def __init__(self, repeats: int = 100, warmup: int = 5, seconds: float = 2.0) -> None:
        self.repeats = arguments.integer("Profiler", "repeats", repeats, 1)
        self.warmup = arguments.integer("Profiler", "warmup", warmup, 0)
        self.seconds = float(arguments.positive("Profiler", "seconds", seconds))

    def count_parameters(self, model: Module, trainable: bool = False) -> int:
        """The elements of all parameters, each counted once; with `trainable` of those that require grad."""
        arguments.instance("count_parameters", "model", model, Module)
        return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable)

    def count_flops(self, model: Model, input_shape: Any, dtype: Any = None) -> Flops:
        """The operations of a forward: an int, with those of each module and each kind of op beside it. The model is
        traced, and not run; `tinytorch.frontend.profiling.flops` says how ops count."""
        arguments.function("count_flops", "model", model)
        return counting.count_flops(model, examples("count_flops", model, input_shape, dtype))

    def measure_memory(self, model: Model, input_shape: Any, optimizer: Any = None, dtype: Any = None) -> Memory:
        """The bytes of the model, and of a forward and a training step, computed and measured. `optimizer` (one, or a
        class such as `tt.AdamW`) adds its state."""
        arguments.function("measure_memory", "model", model)
        return measuring.measure_memory(model, examples("measure_memory", model, input_shape, dtype), optimizer)

    def measure_latency(self, model: Model, input: Any, dtype: Any = None) -> Latency:
        """The seconds of a call of the model as it is, eager or compiled: a float, the median, with all times,
        percentiles and throughput beside it. `input` is as `input_shape`. Compiling is not timed."""
        arguments.function("measure_latency", "model", model)
        return self._latency(model, examples("measure_latency", model, input, dtype))

    def _latency(self, model: Model, inputs: tuple[Any, ...]) -> Latency:
        warmup = max(self.warmup, 1) if is_compiled(model) else self.warmup
        with evaluating(model):
            times = time_calls(lambda: model(*inputs), self.repeats, warmup, self.seconds)
        return Latency(times, samples_in(inputs) if inputs and getattr(inputs[0], "shape", ()) else 1)

    def profile(self, model: Model, input_shape: Any, optimizer: Any = None, dtype: Any = None) -> Profile:
        """Everything at once, the latency both eager and compiled."""
        arguments.function("profile", "model", model)
        inputs = examples("profile", model, input_shape, dtype)
        found = plain(model)
        whole = counting.count_flops(model, inputs)
        return Profile(
            modules=tuple(_modules(found, inputs, whole)),
            parameters=self.count_parameters(found) if isinstance(found, Module) else 0,
            flops=whole,
            memory=measuring.measure_memory(model, inputs, optimizer),
            eager=self._latency(found, inputs),
            compiled=self._latency(model if is_compiled(model) else compiled(found), inputs),
        )


def _modules(model: Any, inputs: tuple[Any, ...], whole: Flops) -> list[ModuleProfile]:
    """A row for each module of the model, each with what is below it; of a function, one for all of it."""
    named = dict(model.named_modules()) if isinstance(model, Module) else {}
    times = _seconds(model, inputs, named)
    if not named:
        return [ModuleProfile("", name_of(model), 0, whole, times[""])]
    return [
        ModuleProfile(
            name, type(module).__name__, sum(p.numel() for p in module.parameters()), whole.modules[name], times[name]
        )
        for name, module in named.items()
    ]


def _seconds(model: Callable[..., Any], inputs: tuple[Any, ...], named: dict[str, Module]) -> dict[str, float]:
    """The median seconds that each module takes in an eager forward, all of its calls together."""
    clock = time.perf_counter
    rounds: list[dict[str, float]] = []
    begun: list[float] = []
    handles: list[Any] = []

    def begin(module: Module, args: Any) -> None:
        begun.append(clock())

    for name, module in named.items():

        def end(module: Module, args: Any, result: Any, name: str = name) -> None:
            rounds[-1][name] += clock() - begun.pop()

        handles += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
    try:
        with evaluating(model):
            for _ in range(_ROUNDS):
                rounds.append(dict.fromkeys(named, 0.0))
                start = clock()
                model(*inputs)
                rounds[-1].setdefault("", clock() - start)
    finally:
        for handle in handles:
            handle.remove()
    return {name: float(np.median([one[name] for one in rounds])) for name in rounds[0]}
