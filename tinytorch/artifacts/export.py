"""Object files and C headers of compiled functions."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, cast

from tinytorch import backend_names
from tinytorch.artifacts.record import SavedCall, SavedFunction
from tinytorch.compiled.calls import made_by
from tinytorch.compiled.signature import NumberSlot
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tree import Slot
from tinytorch.ir.errors import CompileError
from tinytorch.ir.graph import Builder, Graph, Value
from tinytorch.ir.loc import user_loc
from tinytorch.ir.system.files import write_together
from tinytorch.ir.text.fingerprint import fingerprint
from tinytorch.passes.freeze import freeze_inputs
from tinytorch.runtime.ahead import Interface, Parameter, as_objects
from tinytorch.runtime.schedule import constants_of

_C_WORDS = frozenset(
    re.findall(
        r"\w+",
        "auto break case char const continue default do double else enum extern float for goto if inline int long "
        "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while "
        "bool true false asm catch class delete explicit export friend mutable namespace new operator private "
        "protected public template this throw try typeid typename using virtual and or not xor "
        "state workspace threads errno stdin stdout stderr linux unix",  # and parameters of the header, and macros
    )
)


def export(
    function: SavedFunction,
    call: SavedCall,
    path: str | PathLike[str],
    *,
    header: str | PathLike[str] | None = None,
    name: str | None = None,
    target: str = "host",
) -> None:
    """Write one signature of a function to `path` and to its header; see `Compiled.export`."""
    files = _paths(path, header)
    prefix = _prefix(files[0], name)
    graph, state = _standing_alone(call)
    interface = _interface(prefix, function, call, graph, state)
    backend = backend_names.objects(target, interface, fingerprint(call.graph) or "")
    _, _, executable = made_by(backend, graph, replace(function.options, freeze=True))
    program = as_objects(executable.program)
    write_together(
        {
            files[0]: [program.object_file(constants_of(executable.graph), [t.numpy() for t in state])],
            files[1]: [program.header(files[1].name).encode()],
        }
    )


def _paths(path: str | PathLike[str], header: str | PathLike[str] | None) -> tuple[Path, Path]:
    try:
        made = Path(path)
        beside = made.with_suffix(".h") if header is None else Path(header)
    except (TypeError, ValueError) as error:
        raise CompileError(f"export: {path!r} is no path of a file: {error}", user_loc()) from None
    if os.path.abspath(made) == os.path.abspath(beside):
        raise CompileError(f"export: {made} is the header's path; name the object file model.o or so", user_loc())
    return made, beside


def _prefix(path: Path, name: str | None) -> str:
    """What the names of C functions begin with."""
    if name is not None and (re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) is None or name in _C_WORDS):
        raise CompileError(f"export: name is a name in C such as 'digit', got {name!r}", user_loc())
    return name or _c_name(path.stem, ())


def _c_name(text: str, taken: Iterable[str]) -> str:
    """A name in C like `text`, none of those that are taken."""
    made = re.sub("[^A-Za-z0-9_]+", "_", text).strip("_") or "x"
    made = f"x{made}" if made[0].isdigit() else made
    first = made = f"{made}_" if made in _C_WORDS or keyword.iskeyword(made) else made
    number = 0
    while made.lower() in {name.lower() for name in taken}:  # sizes are in capitals
        number += 1
        made = f"{first}_{number}"
    return made


# The graph.
def _standing_alone(call: SavedCall) -> tuple[Graph, list[Tensor]]:
    """The graph with the arguments and then the state as inputs, with the results and then new values as outputs, and
    all else constant; and the state."""
    graph = call.graph
    builder = Builder(graph.name, list(graph.inputs), list(graph.nodes))
    outputs: list[Value] = []
    renewed = {
        graph.inputs[i]: graph.outputs[o] for i, o in graph.state
    }  # whoever returns state returns it as it is then
    for result in call.results:
        value = call.returned[result.source] if result.source >= 0 else graph.inputs[~result.source]
        value = renewed.get(value, value)
        for op, attrs, _ in result.steps:
            value = builder.append(op, [value], attrs).output
        outputs.append(value)
    pairs = [(i, graph.outputs[o]) for i, o in graph.state]
    state = [(i, len(outputs) + n) for n, (i, _) in enumerate(pairs)]
    whole = builder.build([*outputs, *(value for _, value in pairs)], state)
    captured = list(enumerate(call.captured, call.arguments))
    written = {i for i, _ in graph.state}
    frozen = freeze_inputs(whole, {whole.inputs[i]: t.data for i, t in captured if i not in written})
    return frozen, [t for i, t in captured if i in written]


def _interface(
    prefix: str, function: SavedFunction, call: SavedCall, graph: Graph, state: Sequence[Tensor]
) -> Interface:
    """What C passes: the arguments and results of the call, named by where they are in its containers."""
    changed = {i for i, _ in graph.state}
    arguments, results = dict(_places(call.accepts)), dict(_places(call.result))
    names: list[str] = []

    def parameter(words: tuple[Any, ...], value: Value, changed: bool = False) -> Parameter:
        names.append(_c_name("_".join(map(str, words)), names))
        return Parameter(names[-1], value.type, changed)

    inputs = [
        parameter(_argument_name(arguments[i], function.parameters), value, i in changed)
        for i, value in enumerate(graph.inputs[: call.arguments])
    ]
    outputs = [parameter(("out", *results[i]), graph.outputs[i]) for i in range(len(call.results))]
    kept = [Parameter(function.names[id(tensor)], tensor.type, True) for tensor in state]
    return Interface(prefix, function.name, tuple(inputs), tuple(outputs), tuple(kept))


def _places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Which slot is where in nested containers."""
    if isinstance(tree, (Slot, NumberSlot)):
        yield tree.index, path
    elif isinstance(tree, dict):
        for key, item in cast("dict[Any, Any]", tree).items():
            yield from _places(item, (*path, key))
    elif isinstance(tree, (list, tuple)):
        for i, item in enumerate(cast("list[Any]", tree)):
            yield from _places(item, (*path, i))


def _argument_name(path: tuple[Any, ...], parameters: tuple[str, ...]) -> tuple[Any, ...]:
    """The words of an argument's name: what the function calls it, and where in it the tensor is."""
    kind, first, *rest = path
    named = kind == 0 and first < len(parameters)
    return (parameters[first] if named else f"x{first}" if kind == 0 else first, *rest)
