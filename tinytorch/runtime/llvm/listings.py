"""The code of each kernel of a schedule, taken out of the module that holds all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tinytorch.runtime.backend import Listing, Listings
from tinytorch.runtime.llvm.kernel import KernelCode
from tinytorch.runtime.llvm.lower import Generator
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.schedule import Schedule

_SYMBOL = re.compile(r"@([A-Za-z_][\w.]*)")
_LABEL = re.compile(r"^_?([A-Za-z_][\w.]*):", re.MULTILINE)
_NOT_CODE = re.compile(r"^\s*\.(cfi_|type|size|globl|p2align|section|text|file|ident|addrsig|def|scl|endef|set)")


def listings(schedule: Schedule, target: Target) -> Listings:
    """LLVM text and assembly of each kernel, with the functions that it calls; alike kernels have one of each."""
    module = Module(target.attributes)
    generator = Generator(module, target)
    made = [generator.kernel(call) for wave in schedule.waves for call in wave]
    numbers = {id(code): number for number, code in enumerate(generator.known.values())}
    texts = {function.name: function.text() for function in module.functions}
    assembly = _functions(jit.emit_assembly(module.text(), target), texts)
    reached = [_reached(code, texts) for code in generator.known.values()]
    codes = tuple(
        Listing("\n".join(texts[name] for name in names), "\n".join(assembly.get(name, "") for name in names))
        for names in reached
    )
    return Listings(tuple(numbers[id(code)] for code in made), codes)


def _reached(code: KernelCode, texts: Mapping[str, str]) -> list[str]:
    """The functions of a kernel's phases, and those that these call."""
    found: dict[str, None] = {}
    open_ = [phase.function for phase in code.phases]
    while open_:
        name = open_.pop(0)
        if name in texts and name not in found:
            found[name] = None
            open_ += _SYMBOL.findall(texts[name])
    return list(found)


def _functions(assembly: str, names: Iterable[str]) -> dict[str, str]:
    """The instructions of each function, without what is for the assembler alone."""
    wanted = set(names)
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in assembly.split("\n"):
        label = _LABEL.match(line)
        if label is not None and label[1] in wanted:
            current = found.setdefault(label[1], [])
        elif line.startswith((".Lfunc_end", "Lfunc_end")):
            current = None
        if current is not None and not _NOT_CODE.match(line):
            current.append(line)
    return {name: "\n".join(lines).rstrip() for name, lines in found.items()}
