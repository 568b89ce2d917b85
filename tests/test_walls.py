"""The walls of the house: who may import whom.

A circle is one however its imports are made: at the top of a file, in a function, or for type checking only. Two files
that need names of each other, whenever that is, can only be read as one. What does not count is that importing a file
of a package runs the package's `__init__`: `ir` relies on it for the order of its ops, and a test holds that.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

from tinytorch.ir.kernels.family import Family
from tinytorch.ir.op import Op

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
COMPILES = [
    "training",
    "transformers",
    "kv_cache",
    *COURSE[COURSE.index("profiling") :],
]  # the modules that may use the compiler
LEAVES = ["tinytorch.insight.page"]  # what any room may use, since it uses none but `ir`
HEAVY = ["llvmlite", "networkx", "matplotlib", "rich", "typer", "torch"]


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def is_module(name: str) -> bool:
    path = ROOT.parent / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports(path: Path, types: bool = False) -> frozenset[str]:
    """The modules of the package that a file imports, in functions too; with `types` also for type checking only."""
    found: set[str] = set()
    stack: list[ast.AST] = [ast.parse(path.read_text())]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not types:
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


def circles(wanted: dict[str, frozenset[str]]) -> list[list[str]]:
    """One circle of imports for each group of files that reach each other."""
    graph = nx.DiGraph([(name, other) for name, others in wanted.items() for other in others if other != name])
    groups = [group for group in nx.strongly_connected_components(graph) if len(group) > 1]
    return [[edge[0] for edge in nx.find_cycle(graph.subgraph(group))] for group in groups]


def test_no_imports_run_in_a_circle() -> None:
    found = circles({module_name(path): imports(path, types=True) for path in files(".")})
    assert not found, "\n".join(" -> ".join([*circle, circle[0]]) for circle in found)


def test_circles_are_seen() -> None:
    wanted = {"a": {"b"}, "b": {"c"}, "c": {"b", "c"}, "d": {"a", "d"}}
    assert [sorted(circle) for circle in circles({k: frozenset(v) for k, v in wanted.items()})] == [["b", "c"]]


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_lies_before_them(room: str) -> None:
    assert files(room)
    for path in files(room):
        for name in imports(path):
            parts = name.split(".")
            known = name in LEAVES or (len(parts) > 1 and parts[1] in ROOMS[room])
            assert known, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaves_import_nothing_but_the_language(leaf: str) -> None:
    path = (ROOT.parent / leaf.replace(".", "/")).with_suffix(".py")
    assert all(name.startswith("tinytorch.ir.") for name in imports(path, types=True))


BACKENDS = ("llvm",)  # packages of the runtime, each of which implements runtime/backend.py
REGISTRY = "tinytorch/backend_names.py"  # where the backends have names
OWN_TOOLS = {"tinytorch/cli/doctor.py"}  # what tells of this machine as one backend sees it


def inside(name: str) -> str | None:
    """The backend that a module belongs to."""
    parts = name.split(".")
    return parts[2] if parts[:2] == ["tinytorch", "runtime"] and len(parts) > 2 and parts[2] in BACKENDS else None


def test_only_the_registry_knows_backends() -> None:
    found: set[str] = set()
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        used = {inside(name) for name in imports(path, types=True)} - {None, inside(module)}
        if used:
            found.add(path.relative_to(ROOT.parent).as_posix())
    assert found - OWN_TOOLS == {REGISTRY}


@pytest.mark.parametrize(
    "name",
    ["executable", "measure", "cache", "schedule", "interpreter", "python_call", "thread_count", "backend", "roofline"],
)
def test_the_seam_names_no_backend(name: str) -> None:
    """Not even in text that is no import."""
    assert not any(word in (ROOT / "runtime" / f"{name}.py").read_text() for word in ("llvmlite", "runtime.llvm"))


@pytest.mark.parametrize(
    "name", ["compile", "explain", *(f"compiled/{name}" for name in ("calls", "function", "module", "specialization"))]
)
def test_the_composition_root_names_no_backend(name: str) -> None:
    assert not any(word in (ROOT / f"{name}.py").read_text() for word in ("llvmlite", "runtime.llvm"))


GENERAL = [
    *(f"passes/{name}" for name in ("cse", "dce", "expand", "fold", "pipeline", "cost")),
    *(f"passes/kernels/{name}" for name in ("fuse", "groups", "materialize", "share_literals")),
    *(f"runtime/{name}" for name in ("schedule", "arena", "interpreter", "executable", "measure")),
    *(f"runtime/llvm/{name}" for name in ("lower", "entry", "kernel", "backend")),
    *(f"ir/kernels/{name}" for name in ("form", "index_ranges", "family")),
]


@cache
def names_of_family_ops() -> frozenset[str]:
    """What ops that belong to a family by themselves are called, in graphs and in Python."""
    modules = [importlib.import_module(module_name(path)) for path in files("ir/families")]
    families = [value for module in modules for value in vars(module).values() if isinstance(value, Family)]
    ops = {op for family in families for op in family.ops}
    assert {family.name for family in families} >= {"loop", "contract", "conv", "index", "pooling"} and ops
    known = [vars(importlib.import_module(module_name(path))) for path in files("ir/ops")]
    spelled = {name for names in known for name, value in names.items() if isinstance(value, Op) and value in ops}
    return frozenset(spelled | {op.name for op in ops})


def words_of(text: str) -> set[str]:
    """The words of a file's code: names, attributes, parts of imports, and what stands in strings but docstrings."""
    found: set[str] = set()
    tree = ast.parse(text)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # strings alone on a line
    for node in ast.walk(tree):
        for _, value in ast.iter_fields(node):
            parts = value if isinstance(value, list) else [value]
            if id(node) not in docs:
                found.update(word for part in parts if isinstance(part, str) for word in re.findall(r"\w+", part))
    return found


