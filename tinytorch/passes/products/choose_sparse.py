"""Products by weights with many zeros."""

from __future__ import annotations

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.kernels.costs import DEFAULT_COSTS, Costs
from tinytorch.ir.op import Array
from tinytorch.ir.ops.contract import matmul
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.sparse import pack, pack_semi_structured, semi_structured_matmul, sparse_matmul
from tinytorch.ir.rewrite import Rewriter, Term, local, rewrite, table
from tinytorch.passes.products.sparsity import Form, choice_of, has_zeros, is_far


def choose_sparse(graph: Graph, *, costs: Costs = DEFAULT_COSTS) -> Graph:
    """Store constant weights without their zeros where the product then takes less time on a target, by the model of
    `sparsity`.

        %y = matmul(%x, %w)    -->    %y = sparse_matmul(%x, %values, %rows, %order, %ends) {columns=4096}

    Patterns are found in the weights. Weights of few zeros are told by a sample of their elements. Absent weights are
    not multiplied: where x is infinite or NaN, 0 · x, which is NaN, is left out of the sum. That is what who prunes a
    model asks for; with `precision="exact"` the pass does not run. Zeros that are kept, since they stand beside other
    elements in a block or make up two of four, are multiplied.
    """
    weights = {node.output: node.attrs["value"] for node in graph.nodes if node.op is constant}
    products = [node for node in graph.nodes if node.op is matmul and suits(node, weights)]
    found = {node.inputs[1] for node in products if has_zeros(weights[node.inputs[1]])}
    if not found:
        return graph
    far = is_far((weights[value] for value in {node.inputs[1] for node in products}), costs)
    known: dict[tuple[Value, Form], tuple[Array, ...]] = {}

    @local(matmul)
    def without_zeros(rewriter: Rewriter, node: Node) -> Term | None:
        """matmul(x, w) == sparse_matmul(x, *pack(w))"""
        x, w = map(rewriter.term, node.inputs)
        made = rewriter.producer(w.value, constant)
        if made is None or w.value not in found:
            return None
        form = choice_of(made.attrs["value"], x.shape[0], far, costs).form
        if form is None:
            return None
        if (w.value, form) not in known:
            known[w.value, form] = _packed(made.attrs["value"], form)
        arrays = [x.constant(array) for array in known[w.value, form]]
        op = semi_structured_matmul if form.two_of_four else sparse_matmul
        return x.apply_op(op, [x, *arrays], {"columns": w.shape[1]})

    return rewrite(graph, table([without_zeros]))


def suits(node: Node, weights: dict[Value, Array]) -> bool:
    """Whether a product is one of rows by a constant matrix of f32 or f64."""
    x, w = (v.type for v in node.inputs)
    plain = w.rank == 2 and x.dtype == w.dtype == node.output.type.dtype and w.dtype.is_float and w.dtype.bits >= 32
    return plain and node.inputs[1] in weights and 0 not in (*x.shape, *w.shape)


def _packed(w: Array, form: Form) -> tuple[Array, ...]:
    if form.two_of_four:
        return pack_semi_structured(w, form.lanes)
    return pack(w, form.lanes, form.side_by_side, form.width)
