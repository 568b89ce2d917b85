"""Milestone 5: the CNN of milestone 3 and the GPT of milestone 4, made smaller and faster.

Both are profiled, quantized, pruned (with some training behind it), and both at once. Every form runs as frozen machine
code, and is compared with that of the model in fp32 at the same batch size and number of threads: the CNN on single
images and on batches, the GPT on the step that makes a token behind 256 others in a cache. What each form loses is
measured on held-out images, and as the next character of held-out text, with the loss in nats beside it.

`--cnn` and `--gpt` take weights that milestones 3 and 4 wrote; without them both are trained for a short while first,
and so is what they can lose smaller than what it says. `--quick` trains and measures less.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tinytorch as tt
from milestones import cnn
from milestones.capstone_decoding import POSITION, decode_step
from milestones.capstone_models import QUICK, WHOLE, Scale, Subject, WeightsError, cnn_subject, gpt_subject
from milestones.capstone_variants import FP32, Recipe, variants_of
from milestones.common import Criterion, Report, add_smoke, console, refused, with_folder
from tinytorch.cli.program import exit_with
from tinytorch.frontend.benchmarking import Comparison
from tinytorch.frontend.benchmarking.reports import write
from tinytorch.frontend.data import DataError

MOST_LOST = 0.05  # of accuracy
SPEEDUP, AIMS = 2.0, {"CNN": 4.0, "GPT": 3.0}
PROFILED = 64  # tokens
SHARES = (0.5, 0.75)  # of channels, neurons and heads that go
GPT_RECIPE = Recipe({}, SHARES, 1, ("2:4 zeros", lambda model: tt.prune_n_of_m(model, 2, 4)))
Compare = Callable[[Subject, Mapping[str, Any], Scale], tuple[Comparison, dict[str, Any]]]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    about = "Milestone 5: the CNN and the GPT, smaller and faster"
    parser = argparse.ArgumentParser(prog="python -m milestones.capstone", description=about)
    parser.add_argument("--out", type=Path, help="folder for reports and figures, out/capstone by default")
    parser.add_argument("--cnn", type=Path, help="cnn.safetensors of milestone 3, instead of a short training")
    parser.add_argument("--gpt", type=Path, help="tinygpt.safetensors of milestone 4, instead of a short training")
    parser.add_argument("--quick", action="store_true", help="train and measure less: minutes, and worse models")
    parser.add_argument("--eager", action="store_true", help="train without the compiler; what is timed is compiled")
    add_smoke(parser)
    return with_folder(parser, parser.parse_args(argv), "capstone")


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    scale, compile = QUICK if options.quick else WHOLE, not options.eager
    report = Report("capstone", options.out)
    report.figures |= {"quick": options.quick, "threads": tt.get_num_threads()}
    try:
        if options.smoke:
            return smoke_of_cnn()
        gpt = gpt_subject(options.gpt, scale, compile) if options.gpt else None  # a wrong file before any training
        cnn = cnn_subject(options.cnn, scale, compile)
        report.criteria += study(cnn, compare_cnn, recipe_of_cnn(cnn), scale, report)
        gpt = gpt or gpt_subject(None, scale, compile)
        report.criteria += study(gpt, compare_gpt, GPT_RECIPE, scale, report)
    except DataError as error:
        return refused(f"No data: {error}")
    except WeightsError as error:
        return refused(f"No weights: {error}")
    return report.finish()


def smoke_of_cnn() -> int:
    """All forms of a small CNN that was not trained, timed once: whether they run, and give numbers."""
    images, _ = tt.CIFAR10(train=False, normalize=True)[:64]
    subject = Subject("CNN", cnn.make_cnn((8, 16, 32)).eval(), [], images, lambda changed: None)
    models = {name: tt.compile(m, freeze=True) for name, m in variants_of(subject, recipe_of_cnn(subject)).items()}
    show(
        "a small CNN: no criterion", tt.Benchmark(example=images, rounds=3).compare_models(models, ["latency", "size"])
    )
    with tt.no_grad():
        return int(not all(bool(model(images).isfinite().all()) for model in models.values()))


def recipe_of_cnn(subject: Subject) -> Recipe:
    """Scales of activations come from images of the training set; channels stay multiples of a vector."""
    static = {"calibration_data": [subject.calibration]}
    return Recipe(static, SHARES, 16, ("90% zeros", lambda model: tt.magnitude_prune(model, 0.9)))


def study(subject: Subject, compare: Compare, recipe: Recipe, scale: Scale, report: Report) -> list[Criterion]:
    """Profile a model, make its variants, compare them, write the report; what they are judged by."""
    profile = tt.Profiler(repeats=30).profile(subject.model, subject.calibration[:1, :PROFILED], tt.AdamW)
    show(f"{subject.name}: what it costs", profile)
    variants = variants_of(subject, recipe)
    comparison, more = compare(subject, variants, scale)
    show(f"{subject.name}: all forms", comparison)
    folder = report.out / subject.name.lower()
    write(comparison, folder, f"{subject.name}: smaller and faster")
    report.figures[subject.name] = {"comparison": comparison.as_json(), **more}
    return judge(subject.name, comparison)


def show(title: str, table: Any) -> None:
    """A table under its title, however wide it is."""
    console.print(f"\n[bold]{title}[/]")
    console.print(str(table), markup=False, soft_wrap=True)


def compare_cnn(subject: Subject, variants: Mapping[str, Any], scale: Scale) -> tuple[Comparison, dict[str, Any]]:
    """On single images, and on batches of the size of training."""
    models = {name: tt.compile(model, freeze=True) for name, model in variants.items()}
    batch = subject.data[0][0]
    one = tt.Benchmark(subject.data, example=batch[:1], rounds=scale.rounds)
    found = one.compare_models(models, ["accuracy", "latency", "throughput", "memory", "size", "flops"])
    many = tt.Benchmark(example=batch, rounds=scale.rounds)
    batches = many.compare_models(models, ["latency", "throughput", "memory"])
    show(f"CNN: batches of {len(batch)}", batches)
    return found, {"batches": batches.as_json()}


def compare_gpt(subject: Subject, variants: Mapping[str, Any], scale: Scale) -> tuple[Comparison, dict[str, Any]]:
    """By the next characters of held-out text; the time is that of a token behind others."""
    models = {name: tt.compile(model, freeze=True) for name, model in variants.items()}
    judged = tt.Benchmark(subject.data).compare_models(models, ["accuracy", "size"])
    nats = {name: _nats(model, subject) for name, model in models.items()}
    steps = {name: decode_step(model) for name, model in variants.items()}
    compiled = {name: tt.compile(step, freeze=True) for name, (step, _) in steps.items()}
    arguments = {name: given for name, (_, given) in steps.items()}  # caches are narrower, too
    one = tt.Benchmark(example=arguments, rounds=scale.rounds)
    timed = one.compare_models(compiled, ["latency", "throughput", "memory", "flops"])
    for name, loss in nats.items():
        console.print(f"GPT, {name}: {loss:.4f} nats a character")
    return judged.joined(timed), {"nats": nats, "position": POSITION}


def _nats(model: Any, subject: Subject) -> float:
    """The mean loss of the held-out windows."""
    with tt.no_grad():
        losses = [tt.cross_entropy(model(x).flatten(0, 1), y.flatten()).item() for x, y in subject.data]
    return math.fsum(losses) / len(losses)


def judge(name: str, comparison: Comparison) -> list[Criterion]:
    """The fastest of the forms that lose less than `MOST_LOST`."""
    whole = comparison[FP32].figures["accuracy"]
    lost = {r.name: whole - r.figures["accuracy"] for r in comparison.results}
    fit = [r for r in comparison.results if r.speedup is not None and lost[r.name] < MOST_LOST]
    best = max(fit, key=lambda r: r.speedup.median, default=None)
    gain, what = (0.0, "none that is fit") if best is None else (best.speedup.median, best.name)
    least = math.inf if best is None else lost[best.name]
    return [
        Criterion(f"{name}: speed-up of the fastest form ({what})", gain, SPEEDUP, "{:.2f}×"),
        Criterion(f"{name}: accuracy that it loses", least, MOST_LOST, below=True),
        Criterion(f"{name}: speed-up of the fastest form ({what})", gain, AIMS[name], "{:.2f}×", aim=True),
    ]


if __name__ == "__main__":
    exit_with("milestones.capstone", main)