@pytest.mark.parametrize("name", GENERAL)
def test_general_files_name_no_op_of_a_family(name: str) -> None:
    """They ask the table of families, or the kind of an op, so that a new family is no branch in them."""
    named = words_of((ROOT / f"{name}.py").read_text()) & names_of_family_ops()
    assert not named, f"{name}.py names {sorted(named)}"


def test_named_ops_are_seen() -> None:
    text = '"""matmul"""\nfrom tinytorch.ir.ops.index import gather as g\n'
    text += 'def f(op):\n    """pad"""\n    return op.name == "concat"\n'
    assert words_of(text) & names_of_family_ops() == {"gather", "concat"}
    assert {"conv2d", "matmul", "cumsum", "max_pool2d", "winograd_weights"} <= names_of_family_ops()


def module_of(path: Path, package: Path = ROOT / "frontend") -> str:
    """The module or package in `package` that a file belongs to."""
    return path.relative_to(package).with_suffix("").parts[0]


def order_of(package: Path) -> list[str]:
    """The modules that the docstring of a package names, in its order."""
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    return re.findall(r"`(\w+)`", text)


TABLES = ("ir", "ir/ops", "ir/families", "passes")  # whose order is another: of definitions, or of the pipeline
PACKAGES = [p.parent for room in (*ROOMS, "compiled") for p in files(room) if p.name == "__init__.py"]
PACKAGES = [package for package in PACKAGES if package.relative_to(ROOT).as_posix() not in TABLES]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_docstrings_of_packages_name_modules_in_an_order_in_which_they_can_be_read(package: Path) -> None:
    """Each imports only those before it; a package counts by all of its files."""
    order, prefix = order_of(package), f"{module_name(package)}."
    inside = [path for path in package.rglob("*.py") if path != package / "__init__.py"]
    assert sorted(order) == sorted({module_of(path, package) for path in inside})
    for path in inside:
        name = module_of(path, package)
        found = {other.removeprefix(prefix).split(".")[0] for other in imports(path, True) if other.startswith(prefix)}
        later = found.intersection(order[order.index(name) + 1 :])
        assert not later, f"{path.relative_to(ROOT)} imports {later}, which its package names later"


def test_modules_of_the_course_stand_in_its_order() -> None:
    """So that none depends on what has not been built yet: training, which compiles, comes behind tracing."""
    found = [name for name in order_of(ROOT / "frontend") if name in COURSE]
    assert found == [name for name in COURSE if name in found]
    assert set(COURSE[:9]) <= set(found)


def test_functional_is_a_list_of_names_for_users_alone() -> None:
    users = [path.name for path in files("frontend") if "tinytorch.frontend.functional" in imports(path)]
    assert users == ["names.py"]


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
    assert imports(file, types=True) == imports(file) | {"tinytorch.runtime"}
    assert inside("tinytorch.runtime.llvm.text.jit") == "llvm" and inside("tinytorch.runtime.cache") is None


IMPORT_EACH_FIRST = """
import importlib, sys, types
for name in sys.argv[2:]:
    for loaded in [m for m in sys.modules if m.split(".")[0] == "tinytorch"]:
        del sys.modules[loaded]
    sys.modules["tinytorch"] = root = types.ModuleType("tinytorch")  # without its __init__, which imports nearly all
    root.__path__ = [sys.argv[1]]
    importlib.import_module(name)
"""


def test_every_module_of_ir_can_be_imported_first() -> None:
    names = map(module_name, files("ir"))
    subprocess.run([sys.executable, "-c", IMPORT_EACH_FIRST, str(ROOT), *names], check=True)


def test_importing_tinytorch_loads_nothing_heavy() -> None:
    code = f"import sys, tinytorch; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, check=True)
    assert done.stdout.strip() == "[]"
