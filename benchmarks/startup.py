"""What a new process waits for: the import, and the first training step, cold and from the disk cache.

`python -m benchmarks.startup CONTESTANT WORKLOAD` is the process that is measured; it prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import workloads
from benchmarks.harness import environment
from benchmarks.registry import WORKLOADS

MODULES = {"torch.compile": "torch", "torch": "torch", "jax": "jax", "tinytorch": "tinytorch"}
STEPS = {"core": "mlp_train_b64", "vision": "cnn_train_b128", "language": "gpt_base_train"}  # which workload, by suite
_TIMEOUT = 300.0


@dataclass
class Startup:
    """Seconds: importing the framework, then building and running the first step, cold and warm."""

    contestant: str
    imports: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        return {
            name: statistics.median(getattr(self, name)) for name in ("imports", "cold", "warm") if getattr(self, name)
        }


def measure(workload: str, contestants: Sequence[str], threads: int, rounds: int) -> Iterator[Startup | str]:
    """For each contestant that compiles (or is torch eager) its times, or a line that says why not."""
    for name in contestants:
        if name not in MODULES:
            continue
        times = Startup(name)
        try:
            for _ in range(rounds):
                _cold_and_warm(workload, times, threads)
        except subprocess.SubprocessError as error:
            yield f"{name}: {getattr(error, 'stderr', None) or error}".strip().splitlines()[-1]
            continue
        yield times


def _cold_and_warm(workload: str, times: Startup, threads: int) -> None:
    """One process with empty caches, one more with what the first has left."""
    with tempfile.TemporaryDirectory(prefix="benchmark-cache-") as cache:
        for temperature in (times.cold, times.warm):
            with environment(threads):
                variables = {
                    **os.environ,
                    "TT_CACHE_DIR": cache,
                    "TORCHINDUCTOR_CACHE_DIR": cache,
                    "JAX_COMPILATION_CACHE_DIR": cache,
                    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
                }
            variables.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
            command = [sys.executable, "-m", "benchmarks.startup", times.contestant, workload]
            done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=_TIMEOUT, check=True)
            answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
            times.imports.append(answer["import"])
            temperature.append(answer["first_step"])


def _child(contestant: str, workload: str) -> dict[str, Any]:
    begin = time.perf_counter()
    __import__(MODULES[contestant])
    imported = time.perf_counter() - begin

    workloads.load()
    entry = WORKLOADS[workload]
    entry.prepare()
    begin = time.perf_counter()
    entry.builders[contestant]().step()
    return {"import": imported, "first_step": time.perf_counter() - begin}


if __name__ == "__main__":
    print(json.dumps(_child(*sys.argv[1:])))
