"""Which passes run, and running them: in order, timed, verified and dumped if asked."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from tinytorch.ir import verify as _verify
from tinytorch.ir.errors import VerifyError
from tinytorch.ir.families import FAMILIES
from tinytorch.ir.graph import Graph
from tinytorch.ir.kernels.costs import DEFAULT_COSTS, Costs, Precision
from tinytorch.ir.kernels.family import Families
from tinytorch.ir.kernels.liveness import MemoryLimit
from tinytorch.ir.system.collector import paused
from tinytorch.ir.system.files import write_texts
from tinytorch.ir.text.printer import print_graph
from tinytorch.passes.cse import cse
from tinytorch.passes.dce import dce
from tinytorch.passes.expand import expand
from tinytorch.passes.fold import fold, fold_weights
from tinytorch.passes.images.channels_last import channels_last
from tinytorch.passes.images.convolutions_to_products import convolutions_to_products
from tinytorch.passes.images.fold_batch_norm import fold_batch_norm
from tinytorch.passes.images.im2col import im2col
from tinytorch.passes.images.lay_out_convolutions import lay_out_convolutions
from tinytorch.passes.images.monotone_behind_pooling import monotone_behind_pooling
from tinytorch.passes.images.relu_behind_pooling import relu_behind_pooling
from tinytorch.passes.images.winograd_convolutions import winograd_convolutions
from tinytorch.passes.join_pads import join_pads
from tinytorch.passes.keep_bytes import keep_bytes
from tinytorch.passes.kernels.fuse import fuse
from tinytorch.passes.kernels.materialize import materialize
from tinytorch.passes.kernels.reduce_behind_permutes import reduce_behind_permutes
from tinytorch.passes.kernels.repeat_behind_views import repeat_behind_views
from tinytorch.passes.kernels.share_literals import share_literals
from tinytorch.passes.kernels.write_permuted import write_permuted
from tinytorch.passes.products.choose_sparse import choose_sparse
from tinytorch.passes.products.lay_out_products import lay_out_products
from tinytorch.passes.products.turn_products import turn_products
from tinytorch.passes.recognize_attention import recognize_attention
from tinytorch.passes.rematerialize.rematerialize import rematerialize
from tinytorch.passes.simplify.algebra import simplify

Pass = Callable[[Graph], Graph]
Passes = tuple[Pass | tuple[Pass, ...], ...]  # a group among them is repeated until it changes nothing
Watcher = Callable[[str, int, Graph, Graph], None]  # the name and the number of a pass, the graphs before and after
MAX_ROUNDS = 4  # of a group of passes; two are the rule, the last of which changes nothing

CLEAN: tuple[Pass, ...] = (simplify, fold, cse, dce)
DEFAULT_PASSES: Passes = (CLEAN, expand, CLEAN)  # to simple ops, which the interpreter runs


def kernel_passes(
    costs: Costs = DEFAULT_COSTS,
    families: Families = FAMILIES,
    *,
    frozen: bool = False,
    memory: MemoryLimit | None = None,
    precision: Precision = "fast",
) -> Passes:
    """The passes to kernels of these families, which a backend runs, for a target with these costs; with a limit of
    `memory`, those that keep to it. With the precision "exact", sums have the products of their definition.

    In a `frozen` graph, weights are constants: what can be computed of them is, after each pass that leaves some.
    """
    in_fewer_products = _given(winograd_convolutions, costs=costs)
    laid_out = _given(lay_out_products, costs=costs)
    in_groups = _given(lay_out_convolutions, costs=costs)
    kept = families.composites
    simple = (CLEAN, _given(recognize_attention, keep=kept), _given(expand, keep=kept), CLEAN)
    pooled = (relu_behind_pooling, monotone_behind_pooling, keep_bytes)
    images = (channels_last, fold_batch_norm, *pooled, convolutions_to_products)
    fewer = (in_fewer_products, in_groups) if precision == "fast" else (in_groups,)
    sparse = (_given(choose_sparse, costs=costs),) if frozen and precision == "fast" else ()
    rows = (_given(im2col, costs=costs),) if frozen else ()
    layouts = (*sparse, laid_out)
    passes: Passes = (
        *simple,
        join_pads,
        *images,
        *fewer,
        *rows,
        simplify,
        reduce_behind_permutes,
        cse,
        *layouts,
        turn_products,
        repeat_behind_views,
        *to_kernels(families, memory),
    )
    if not frozen:
        return passes
    leave_weights = (CLEAN, channels_last, in_fewer_products, in_groups, *rows, laid_out)
    return tuple(step for each in passes for step in ((each, fold_weights) if each in leave_weights else (each,)))


def to_kernels(families: Families = FAMILIES, memory: MemoryLimit | None = None) -> tuple[Pass, ...]:
    """The last of them: from nodes to kernels of these families."""
    known = [_given(each, families=families) for each in (materialize, fuse, write_permuted)]
    less_memory = () if memory is None else (_given(rematerialize, limit=memory),)
    return (*known, *less_memory, share_literals)


def _given(apply: Callable[..., Graph], **known: Any) -> Pass:
    """A pass that asks about the target, as one of a graph alone, under its own name."""
    return functools.update_wrapper(functools.partial(apply, **known), apply)


@dataclass(frozen=True)
class PassRecord:
    """One run of a pass: its name, its time in seconds, and the number of nodes before and after."""

    name: str
    seconds: float
    nodes_before: int
    nodes_after: int


@paused()
def run_passes(
    graph: Graph,
    passes: Sequence[Pass | Sequence[Pass]] = DEFAULT_PASSES,
    *,
    verify: bool | None = None,
    dump: str | Path | None = None,
    after: Watcher | None = None,
) -> tuple[Graph, list[PassRecord]]:
    """The graph after `passes`, and what each did. A sequence among them is repeated until it changes nothing.

    `verify` checks the graph before the first and after every pass (default: whether TT_VERIFY is 1); the error
    names the pass. `dump` is a folder in which the graph is written after every pass (default: TT_DUMP, if set).
    `after` is called when a pass has run, with its name, its number (from 1, as in the names of dumped files), and the
    graphs before and after it.
    """
    run = _Run(os.environ.get("TT_VERIFY") == "1" if verify is None else verify, _folder(dump), graph.name, after)
    run.check(graph, "input")
    for each in passes:
        if callable(each):
            graph = run.step(graph, each)
            continue
        for _ in range(MAX_ROUNDS):
            before = graph
            for step in each:
                graph = run.step(graph, step)
            if graph is before:
                break
    return graph, run.records


def _folder(dump: str | Path | None) -> Path | None:
    chosen = dump or os.environ.get("TT_DUMP")
    return Path(chosen) if chosen else None


class _Run:
    def __init__(self, verify: bool, dump: Path | None, name: str, after: Watcher | None) -> None:
        self.verify, self.dump, self.name, self.after = verify, dump, name, after
        self.records: list[PassRecord] = []

    def step(self, graph: Graph, apply: Pass) -> Graph:
        start = perf_counter()
        result = apply(graph)
        name = getattr(apply, "__name__", type(apply).__name__)
        self.records.append(PassRecord(name, perf_counter() - start, len(graph.nodes), len(result.nodes)))
        self.check(result, name)
        if self.after is not None:
            self.after(name, len(self.records), graph, result)
        return result

    def check(self, graph: Graph, name: str) -> None:
        if self.verify:
            try:
                _verify.verify(graph)
            except VerifyError as error:
                raise VerifyError(f"after {name}: {error}", error.loc) from None
        if self.dump is not None:
            file = f"{self.name}.{len(self.records):02d}.{name}.ir"
            write_texts(self.dump, {file: print_graph(graph, locs=True, elide=True) + "\n"})
