"""The machine and the software of a measurement."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

PACKAGES = ("tinytorch", "numpy", "llvmlite", "torch", "jax", "jaxlib", "onnxruntime", "openvino", "onnx", "scipy")
_VARIABLES = re.compile(r"^(TT_|OMP_|MKL_|OPENBLAS_|XLA_|TORCH|GOMP_|KMP_|JAX_)")


def describe() -> dict[str, Any]:
    """CPU, caches, memory, system, versions, and the variables that change how libraries compute."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "caches": caches(),
        "memory_bytes": memory(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions(),
        "environment": {name: value for name, value in sorted(os.environ.items()) if _VARIABLES.match(name)},
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def cpu_name() -> str:
    """The model and, where it says more, LLVM's name of the core."""
    import llvmlite.binding as llvm

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        model = found.group(1) if found else model
    return f"{model} ({llvm.get_host_cpu_name()})"


def caches() -> dict[str, str]:
    """Sizes by level, of the first core."""
    sizes: dict[str, str] = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        sizes[f"L{level} {kind.lower()}"] = size
    return sizes


def memory() -> int | None:
    """Bytes of RAM, where the system tells."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def versions() -> dict[str, str]:
    """Of the packages that are installed."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
