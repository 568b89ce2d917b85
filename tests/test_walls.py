"""The walls of the house: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "tinytorch"
ROOMS = {
    "ir": ("ir",),
    "passes": ("ir", "passes"),
    "runtime": ("ir", "runtime"),
    "frontend": ("ir", "frontend", "compile"),
}
COURSE = [
    "tensor",
    "activations",
    "layers",
    "losses",
    "autograd",
    "optimizers",
    "training",
    "data",
    "spatial",
    "tokenization",
    "embeddings",
    "attention",
    "transformers",
    "kv_cache",
    "profiling",
    "acceleration",
    "quantization",
    "compression",
    "benchmarking",
]
COMPILES = ["training", *COURSE[COURSE.index("profiling") :]]  # the modules that may use the compiler
HEAVY = ["llvmlite", "networkx", "matplotlib", "rich", "typer", "graphviz", "torch"]


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def is_module(name: str) -> bool:
    path = ROOT.parent / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@cache
def imports(path: Path) -> frozenset[str]:
    """The modules of the package that a file imports, in functions too, but not for type checking only."""
    found: set[str] = set()
    stack: list[ast.AST] = [ast.parse(path.read_text())]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name if is_module(name) else node.module for name in names)
        stack.extend(ast.iter_child_nodes(node))
    return frozenset(name for name in found if name.split(".")[0] == "tinytorch")


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_lies_before_them(room: str) -> None:
    assert files(room)
    for path in files(room):
        for name in imports(path):
            parts = name.split(".")
            assert len(parts) > 1 and parts[1] in ROOMS[room], f"{path.relative_to(ROOT)} imports {name}"


def module_of(path: Path) -> str:
    """The module or package of the frontend that a file belongs to."""
    return path.relative_to(ROOT / "frontend").with_suffix("").parts[0]


def frontend_imports(name: str) -> set[str]:
    """The modules and packages of the frontend that one of them imports; a package counts by all of its files."""
    prefix = "tinytorch.frontend."
    return {
        found.removeprefix(prefix).split(".")[0]
        for path in files("frontend")
        if module_of(path) == name
        for found in imports(path)
        if found.startswith(prefix)
    }


def reachable(name: str) -> set[str]:
    """What a module of the frontend imports, directly or through helpers that are no modules of the course."""
    found: set[str] = set()
    stack = [name]
    while stack:
        new = frontend_imports(stack.pop()) - found
        found |= new
        stack.extend(new - set(COURSE))
    return found


@pytest.mark.parametrize("name", [name for name in COURSE if name in set(map(module_of, files("frontend")))])
def test_course_modules_build_on_earlier_ones(name: str) -> None:
    later = COURSE[COURSE.index(name) + 1 :]
    assert reachable(name).isdisjoint(later)


def test_functional_is_a_list_of_names_for_users_alone() -> None:
    assert not [path for path in files("frontend") if "tinytorch.frontend.functional" in imports(path)]


def test_only_late_modules_use_the_compiler() -> None:
    for path in files("frontend"):
        if "tinytorch.compile" in imports(path):
            assert module_of(path) in COMPILES, f"{path} imports tinytorch.compile"


def test_the_compiler_knows_only_tensors_of_the_course() -> None:
    path = ROOT / "compile.py"
    if path.is_file():
        known = {name.removeprefix("tinytorch.frontend.") for name in imports(path)}
        assert known & set(COURSE) <= {"tensor"}


def test_the_walls_are_seen(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import tinytorch.runtime\n"
        "def f():\n    from tinytorch.passes import dce\n    from tinytorch.ir.op import Op\n    import numpy\n"
    )
    assert imports(file) == {"tinytorch.passes.dce", "tinytorch.ir.op"}


def test_importing_tinytorch_loads_nothing_heavy() -> None:
    code = f"import sys, tinytorch; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, check=True)
    assert done.stdout.strip() == "[]"
