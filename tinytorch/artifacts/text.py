"""A compiled function as tensors and text, and back: the format of its files.

The tensors are those that it captures and its large constants. The text is a description in JSON and one graph for
each signature, in the metadata of the safetensors file. Nothing in it is code: graphs are parsed and verified, types
are inferred again, and whatever names or counts something is checked against what is there.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any, NoReturn, cast, get_args

import numpy as np

from tinytorch.artifacts.record import SavedCall, SavedFunction
from tinytorch.backend_names import NAMES, name_of
from tinytorch.compiled.options import Options
from tinytorch.compiled.signature import NumberSlot
from tinytorch.frontend.functions.pointwise.mathematics import MantissaAndExponent
from tinytorch.frontend.functions.reductions.reducing import MinAndMax
from tinytorch.frontend.module.saving import from_tree, to_tree
from tinytorch.frontend.module.weights import is_summed
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.storage import Steps
from tinytorch.frontend.tracing.traced import Result
from tinytorch.frontend.tree import Fields, Slot
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.graph import Builder, Graph, Node, Value
from tinytorch.ir.kernels.costs import Precision
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.operators.reductions import ValuesAndIndices
from tinytorch.ir.ops.core import constant
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import TensorType, f64, i64
from tinytorch.ir.verify import verify
from tinytorch.passes.freeze import freeze_inputs

VERSION = 1  # of the format; a reader knows this one and all before it
DESCRIPTION, GRAPH = "tinytorch.artifact", "tinytorch.graph"  # keys of the metadata; those of graphs are numbered
_INLINE = 1 << 10  # bytes of a constant that stands in the text; larger ones are tensors of the file
_NUMBERS: dict[str, type] = {"int": int, "float": float}
_NAMED: dict[str, Any] = {kind.__name__: kind for kind in (ValuesAndIndices, MinAndMax, MantissaAndExponent)}
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError, TinyTorchError)


# Writing.
def content(saved: SavedFunction) -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors and the metadata of a file. TinyTorchError for arguments and results that a file cannot hold."""
    names = saved.names
    tensors: dict[str, Any] = {}
    for call in saved.calls:
        tensors.update((names[id(t)], t) for t in call.captured)
    graphs: dict[str, str] = {}
    described: list[dict[str, Any]] = []
    for number, call in enumerate(saved.calls):
        graph, constants = _without_constants(call.graph, tensors)
        graphs[f"{GRAPH}.{number}"] = print_graph(graph, locs=True)
        described.append(
            {
                "arguments": _tree(call.accepts, f"{saved.name} was called with"),
                "captured": [names[id(t)] for t in call.captured],
                "constants": constants,
                "result": _tree(call.result, f"{saved.name} returns"),
                "results": [[r.source, _views_text(call, r)] for r in call.results],
                "layouts": [list(x) for x in call.layouts],
                "grad": call.grad_mode,
            }
        )
    description = {
        "version": VERSION,
        "name": saved.name,
        "parameters": saved.parameters,
        "freeze": saved.options.freeze,
        "memory_limit": saved.options.memory_limit,
        "precision": saved.options.precision,
        "backend": name_of(saved.options.backend),
        "calls": described,
    }
    return tensors, {DESCRIPTION: json.dumps(description, allow_nan=False), **graphs}


def _tree(obj: Any, what: str) -> Any:
    def leaf(value: Any, path: tuple[Any, ...]) -> dict[str, Any] | None:
        if isinstance(value, Slot):
            return {"slot": value.index}
        if isinstance(value, NumberSlot):
            return {"number": [value.index, value.kind.__name__]}
        if type(value) in _NAMED.values():
            return {"named": [type(value).__name__, [to_tree(x, leaf, (*path, i)) for i, x in enumerate(value)]]}
        if type(value) is OrderedDict:
            return {"ordered": [[key, to_tree(x, leaf, (*path, key))] for key, x in value.items()]}
        kind = value.kind if isinstance(value, Fields) else type(value)
        if isinstance(value, Fields) or (isinstance(value, (dict, list, tuple)) and kind not in (dict, list, tuple)):
            raise TinyTorchError(f"a {kind.__name__}, which is Python's")
        return None

    try:
        return to_tree(obj, leaf)
    except TinyTorchError as error:
        raise TinyTorchError(
            f"save: {what} what a file cannot hold: {str(error).removeprefix('save: ')}. Tensors, numbers, strings, "
            "and dicts, lists and tuples of them can be saved; let the function capture the rest",
            user_loc(),
        ) from None


