"""From LLVM text to machine code: compile to an object file, load one, or show the assembly.

There is no IR pass pipeline: the builder's text is already in the form that the pipeline would bring it to.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from tinytorch.ir.errors import CompileError
from tinytorch.runtime.llvm.text import library
from tinytorch.runtime.llvm.text.target import Target

if TYPE_CHECKING:
    import llvmlite.binding as llvm

_MAGIC = (b"\x7fELF", b"\xcf\xfa\xed\xfe")  # ELF (also on Windows, for the JIT) and Mach-O
_LEVEL = 2  # of code generation: 1 to 3 give the same speed, 0 a third of it


class LoadedCode:
    """Machine code in this process; it stays mapped for as long as this object lives."""

    def __init__(self, engine: llvm.ExecutionEngine) -> None:
        self._engine = engine

    def address(self, name: str) -> int:
        """Where the function begins; CompileError if the object has none of that name."""
        found = int(self._engine.get_function_address(name))
        if not found:
            raise CompileError(f"the loaded object has no function {name!r}")
        return found


def compile_object(text: str, target: Target, relocatable: bool = False) -> bytes:
    """The object file of a module's text; CompileError shows the line that LLVM rejects, with a caret. One that is
    `relocatable` is for programs and shared libraries, wherever these are loaded."""
    return _machine(target, relocatable).emit_object(_parse(text, target))


def emit_assembly(text: str, target: Target) -> str:
    """The assembly that `compile_object` would assemble."""
    return _machine(target).emit_assembly(_parse(text, target))


def load_object(data: bytes) -> LoadedCode:
    """Map an object file into this process and resolve what it calls.

    LLVM trusts the data beyond its first bytes: whoever keeps objects on disk must check that they are whole.
    """
    llvm = library.llvm()
    host = Target.host()
    if not data.startswith(_MAGIC):
        raise CompileError("the data is not an object file")
    empty = _parse("", host)
    try:
        engine = llvm.create_mcjit_compiler(empty, _new_machine(host))
        engine.add_object_file(llvm.ObjectFileRef.from_data(data))
        engine.finalize_object()
    except (RuntimeError, OSError) as error:
        raise CompileError(f"the object file cannot be loaded: {error}") from error
    return LoadedCode(engine)


@functools.lru_cache(8)
def _machine(target: Target, relocatable: bool = False) -> llvm.TargetMachine:
    return _new_machine(target, relocatable)


def _new_machine(target: Target, relocatable: bool = False) -> llvm.TargetMachine:
    llvm = library.llvm()
    reloc, model = ("pic", "small") if relocatable else ("default", "jitdefault")
    try:
        found = llvm.Target.from_triple(target.triple)
        return found.create_target_machine(
            cpu=target.cpu, features=target.features, opt=_LEVEL, reloc=reloc, codemodel=model
        )
    except RuntimeError as error:
        raise CompileError(f"LLVM cannot generate code for {target.name} ({target.triple}): {error}") from error


def _parse(text: str, target: Target) -> llvm.ModuleRef:
    llvm = library.llvm()
    try:
        module = llvm.parse_assembly(text)
        module.triple = target.triple
        module.data_layout = str(_machine(target).target_data)
        module.verify()
    except RuntimeError as error:
        raise CompileError(f"LLVM rejects the generated code: {str(error).strip()}") from error
    return module
