"""Records that were made up: all that a page shows, of any size."""

from __future__ import annotations

import random
from typing import Any

FILE = "/home/me/model.py"
SOURCE = [
    "import tinytorch as tt",
    "",
    "class Block(tt.Module):",
    "    def forward(self, x):",
    "        h = self.up(x).relu()",
    "        return x + self.down(h)  # </script><script>alert(1)</script>",
    "",
    "def step(x, y):",
    "    loss = loss_of(model(x), y)",
    "    loss.backward()",
    "    optimizer.step()",
    "    return loss",
]
PHASES = {"forward": (5, 6, 9), "backward": (10,), "update": (11,)}
TITLES = {"forward": "matmul + bias + relu", "backward": "matmul + mul", "update": "sgd <update>"}
FAMILIES = {"forward": "contract", "backward": "contract", "update": "loop"}


def record(kernels: int = 12, lines: int = 60) -> dict[str, Any]:
    """With that many kernels, and lines in the graph as traced; always the same one."""
    rng = random.Random(0)
    phases = [name for name in PHASES for _ in range(-(-kernels // 3))][:kernels]
    made = [_kernel(i, phase, rng) for i, phase in enumerate(phases)]
    graph = [_line(i, phases[i * kernels // lines], rng) for i in range(lines)]
    buffers = [_buffer(kernel, kernels, rng) for kernel in made]
    live = [sum(b["bytes"] for b in buffers if b["first"] <= i <= b["last"]) for i in range(kernels)]
    return {
        "title": "step of </script> & <b>",
        "created": "2026-11-28T17:00:00",
        "versions": {"tinytorch": "0.1.0", "numpy": "2.1", "llvmlite": "0.50", "python": "3.12"},
        "target": {"cpu": "made up", "features": "avx512f avx512vnni", "threads": 2},
        "peaks": {"threads": 2, "flops": 2e11, "bandwidths": [[32768, 3e11], [1 << 20, 1e11], [1 << 28, 2e10]]},
        "files": {FILE: SOURCE},
        "compilations": [
            {
                "number": 1,
                "signature": "f32[64,784], i64[64]",
                "reason": "first call",
                "seconds": 0.4,
                "from_cache": False,
            },
            {
                "number": 2,
                "signature": "f32[32,784], i64[32]",
                "reason": "x: f32[32,784]",
                "seconds": 0.1,
                "from_cache": True,
            },
        ],
        "passes": _passes(graph),
        "first_graph": graph,
        "last_graph": graph[::2],
        "kernels": made,
        "refusals": [_refusal(i) for i in range(kernels // 2)],
        "buffers": buffers,
        "arena_bytes": max(b["offset"] + b["bytes"] for b in buffers),
        "peak": {"instant": live.index(max(live)), "bytes": max(live)},
        "outside": {"state": 407_080, "inputs": 201_216, "results": 4, "scratch": 8192},
        "timeline": _timeline(made),
        "lines": [_cost(line, phase, made) for phase, numbers in PHASES.items() for line in numbers],
    }


def _kernel(i: int, phase: str, rng: random.Random) -> dict[str, Any]:
    flops = 0 if i % 7 == 6 else rng.randrange(10_000, 50_000_000)
    read, written = rng.randrange(4096, 1 << 20), rng.randrange(4096, 1 << 18)
    predicted = max(flops / 2e11, (read + written) / 1e11)
    first = i < 2 or i % 3
    line = PHASES[phase][i % len(PHASES[phase])]
    return {
        "id": i,
        "title": f"{TITLES[phase]}",
        "family": FAMILIES[phase],
        "wave": i // 2,
        "phase": phase,
        "module": f"model.blocks.{i % 6}",
        "locs": [f"{FILE}:{line}"],
        "flops": flops,
        "bytes_read": read,
        "bytes_written": written,
        "intensity": flops / (read + written),
        "predicted": predicted,
        "measured": predicted * rng.uniform(1.05, 4),
        "ir": f"kernel(%x : f32[64,784]) {{\n  %h = matmul(%x, %w) : f32[64,{i}]\n  yield %h\n}}" if first else "",
        "llvm": "define void @kernel(ptr %frame) {\n  ret void\n}\n" if first else "",
        "assembly": "\n".join(f"\tvfmadd231ps\tzmm{j % 32}, zmm1, zmm2" for j in range(400)) if first else "",
        "lines": {f"{FILE}:{line}": [2]},
        "alike": None if first else i - i % 3 + 1,
    }


def _line(i: int, phase: str, rng: random.Random) -> dict[str, Any]:
    op = rng.choice(["matmul", "add", "relu", "mul", "sum"])
    shape = [rng.choice([32, 64]), rng.choice([10, 128, 784])]
    module = "" if phase == "update" else f"model.blocks.{i % 6}.{rng.choice(['up', 'down'])}"
    text = f"%{i} = {op}(%{max(i - 1, 0)}, %w{i % 7}) : f32[{shape[0]},{shape[1]}]"
    loc = f"{FILE}:{PHASES[phase][i % len(PHASES[phase])]}"
    return {
        "text": text,
        "node": i,
        "loc": loc,
        "module": module,
        "phase": phase,
        "op": op,
        "shape": shape,
        "dtype": "f32",
    }


RULE = {"rule": "x * 1", "count": 3, "where": [f"{FILE}:5"], "before": "mul(x, 1)", "after": "x"}
PASSES = ["simplify", "fold", "cse", "dce", "expand", "simplify", "fuse", "materialize"]


def _passes(graph: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each that changes something makes one line of three."""
    lines = [line["text"] for line in graph]
    made: list[dict[str, Any]] = []
    for i, name in enumerate(PASSES):
        changed, at = name not in ("fold", "materialize"), 2 * i
        step = {"name": name, "seconds": 1e-3 * (i + 1), "nodes_before": len(lines), "changed": changed, "rewrites": []}
        if changed:
            step["rewrites"] = [RULE] if name == "simplify" else []
            new = f"%new{i} = {name}(%0) : f32[64,128]"
            diff = [["@", f"@@ -{at + 1},4 +{at + 1},2 @@", ""], [" ", lines[at], ""]]
            diff += [["-", text, ""] for text in lines[at + 1 : at + 4]]
            step["diff"] = [*diff, ["+", new, ""]]
            lines[at + 1 : at + 4] = [new]
        made.append({"diff": []} | step | {"nodes_after": len(lines)})
    return made


def _buffer(kernel: dict[str, Any], kernels: int, rng: random.Random) -> dict[str, Any]:
    i = kernel["id"]
    return {
        "name": f"%h{i}",
        "offset": (i % 8) * 131_072,
        "bytes": 64 * rng.randrange(64, 2048),
        "first": i,
        "last": min(i + rng.randrange(1, 7), kernels - 1),
        "loc": kernel["locs"][0],
        "kernel": i,
    }


def _refusal(i: int) -> dict[str, Any]:
    reasons = ["it reads another domain: [64,784], not [64,10]", "a path leads through another kernel"]
    return {
        "producer": f"matmul %{i}",
        "consumer": f"sum %{i + 1}",
        "reason": reasons[i % 3 // 2],
        "loc": f"{FILE}:9",
        "bytes": 64 * i,
        "times": 1 + i % 2,
    }


def _timeline(kernels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    now, made = 1.0, []
    for kernel in kernels:
        for thread in (0, 1):
            made.append(
                {
                    "kernel": kernel["id"],
                    "thread": thread,
                    "wave": kernel["wave"],
                    "begin": now,
                    "end": now + kernel["measured"] / (1 + thread / 4),
                }
            )
        now += kernel["measured"]
    return made


def _cost(line: int, phase: str, kernels: list[dict[str, Any]]) -> dict[str, Any]:
    ours = [kernel for kernel in kernels if kernel["locs"] == [f"{FILE}:{line}"]]
    return {
        "file": FILE,
        "line": line,
        "seconds": sum(kernel["measured"] for kernel in ours),
        "flops": sum(kernel["flops"] for kernel in ours),
        "bytes": sum(kernel["bytes_read"] + kernel["bytes_written"] for kernel in ours),
        "kernels": [kernel["id"] for kernel in ours],
    }
