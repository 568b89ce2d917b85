"""The C header of an object file: what `interface` writes, declared and explained."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.types import TensorType
from tinytorch.runtime.ahead import Interface, Parameter
from tinytorch.runtime.arena import ALIGNMENT
from tinytorch.runtime.llvm.ahead.interface import NAMES
from tinytorch.runtime.llvm.ahead.memory import MAX_THREADS, Packed, Workspace

_TYPES = {
    "f64": "double",
    "f32": "float",
    "f16": "uint16_t",
    "bf16": "uint16_t",
    "i64": "int64_t",
    "i32": "int32_t",
    "i8": "int8_t",
    "u8": "uint8_t",
    "bool": "uint8_t",
}
_NOTES = {"f16": ", bits of IEEE half floats", "bf16": ", bits of bfloat16", "bool": ", 0 or 1"}


def header_text(interface: Interface, machine: str, workspace: Workspace, messages: Sequence[str], name: str) -> str:
    """The text of the header of object file `name`, for a `machine` in words."""
    prefix, upper = interface.prefix, interface.prefix.upper()
    state = interface.state
    own = "outputs, workspaces and states" if state else "outputs and workspaces"
    lines = [
        f"/* {_plain(name)}: what the object file beside it computes; written by TinyTorch.",
        " *",
        f" * {_plain(interface.title)}, for {machine}. Link with -lm -lpthread.",
        " *",
        *(f" *   {_described(p, 'in, changed' if p.changed else 'in')}" for p in interface.inputs),
        *(f" *   {_described(p, 'out')}" for p in interface.outputs),
        *(f" *   state: {_described(p, 'kept between calls')}" for p in state),
        " *",
        " * Arrays are in row-major order and do not overlap. Results are the same bits for any number of threads.",
        " */",
        f"#ifndef {upper}_H",
        f"#define {upper}_H",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        "/* Elements of each array. */",
        *(f"#define {upper}_{p.name.upper()}_SIZE {p.type.size}" for p in (*interface.inputs, *interface.outputs)),
        "",
        f"/* Bytes of a workspace, aligned to {ALIGNMENT}, for a pool of that many threads; 1 without a pool. */",
        f"#define {upper}_WORKSPACE_BYTES(threads) ({_size(workspace)})",
        f"#define {upper}_MAX_THREADS {MAX_THREADS}",
        *([f"#define {upper}_STATE_BYTES {Packed.of([p.type for p in state]).bytes}"] if state else []),
        "",
        f"/* What {prefix}_run returns. */",
        "enum {",
        *(f"    {upper}_{word} = {i}, /* {_plain(messages[i])} */" for i, word in enumerate(NAMES)),
        "};",
        "",
        "/* The same in words: a constant string. */",
        f"const char *{prefix}_message(int status);",
        "",
        f"/* A pool of `count` threads, of which the caller of {prefix}_run is one. NULL where `count` is not 1 to",
        f"   {MAX_THREADS}, or the system has no threads or memory left. Idle threads sleep. A forked",
        "   child has none of them. */",
        f"typedef struct {prefix}_threads {prefix}_threads;",
        f"{prefix}_threads *{prefix}_start_threads(int count);",
        f"void {prefix}_stop_threads({prefix}_threads *threads);",
        "",
        *_state_lines(interface),
        "/* Without a `workspace` (NULL), one is allocated for the call; without `threads` (NULL), the caller computes",
        f"   alone. Several threads may call at once, with {own} of their own;",
        "   while one of them has the threads of a pool, the others compute alone. */",
        f"int {prefix}_run({', '.join(_declared(interface))});",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _state_lines(interface: Interface) -> list[str]:
    prefix = interface.prefix
    if not interface.state:
        return []
    return [
        f"/* Fill {prefix.upper()}_STATE_BYTES bytes at `state`, aligned to {ALIGNMENT}, with the exported state. Each",
        f"   {prefix}_run that returns 0 changes it; none that returns something else does. */",
        f"void {prefix}_init_state(void *state);",
        "",
    ]


def _declared(interface: Interface) -> list[str]:
    """The parameters of PREFIX_run."""
    arrays = [f"{'' if p.changed else 'const '}{_TYPES[p.type.dtype.name]} *{p.name}" for p in interface.inputs]
    arrays += [f"{_TYPES[p.type.dtype.name]} *{p.name}" for p in interface.outputs]
    state = ["void *state"] if interface.state else []
    return [*arrays, *state, "void *workspace", f"{interface.prefix}_threads *threads"]


def _described(parameter: Parameter, how: str) -> str:
    type: TensorType = parameter.type
    note = _NOTES.get(type.dtype.name, "")
    return f"{_TYPES[type.dtype.name]}{list(type.shape)} {_plain(parameter.name)}{note}  ({how})"


def _size(workspace: Workspace) -> str:
    return f"(size_t){workspace.base} + (size_t){workspace.each} * (size_t)(threads)"


def _plain(text: str) -> str:
    """Text that does not end a comment."""
    return "".join(c if c.isprintable() else "?" for c in text).replace("*/", "* /").replace("/*", "/ *")
