"""`python -m examples.from_pytorch`: see the package."""

from __future__ import annotations

import argparse
import time
from itertools import islice

import numpy as np

from examples.from_pytorch import programs

TOLERANCE = 1e-3  # relative, after a few steps in f32


def against_torch(names: list[str], steps: int) -> int:
    """Print the losses of both, and their largest relative difference; how many programs differ."""
    print(f"losses of {steps} steps from equal weights, data and noise, without dropout")
    print("| program | first loss | PyTorch's | last loss | PyTorch's | largest difference |")
    print("| --- | --- | --- | --- | --- | --- |")
    different = 0
    for name in names:
        ours, theirs = (np.array(f(name, steps)) for f in (programs.own_losses, programs.twin_losses))
        difference = float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-3)).max())
        different += not difference < TOLERANCE
        parts = (f"{x:.6f}" for x in (ours[0], theirs[0], ours[-1], theirs[-1]))
        print(f"| {name} | {' | '.join(parts)} | {difference:.1e} |", flush=True)
    print(f"{len(names) - different} of {len(names)} give PyTorch's losses to {TOLERANCE:g}")
    return different


def train(name: str, steps: int, framework: str) -> None:
    program = programs.load(name, framework)
    step = program.trainer(programs.first_models(program, program.FULL), program.FULL)
    start = time.perf_counter()
    for i, batch in enumerate(islice(program.batches(program.FULL, np.random.default_rng(0)), steps)):
        loss = step(*map(program.torch.from_numpy, batch))
        if i % max(1, steps // 20) == 0 or i == steps - 1:
            parts = loss if isinstance(loss, tuple) else (loss,)
            shown = ", ".join(f"{float(part.detach()):.4f}" for part in parts)
            print(f"step {i}: loss {shown}, {time.perf_counter() - start:.1f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.from_pytorch", description=__doc__)
    parser.add_argument("programs", nargs="*", metavar="program", help=", ".join(programs.NAMES))
    parser.add_argument("--against-torch", action="store_true", help="compare losses with PyTorch's")
    parser.add_argument("--steps", type=int, help="steps to make (200, and 5 to compare)")
    parser.add_argument("--framework", choices=["tinytorch", "torch"], default="tinytorch", help="train with it")
    given = parser.parse_args()
    unknown = set(given.programs) - set(programs.NAMES)
    if unknown or not (given.programs or given.against_torch):
        parser.error(f"name some of {', '.join(programs.NAMES)}")
    if given.against_torch:
        return int(against_torch(given.programs or list(programs.NAMES), given.steps or 5) > 0)
    for name in given.programs:
        train(name, given.steps or 200, given.framework)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
