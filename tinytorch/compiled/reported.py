"""What compiled functions answer when they are asked what was made of them."""

from __future__ import annotations

from html import escape
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from tinytorch.compiled.calls import Calls
from tinytorch.ir.errors import CompileError
from tinytorch.ir.graph import Graph
from tinytorch.ir.system.files import write_text
from tinytorch.passes.pipeline import PassRecord

if TYPE_CHECKING:
    from tinytorch.insight.memory import MemoryPlan
    from tinytorch.insight.record import Record
    from tinytorch.insight.subject import Subject
    from tinytorch.report import Report


class Reported:
    """The questions. Without an example, they are about the signature of the last call, and a CompileError before the
    first one."""

    @property
    def _shown_calls(self) -> Calls:
        """What ran last."""
        raise NotImplementedError

    def _subject(self, example: tuple[Any, ...] = ()) -> Subject:
        """What a report is about: the last call, or one with arguments like these, compiled and not run."""
        raise NotImplementedError

    @property
    def graph(self) -> Graph:
        """The graph of the last call, after the passes."""
        return self._shown_calls.graph

    @property
    def passes(self) -> list[PassRecord]:
        """What each pass did to the graph of the last call."""
        return self._shown_calls.passes

    @property
    def executable(self) -> Any:
        """What ran in the last call."""
        return self._shown_calls.executable

    def explain(self, measure: bool = False) -> Report:
        """The last call in tables: what each pass did, each kernel against the roofline, the time of each line of the
        program, memory over time, why nodes were not fused, and why something was compiled; see `Report`.

        With `measure`, the graph runs a few times more, on copies and made-up arguments, to take the times of kernels.
        """
        from tinytorch.explain import explain

        return explain(self._subject(), measure)

    def save_svg(
        self,
        path: str | PathLike[str],
        depth: int | Literal["kernels", "ops"] | None = "kernels",
        color: Literal["phase", "time"] = "phase",
        measure: bool = False,
    ) -> None:
        """Draw the graph of the last call to an SVG file.

        A box is a kernel, with its time: predicted by the roofline, or measured with `measure`, as by `explain`. Rows
        are the waves of the schedule. Boxes are coloured by `color`: the phase (forward, backward, update) or the time.
        Blocks of modules that have the same kernels are drawn once (`× 6`), and parameters are named in the boxes that
        read them. `depth=1` has one box for each module below the outermost one, `depth=2` one level more, and so on;
        "ops" (or None) shows the ops inside of kernels. TinyTorchError where the file cannot be written.
        """
        from tinytorch.insight.drawing import svg_of

        write_text(path, svg_of(self._subject(), depth, color, measure))

    def save_dot(
        self,
        path: str | PathLike[str],
        depth: int | Literal["kernels", "ops"] | None = "kernels",
        measure: bool = False,
    ) -> None:
        """Write the same picture in the language of Graphviz: `dot -Tpdf graph.dot`; arguments as for `save_svg`."""
        from tinytorch.insight.drawing import dot_of

        write_text(path, dot_of(self._subject(), depth, measure))

    def _repr_svg_(self) -> str | None:
        """What a notebook shows: the drawing."""
        from tinytorch.insight.drawing import svg_of
        from tinytorch.ir.pictures.svg import fitted

        try:
            subject = self._subject()
        except CompileError:
            return None
        return fitted(svg_of(subject))

    def _repr_html_(self) -> str | None:
        """What a notebook shows where there is nothing to draw: why."""
        try:
            self._subject()
        except CompileError as error:
            return f"<p>{escape(error.message)}</p>"
        return None

    def report(self, path: str | PathLike[str] | None = None, measure: bool = True) -> Record:
        """All that is known of the last call: what each pass rewrote, the kernels with their code, why nodes were not
        fused, memory over time, the time of each kernel and of each line; with `path`, also as a page for the browser.

        With `measure`, the graph runs a few times more, on copies of what it reads and on made-up arguments, in a build
        that takes the time of every kernel: nothing of the program changes. TinyTorchError where the file cannot be
        written. `tt.compare_reports` takes two of these records.
        """
        from tinytorch.insight.collect import collect

        record = collect(self._subject(), measure)
        if path is not None:
            from tinytorch.insight.page import write_page

            write_page(record, path)
        return record

    def trace(self, path: str | PathLike[str]) -> None:
        """Write the times of one call in the trace event format, which Perfetto (ui.perfetto.dev) and Chrome
        (about:tracing) show: each thread's pieces of kernels, and the memory in use.

        It is measured as by `report`. CompileError where kernels cannot be measured; TinyTorchError where the file
        cannot be written.
        """
        from tinytorch.insight.trace_events import write_trace

        write_trace(self._subject(), path)

    def memory_plan(self, *example: Any) -> MemoryPlan:
        """What a call needs of memory, and what lies where when: of the last call, or of one with arguments like
        `example`, which is compiled and not run."""
        return self._subject(example).memory