def _without_constants(graph: Graph, tensors: dict[str, Any]) -> tuple[Graph, list[str]]:
    """The graph with its large constants as further inputs, and their names among the `tensors`; without the folders
    of the user's files."""
    inputs, names, nodes = list(graph.inputs), list[str](), list[Node]()
    for node in graph.nodes:
        if node.op is constant and cast("Array", node.attrs["value"]).nbytes > _INLINE:
            name = f"constant.{len(tensors)}"
            while name in tensors:
                name += "'"
            tensors[name] = node.attrs["value"]
            names.append(name)
            inputs.append(node.output)
        else:
            loc = node.loc and replace(node.loc, file=PurePath(node.loc.file).name)
            nodes.append(replace(node, loc=loc))
    return Graph(graph.name, tuple(inputs), tuple(nodes), graph.outputs, graph.state), names


def _views_text(call: SavedCall, result: Result) -> str | None:
    """How a result lies in what it is a view of, as a graph; None where it is all of it."""
    if not result.steps:
        return None
    builder = Builder("views")
    value = builder.input(_source(call, result.source).type)
    for op, attrs, _ in result.steps:
        value = builder.append(op, [value], attrs).output
    return print_graph(builder.build([value]))


def _source(call: SavedCall, source: int) -> Value:
    """What a result is, or is a view of: an output, or the input `~source`."""
    return call.returned[source] if source >= 0 else call.graph.inputs[~source]


# Reading.
def saved_function(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], path: object) -> SavedFunction:
    """What `content` wrote into the file `path`; TinyTorchError where it is damaged, or newer than this program."""
    if not is_summed(metadata):
        raise TinyTorchError(f"load: {path} has lost its checksum: another program has changed it", user_loc())
    try:
        return _function(tensors, metadata)
    except _NewerError as error:
        raise TinyTorchError(f"load: {path} {error}", user_loc()) from None
    except _DAMAGE as error:
        what = str(error) if isinstance(error, (TinyTorchError, ValueError)) else repr(error)
        raise TinyTorchError(f"load: {path} is damaged: {what}", user_loc()) from None


class _NewerError(Exception):
    """A format that this program does not know."""


def _fail(message: str) -> NoReturn:
    raise ValueError(message)


