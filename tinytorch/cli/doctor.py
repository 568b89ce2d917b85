"""`tinytorch doctor`: what the compiler finds on this machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import tempfile
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinytorch.compile import compile
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.text.units import size
from tinytorch.ir.types import f32
from tinytorch.runtime import cache
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.threads.peaks import peaks
from tinytorch.runtime.thread_count import get_num_threads

_PACKAGES = ("tinytorch", "numpy", "llvmlite", "networkx", "matplotlib", "safetensors")
_PEERS = ("torch", "jax", "onnxruntime")


def findings(console: Console) -> bool:
    """Print them; whether everything that compiled code needs is there."""
    target = Target.host()
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("CPU", f"{_cpu_name()}, {_usable_cpus()} usable")
    table.add_row("code for", f"{target.name}: {target.cpu}, {target.triple}")
    table.add_row("vectors", f"{target.vector_bytes * 8} bits, {target.lanes(f32)} × f32; {_instructions(target)}")
    table.add_row("caches", f"L1 {size(target.l1_bytes)}, L2 {size(target.l2_bytes)}")
    table.add_row("threads", f"{get_num_threads()} (TT_NUM_THREADS={os.environ.get('TT_NUM_THREADS', 'not set')})")
    cached, cache_works = _cache()
    table.add_row("disk cache", cached)
    table.add_row("data", _data())
    if overlay := os.environ.get("TT_OVERLAY"):
        table.add_row("overlay", _overlay(Path(overlay)))
    table.add_row("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    table.add_row("packages", _versions(_PACKAGES))
    table.add_row("peers", _versions(_PEERS) or "none installed")
    compiled, compiles = _compiles()
    table.add_row("compiling", compiled)
    table.add_row("at best", _peaks())
    console.print(table)
    return cache_works and compiles


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8", errors="replace") if info.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _instructions(target: Target) -> str:
    known = {"fma": target.has_fma, "f16": target.has_half, "vnni": target.has_vnni, "bf16": target.has_bf16}
    return "with " + ", ".join(name for name, has in known.items() if has) if any(known.values()) else "plain"


def _cache() -> tuple[str, bool]:
    try:
        code = cache.code_folder()
        code.make()
        sizes = [status.st_size for name, status in code.files() if name.endswith(".ttc")]
        with tempfile.TemporaryFile(dir=code.path):
            pass
    except OSError as error:
        return f"[red]{escape(f'{cache.folder()}: not writable ({error})')}: every process compiles anew[/]", False
    return f"{escape(str(code.path))}: {len(sizes)} entries, {size(sum(sizes))}; writable", True


def _overlay(folder: Path) -> str:
    """The definitions that are a learner's."""
    from tinytorch.overlay import read

    return escape(f"{folder}: ") + ", ".join(piece.path for piece in read(folder))


def _data() -> str:
    chosen = os.environ.get("TINYTORCH_DATA")
    if not chosen:
        return "TINYTORCH_DATA is not set: data sets are downloaded to the cache folder"
    return escape(chosen) if Path(chosen).is_dir() else f"[yellow]TINYTORCH_DATA={escape(chosen)} is no folder[/]"


def _versions(names: tuple[str, ...]) -> str:
    found: list[str] = []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _compiles() -> tuple[str, bool]:
    """Compile something and check what it computes."""
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    try:
        result = compile(lambda a: (a @ a.T).relu())(Tensor(x))
    except TinyTorchError as error:
        return f"[red]fails: {escape(str(error))}[/]", False
    right = np.array_equal(result.numpy(), x @ x.T)
    return ("works", True) if right else ("[red]gives wrong numbers[/]", False)


def _peaks() -> str:
    found = peaks(again=True)
    rates = ", ".join(f"{rate / 1e9:.0f} GB/s in {size(held)}" for held, rate in found.bandwidths)
    return f"{found.flops / 1e9:.0f} GFLOP/s (f32, {found.threads} threads); copy {rates}"
