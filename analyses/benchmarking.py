"""Module 19: what a median says on a busy machine, latency against throughput, energy, and Pareto frontiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart
from analyses.measuring import torch_if_installed
from analyses.record import Analysis, Section, Table
from tinytorch.frontend.benchmarking import comparison, intervals
from tinytorch.frontend.benchmarking.energy import joules_per_call
from tinytorch.frontend.benchmarking.metrics import METRICS

_BACKGROUND = """
Times of a call are a fixed part plus what the machine does beside it, which is never negative and now and then large:
a mean follows the largest of them, the median does not. The *bootstrap* draws n measurements again, with replacement,
many times; the middle 95 % of the medians of these samples are an interval for the median. Two models are compared by
the ratio of their times in the same round, where what slows one slows both.

A batch of n takes t(n) seconds: its latency is t(n), its throughput n / t(n). With t(n) = a + b n the throughput rises
towards 1/b, and half of that is reached at n = a/b.

One model *dominates* another if it is at least as good in all metrics and better in one. The models that none dominates
are the Pareto frontier; only among them is there something to decide.
"""
_QUESTIONS = (
    "You time A a thousand times, then B a thousand times. What can make B look slower although it is not?",
    "Why is the interval of the ratio narrower than what the intervals of both times would suggest?",
    "A service must answer within 5 ms. How do you choose its batch size from the measured curve?",
    "The frontier is drawn from measured figures. What would you draw to show that two models on it may change places?",
    "A counter shows the energy of the whole processor. What must be subtracted to speak of a model, and how?",
)


def analyze(
    *,
    quick: bool = False,
    median_interval: Callable[..., intervals.Interval] = intervals.median_interval,
    speedup: Callable[..., intervals.Interval] = intervals.speedup,
    verdict: Callable[..., str] = intervals.verdict,
    pareto_front: Callable[..., Sequence[comparison.Result]] = comparison.pareto_front,
) -> Analysis:
    """Measure these statistics, and models by them."""
    return Analysis(
        "Benchmarking: intervals, batches, energy, frontiers",
        _BACKGROUND,
        [
            _noise(median_interval, quick),
            _alike(speedup, verdict, quick),
            _batches(quick),
            _frontier(pareto_front, quick),
            _energy(quick),
        ],
        _QUESTIONS,
    )


def _drawn(rng: Any, shape: tuple[int, ...]) -> Any:
    """Times as a busy machine gives them, in ms: 1, a little noise, and one in ten with an interruption."""
    quiet = 1 + 0.02 * rng.standard_normal(shape) ** 2
    return quiet + np.where(rng.random(shape) < 0.1, rng.exponential(2, shape), 0)


def _noise(median_interval: Callable[..., intervals.Interval], quick: bool) -> Section:
    """Mean and median of the same measurements, and how often the interval holds the truth."""
    rng = np.random.default_rng(0)
    truth = float(np.median(_drawn(rng, (200_000,))))
    experiments = 40 if quick else 200
    rows: list[list[object]] = []
    deviations: dict[str, list[float]] = {"mean": [], "median": []}
    counts = (5, 20, 80)
    shares: list[float] = []
    for count in counts:
        times = _drawn(rng, (experiments, count))
        found = [median_interval(row) for row in times]
        shares.append(float(np.mean([f.low <= truth <= f.high for f in found])))
        deviations["mean"].append(float(times.mean(1).std()))
        deviations["median"].append(float(np.std([f.median for f in found])))
        width = float(np.mean([f.high - f.low for f in found]))
        rows.append([count, deviations["mean"][-1] * 1e3, deviations["median"][-1] * 1e3, width * 1e3, shares[-1]])
    figure, axes = chart("measurements", "deviation between experiments, µs", log_x=True, log_y=True)
    for name, values in deviations.items():
        axes.plot(counts, [1e3 * v for v in values], "o-", markersize=4, label=name)
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.legend(fontsize=8)
    reading = (
        f"Of {experiments} experiments with {counts[1]} measurements each, the means of a 1 ms call differ by "
        f"{rows[1][1]:.0f} µs (deviation), the medians by {rows[1][2]:.0f}. The interval held the true median in "
        f"{shares[0]:.0%} "
        f"of the experiments with {counts[0]} measurements and in {shares[-1]:.0%} with {counts[-1]}; it claims 95 %."
    )
    columns = [
        "measurements",
        "deviation of means, µs",
        "of medians, µs",
        "width of the interval, µs",
        "share that holds the truth",
    ]
    return Section("Mean or median, and what is an interval worth?", reading, Table(columns, rows), figure)


def _alike(speedup: Callable[..., intervals.Interval], verdict: Callable[..., str], quick: bool) -> Section:
    """How often is a difference claimed between a call and one that takes so many times as long."""
    rng = np.random.default_rng(0)
    experiments, rounds = (40, 20) if quick else (150, 20)
    factors = (1.0, 1.01, 1.03, 1.1)
    rows: list[list[object]] = []
    found: dict[str, list[float]] = {"in turns": [], "one after the other": []}
    for factor in factors:
        claims = dict.fromkeys(found, 0)
        for _ in range(experiments):
            slow = 1 + 0.1 * np.sin(np.linspace(0, 3, 2 * rounds) + rng.uniform(0, 6))  # the machine's clock drifts
            noise = _drawn(rng, (2, rounds))
            turns = noise[0] * slow[::2], factor * noise[1] * slow[1::2]
            apart = noise[0] * slow[:rounds], factor * noise[1] * slow[rounds:]
            for name, (a, b) in (("in turns", turns), ("one after the other", apart)):
                claims[name] += verdict(speedup(a, b), 0.02) == "slower"
        for name, count in claims.items():
            found[name].append(count / experiments)
        rows.append([factor, *(values[-1] for values in found.values())])
    figure, axes = chart("true factor", "share of experiments that say “slower”")
    for name, values in found.items():
        axes.plot(factors, values, "o-", markersize=4, label=name)
    axes.legend(fontsize=8)
    reading = (
        f"Where both take the same time, {found['in turns'][0]:.0%} of {experiments} experiments in turns call the "
        "second slower, "
        f"and {found['one after the other'][0]:.0%} of those that time one after the other on a clock that drifts by "
        "10 %. "
        f"A true factor of {factors[-1]} is seen by {found['in turns'][-1]:.0%} in turns."
    )
    columns = ["true factor", *(f"“slower”, {name}" for name in found)]
    return Section("How often is a difference claimed that is none?", reading, Table(columns, rows), figure)


def _network(width: int) -> tt.Sequential:
    tt.manual_seed(0)
    return tt.Sequential(tt.Linear(64, width), tt.ReLU(), tt.Linear(width, width), tt.ReLU(), tt.Linear(width, 10))


def _batches(quick: bool) -> Section:
    """Latency and throughput by the batch."""
    model = _network(256 if quick else 512).eval()
    sizes = (1, 4, 16, 64) if quick else (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    x = tt.Tensor(np.random.default_rng(0).standard_normal((sizes[-1], 64)).astype(np.float32))
    names = [str(n) for n in sizes]
    bench = tt.Benchmark(example={name: x[:n] for name, n in zip(names, sizes, strict=True)},
                         rounds=5 if quick else 12, seconds=0.005)  # fmt: skip
    found = bench.compare_models({name: tt.compile(model, freeze=True) for name in names}, ["latency"])
    times = {n: found[str(n)].latency for n in sizes}
    rows = [[n, t.median * 1e6, t.low * 1e6, t.high * 1e6, n / t.median] for n, t in times.items() if t is not None]
    figure, axes = chart("latency of a call, µs", "throughput, samples/s", log_x=True, log_y=True)
    axes.plot([row[1] for row in rows], [row[4] for row in rows], "o-", markersize=4)
    for row in rows:
        axes.annotate(f"{row[0]}", (row[1], row[4]), textcoords="offset points", xytext=(4, -11), fontsize=8)
    axes.margins(0.1)
    axes.set_title("numbers: rows of the batch", fontsize=9)
    first, last = rows[0], rows[-1]
    reading = (
        f"A batch of {last[0]} has {last[4] / first[4]:.1f} times the throughput of one row, and "
        f"{last[1] / first[1]:.0f} times "
        f"its latency."
    )
    columns = ["rows", "latency, µs", "from", "to", "samples/s"]
    return Section("Latency or throughput?", reading, Table(columns, rows), figure)


def _frontier(pareto_front: Callable[..., Sequence[comparison.Result]], quick: bool) -> Section:
    """Networks of several widths, in f32 and int8, by the error of what they learned and by time."""
    widths = (8, 64) if quick else (8, 16, 32, 64, 128, 256)
    rng = np.random.default_rng(0)
    teacher = _network(64)
    x, fresh = (tt.Tensor(rng.standard_normal((n, 64)).astype(np.float32)) for n in (2048 if quick else 32768, 2048))
    with tt.no_grad():
        y, answers = (teacher(part).argmax(-1) for part in (x, fresh))
    models: dict[str, Any] = {}
    for width in widths:
        model = _network(width)
        _learn(model, x, y, 40 if quick else 400)
        models[f"{width}"] = tt.compile(model.eval(), freeze=True)
        models[f"{width}, int8"] = tt.compile(tt.quantize(model, x[:512]), freeze=True)
    bench = tt.Benchmark((fresh, answers), batch_size=256, rounds=5 if quick else 12, seconds=0.005)
    found = bench.compare_models(models, ["accuracy", "latency"])
    front = [result.name for result in pareto_front(found.results, METRICS["latency"], METRICS["accuracy"])]
    rows: list[list[object]] = []
    figure, axes = chart("latency of 256 rows, µs", "accuracy", log_x=True)
    places: dict[str, tuple[float, float]] = {}
    for result in found.results:
        latency, accuracy = result.figures["latency"], result.figures["accuracy"]
        assert latency is not None and accuracy is not None
        places[result.name] = latency * 1e6, accuracy
        rows.append([result.name, latency * 1e6, accuracy, "yes" if result.name in front else "no"])
    axes.plot(
        *zip(*(places[name] for name in front), strict=True), "--", color="#999999", linewidth=1, label="frontier"
    )
    for kind, label in (("", "f32"), (", int8", "int8")):
        chosen = [places[f"{width}{kind}"] for width in widths]
        axes.plot(*zip(*chosen, strict=True), "o", label=label)
    for name, place in places.items():
        axes.annotate(name.partition(",")[0], place, textcoords="offset points", xytext=(4, -10), fontsize=8)
    axes.margins(0.1)
    axes.set_title("numbers: width", fontsize=9)
    axes.legend(fontsize=8, loc="lower right")
    eights = sum("int8" in name for name in front)
    reading = (
        f"{len(front)} of {len(models)} models are on the frontier, {eights} of them in int8; each of the others has "
        "one "
        "that is as quick and as accurate, and better in one of both."
    )
    columns = ["width", "latency, µs", "accuracy", "on the frontier"]
    return Section("Which of these models is worth having?", reading, Table(columns, rows), figure)


def _learn(model: tt.Module, x: tt.Tensor, y: tt.Tensor, steps: int) -> None:
    optimizer = tt.Adam(model.parameters(), lr=3e-3)

    @tt.compile
    def step(x: tt.Tensor, y: tt.Tensor) -> None:
        loss = tt.CrossEntropyLoss()(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for i in range(steps):
        at = i * 256 % len(x)
        step(x[at : at + 256], y[at : at + 256])


def _energy(quick: bool) -> Section:
    """Joules of a call, where the processor counts them."""
    width = 256 if quick else 1024
    x = tt.Tensor(np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32))
    model = _network(width).eval()
    forms = {"f32": tt.compile(model, freeze=True), "int8": tt.compile(tt.quantize(model), freeze=True)}
    ways: dict[str, Callable[[], Any]] = {name: lambda form=form: form(x) for name, form in forms.items()}
    torch = torch_if_installed()
    if torch:
        theirs = torch.nn.Sequential(
            torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU(),
            torch.nn.Linear(width, 10),
        ).requires_grad_(False)  # fmt: skip
        given = torch.from_numpy(x.numpy().copy())
        ways["torch f32"] = lambda: theirs(given)
    bench = tt.Benchmark(example=x, rounds=5 if quick else 12, seconds=0.005)
    found = bench.compare_models({name: lambda _, call=call: call() for name, call in ways.items()}, ["latency"])
    flops = 2 * 64 * (64 * width + width * width + 10 * width)
    rows: list[list[object]] = []
    joules: dict[str, float | None] = {}
    for name, call in ways.items():
        latency = found[name].figures["latency"]
        assert latency is not None
        joules[name] = spent = joules_per_call(call, seconds=0.05 if quick else 0.5)
        each = None if spent is None else spent / flops * 1e12
        rows.append([name, flops, latency * 1e6, None if spent is None else spent * 1e3, each])
    a, b = joules["f32"], joules["int8"]
    reading = (
        "This machine shows no counter of energy that can be read (RAPL), so none was measured; the times alone say "
        "what "
        "runs longer."
        if a is None or b is None
        else f"A call in int8 takes {a / b:.2f} times less energy than in f32, by the processor's own counter."
    )
    columns = ["form", "operations", "latency, µs", "energy, mJ", "energy for an operation, pJ"]
    return Section("What does a call cost in energy?", reading, Table(columns, rows))
