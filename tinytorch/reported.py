"""What a compiled function answers when it is asked what was made of it."""

from __future__ import annotations

from collections import deque
from os import PathLike
from typing import TYPE_CHECKING, Any

from tinytorch import backend_names
from tinytorch.backend_names import Choice
from tinytorch.ir.costs import Precision
from tinytorch.ir.graph import Graph
from tinytorch.passes.pipeline import PassRecord
from tinytorch.runtime.executable import Executable
from tinytorch.specialization import Compilation, Specialization

if TYPE_CHECKING:
    from tinytorch.insight.record import Record
    from tinytorch.insight.subject import Subject
    from tinytorch.report import Report


class Reported:
    """The questions; `Compiled` is what answers them, for the signature of the last call."""

    backend: Choice
    freezes: bool
    memory_limit: int | None
    precision: Precision
    _name: str
    _compilations: deque[Compilation]

    @property
    def _shown(self) -> Specialization:
        """What ran last; CompileError where nothing has."""
        raise NotImplementedError

    def _for_example(self, args: tuple[Any, ...]) -> Specialization:
        """What a call with these arguments would run, compiled and not run."""
        raise NotImplementedError

    @property
    def graph(self) -> Graph:
        """The graph of the last call, after the passes."""
        return self._shown.calls.graph

    @property
    def traced_graph(self) -> Graph:
        """The graph of the last call, as it was traced."""
        return self._shown.traced.graph

    @property
    def passes(self) -> list[PassRecord]:
        """What each pass did to the graph of the last call."""
        return self._shown.calls.passes

    @property
    def executable(self) -> Any:
        """What ran in the last call."""
        return self._shown.calls.executable

    def _subject(self, item: Specialization) -> Subject:
        from tinytorch.insight.subject import Subject

        executable = item.calls.executable
        backend = executable.backend if isinstance(executable, Executable) else None
        how = self.freezes, self.memory_limit, self.precision, backend_names.name_of(self.backend)
        return Subject(self._name, item, backend, *how, tuple(self._compilations))

    def explain(self, measure: bool = False) -> Report:
        """What each pass did to the graph of the last call, and each kernel against the roofline; see `Report`."""
        from tinytorch.explain import explain

        return explain(self, measure)

    def report(self, path: str | PathLike[str] | None = None, measure: bool = True) -> Record:
        """All that is known of the last call: what each pass rewrote, the kernels with their code, why nodes were not
        fused, memory over time, the time of each kernel and of each line; with `path`, also as a page for the browser.

        With `measure`, the graph runs a few times more, on copies of what it reads and on made-up arguments, in a build
        that takes the time of every kernel: nothing of the program changes. CompileError before the first call;
        TinyTorchError where the file cannot be written. `tt.compare_reports` takes two of these.
        """
        from tinytorch.insight.collect import collect

        record = collect(self._subject(self._shown), measure)
        if path is not None:
            from tinytorch.insight.page import write_page

            write_page(record, path)
        return record