def _function(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> SavedFunction:
    table = json.loads(metadata[DESCRIPTION])
    if not isinstance(table, dict):
        _fail("its description is no table")
    description = cast("dict[str, Any]", table)
    version = description.get("version")
    if type(version) is not int or version < 1:
        _fail(f"version {version!r} is none")
    if version > VERSION:
        raise _NewerError(
            f"has format {version}, written by a newer TinyTorch; this one reads up to {VERSION}. Install the newer one"
        )
    limit, calls = description["memory_limit"], description["calls"]
    if not isinstance(calls, list) or not calls:
        _fail("it has no signatures")
    if limit is not None and (type(limit) is not int or limit < 0):
        _fail(f"memory_limit is {limit!r}")
    if type(description["freeze"]) is not bool:
        _fail(f"freeze is {description['freeze']!r}")
    name, parameters = description["name"], description["parameters"]
    if not isinstance(parameters, list) or not all(isinstance(x, str) for x in cast("list[Any]", parameters)):
        _fail("parameters are no list of names")
    signatures = tuple(
        _call(_table(call), tensors, _text(metadata, number)) for number, call in enumerate(cast("list[Any]", calls))
    )
    return SavedFunction(
        name=name if isinstance(name, str) else _fail(f"name is {name!r:.80}"),
        parameters=tuple(cast("list[str]", parameters)),
        calls=signatures,
        names={id(tensor): name for name, tensor in tensors.items()},
        options=Options(
            backend=_one_of("backend", description["backend"], NAMES),
            freeze=description["freeze"],
            memory_limit=limit,
            precision=cast("Precision", _one_of("precision", description["precision"], get_args(Precision))),
        ),
    )


def _one_of(what: str, value: Any, known: tuple[str, ...]) -> str:
    return value if isinstance(value, str) and value in known else _fail(f"{what} is {value!r:.80}")


def _table(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else _fail("a signature is no table")


def _text(metadata: Mapping[str, Any], number: int) -> str:
    text = metadata.get(f"{GRAPH}.{number}")
    return text if isinstance(text, str) else _fail(f"graph {number} is missing")


def _call(table: dict[str, Any], tensors: Mapping[str, Tensor], text: str) -> SavedCall:
    graph = _graph(text)
    captured, constants = (_named(table[key], tensors) for key in ("captured", "constants"))
    arguments = len(graph.inputs) - len(captured) - len(constants)
    if arguments < 0:
        _fail(f"a graph of {len(graph.inputs)} inputs, and {len(captured) + len(constants)} tensors for them")
    for value, tensor in zip(graph.inputs[arguments:], (*captured, *constants), strict=True):
        if value.type != tensor.type:
            _fail(f"{value} of a graph stands for a tensor of {tensor.type}")
    graph = freeze_inputs(graph, _arrays(graph, constants)) if constants else graph
    call = SavedCall(
        accepts=_accepted(table["arguments"], [v.type for v in graph.inputs[:arguments]]),
        graph=graph,
        arguments=arguments,
        captured=captured,
        result=None,
        results=(),
        layouts=tuple(_layout(entry, graph, arguments) for entry in table["layouts"]),
        grad_mode=table["grad"] if type(table["grad"]) is bool else _fail(f"grad is {table['grad']!r:.80}"),
    )
    results = tuple(_result(entry, call) for entry in table["results"])
    return replace(call, results=results, result=_read(table["result"], {"slot": _slots(len(results))}))


def _graph(text: str) -> Graph:
    """A graph of ops, verified; none of its nodes is a kernel, which passes alone make. Its lines are in files without
    folders, so that errors quote no others."""
    graph = parse_graph(text)
    verify(graph)
    if any(node.loc is not None and node.loc.file != PurePath(node.loc.file).name for node in graph.nodes):
        _fail("a line in a file of some folder")
    if any(node.op.kind == "kernel" for node in graph.nodes):
        _fail("a graph of kernels, where one of ops belongs")
    return graph


def _named(names: Any, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    listed = cast("list[Any]", names if isinstance(names, list) else _fail("the tensors of a graph are no list"))
    if len(set(listed)) != len(listed):
        _fail("a graph has one tensor for two inputs")
    missing = [name for name in listed if name not in tensors]
    return _fail(f"tensor {missing[0]!r:.80} is missing") if missing else tuple(tensors[name] for name in listed)


def _arrays(graph: Graph, constants: tuple[Tensor, ...]) -> dict[Value, Array]:
    values = graph.inputs[len(graph.inputs) - len(constants) :]
    return {value: np.asarray(tensor.data) for value, tensor in zip(values, constants, strict=True)}


def _accepted(tree: Any, types: list[TensorType]) -> Any:
    """(args, kwargs), in which each argument of the graph has its place, the same one maybe several times."""
    seen: set[int] = set()

    def slot(index: Any) -> Slot:
        found = _slots(len(types))(index)
        seen.add(found.index)
        return found

    def number(entry: Any) -> NumberSlot:
        index, kind = entry
        found = NumberSlot(slot(index).index, _NUMBERS[kind])
        if types[found.index] != TensorType(i64 if found.kind is int else f64, ()):
            _fail(f"a number is an input of {types[found.index]}")
        return found

    accepts = _read(tree, {"slot": slot, "number": number})
    shape = isinstance(accepts, tuple) and [type(x) for x in cast("tuple[Any, ...]", accepts)] == [tuple, dict]
    if not shape or seen != set(range(len(types))):
        _fail("the arguments do not fit the graph")
    if not all(isinstance(key, str) for key in accepts[1]):
        _fail("a keyword is no string")
    return accepts


def _read(tree: Any, leaves: Mapping[str, Callable[[Any], Any]]) -> Any:
    """A container that `_tree` wrote; the named tuples among them are those of this package's functions."""

    def named(entry: Any) -> Any:
        kind, parts = entry
        return _NAMED[kind](*(from_tree(part, known) for part in parts))

    def ordered(items: Any) -> Any:
        return OrderedDict((key, from_tree(item, known)) for key, item in items)

    known = {**leaves, "named": named, "ordered": ordered}
    return from_tree(tree, known)


def _slots(count: int) -> Callable[[Any], Slot]:
    def slot(index: Any) -> Slot:
        fits = type(index) is int and 0 <= index < count
        return Slot(index) if fits else _fail(f"slot {index!r:.80} of {count}")

    return slot


def _layout(entry: Any, graph: Graph, arguments: int) -> tuple[int, tuple[int, ...] | None]:
    index, strides = entry
    if type(index) is not int or not 0 <= index < arguments:
        _fail(f"the layout of argument {index!r:.80}")
    if strides is not None and (len(strides) != graph.inputs[index].type.rank or {type(s) for s in strides} - {int}):
        _fail(f"strides {strides!r:.80}")
    return index, None if strides is None else tuple(strides)


def _result(entry: Any, call: SavedCall) -> Result:
    source, views = entry
    inputs = call.arguments + len(call.captured)
    if type(source) is not int or not -inputs <= source < len(call.returned):
        _fail(f"result {source!r:.80} is neither an input nor an output")
    return Result(source, () if views is None else _steps(views, _source(call, source).type), False)


def _steps(text: Any, type: TensorType) -> Steps:
    """Views, one taken of the other, of a tensor of `type`."""
    graph = _graph(text if isinstance(text, str) else _fail("views are no text"))
    last = graph.inputs[0]
    if len(graph.inputs) != 1 or last.type != type:
        _fail(f"views of {last}, not of {type}")
    for node in graph.nodes:
        if node.op.kind != "view" or node.op.put is None or node.inputs != (last,):
            _fail(f"{node.op.name} is no view of what comes before it")
        last = node.output
    if graph.outputs != (last,) or graph.state:
        _fail("views that end elsewhere")
    return tuple((node.op, node.attrs, ()) for node in graph.nodes)
