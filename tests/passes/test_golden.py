"""Golden tests: `tests/passes/golden/<pass>/*.ir` holds a graph, `---`, and what the pass makes of it.

`pytest --bless` rewrites the second half. In `tests/passes/golden/invalid`, a line that must be rejected ends with
`# error: text`, and the error must name that line and hold that text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.gradients import differentiated
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.families import FAMILIES
from tinytorch.ir.graph import Graph
from tinytorch.ir.kernels.costs import Costs
from tinytorch.ir.kernels.liveness import MemoryLimit
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import bf16
from tinytorch.ir.verify import verify
from tinytorch.passes.autocast import autocast
from tinytorch.passes.cse import cse
from tinytorch.passes.dce import dce
from tinytorch.passes.expand import expand
from tinytorch.passes.fold import fold
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
from tinytorch.passes.kernels.write_permuted import write_permuted
from tinytorch.passes.pipeline import CLEAN, run_passes
from tinytorch.passes.products.lay_out_products import lay_out_products
from tinytorch.passes.products.turn_products import turn_products
from tinytorch.passes.recognize_attention import recognize_attention
from tinytorch.passes.rematerialize.rematerialize import rematerialize
from tinytorch.passes.simplify.algebra import simplify
from tinytorch.runtime.schedule import liveness

GOLDEN = Path(__file__).parent / "golden"
SEPARATOR = "---\n"


def all_gradients(graph: Graph) -> Graph:
    """Gradients with respect to every float input."""
    return differentiated(graph, [i for i, v in enumerate(graph.inputs) if v.type.dtype.is_float])


def written(graph: Graph) -> Graph:
    """`write_permuted`, behind the passes to kernels."""
    return write_permuted(fuse(materialize(graph, FAMILIES), FAMILIES), FAMILIES)


PASSES: dict[str, Callable[[Graph], Graph]] = {
    "autocast": partial(autocast, dtype=bf16),
    "autodiff": all_gradients,
    "convolutions_to_products": convolutions_to_products,
    "winograd_convolutions": winograd_convolutions,
    "write_permuted": written,
    "cse": cse,
    "dce": dce,
    "expand": expand,
    "fold": fold,
    "fold_batch_norm": fold_batch_norm,
    "fuse": partial(fuse, families=FAMILIES),
    "channels_last": channels_last,
    "im2col": partial(im2col, costs=Costs(vector_bytes=8, panel_vectors=1, l2_bytes=64)),
    "join_pads": join_pads,
    "keep_bytes": keep_bytes,
    "lay_out_convolutions": partial(lay_out_convolutions, costs=Costs(byte_group=2, small_byte_group=4)),
    "lay_out_products": lay_out_products,
    "monotone_behind_pooling": monotone_behind_pooling,
    "materialize": partial(materialize, families=FAMILIES),
    "pipeline": lambda graph: run_passes(graph, verify=True)[0],
    "recognize_attention": lambda graph: run_passes(graph, (CLEAN, recognize_attention, CLEAN), verify=True)[0],
    "reduce_behind_permutes": reduce_behind_permutes,
    "repeat_behind_views": repeat_behind_views,
    "turn_products": turn_products,
    "rematerialize": partial(rematerialize, limit=MemoryLimit(5 * 64 * 64 * 4, liveness)),
    "relu_behind_pooling": relu_behind_pooling,
    "simplify": simplify,
}


def cases(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (GOLDEN / folder).glob("*.ir"))


def case_name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", cases(*PASSES), ids=case_name)
def test_golden(path: Path, request: pytest.FixtureRequest) -> None:
    source, _, expected = path.read_text().partition(SEPARATOR)
    after = PASSES[path.parent.name](parse_graph(source))
    verify(after)
    found = print_graph(after) + "\n"
    if request.config.getoption("--bless"):
        path.write_text(source + SEPARATOR + found)
    else:
        assert found == expected


@pytest.mark.parametrize("path", cases("invalid"), ids=case_name)
def test_invalid(path: Path) -> None:
    lines = path.read_text().splitlines()
    ((number, text),) = [
        (i, match[1]) for i, line in enumerate(lines, 1) if (match := re.search(r"# error: (.*)", line))
    ]
    with pytest.raises(TinyTorchError) as caught:
        parse_graph("\n".join(lines))
    message = str(caught.value)
    assert message.startswith(f"line {number}: ") and text in message, message


def test_every_pass_has_golden_graphs() -> None:
    assert all(cases(folder) for folder in [*PASSES, "invalid"])
