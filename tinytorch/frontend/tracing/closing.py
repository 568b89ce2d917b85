# pyright: reportPrivateUsage=false
"""The end of a trace: what becomes of results, gradients and state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import Consumed, mode
from tinytorch.frontend.tensor.storage import depends_on_run, memory_of, storage_of
from tinytorch.frontend.tracing.opaque_results import refuse_opaque
from tinytorch.frontend.tracing.trace import Trace
from tinytorch.frontend.tracing.traced import Effects, Leaf, Result, Traced, ViewOfRun, strides_of
from tinytorch.frontend.tree import flatten
from tinytorch.ir import ops
from tinytorch.ir.graph import Value
from tinytorch.ir.loc import user_loc


class Closing:
    """What becomes of tensors and gradients when a traced function returns."""

    def __init__(self, running: Trace) -> None:
        self.trace = running
        self.arguments = {key: i for i, key in enumerate(running.inputs) if i < running.arguments}
        self.found_in: dict[int, Leaf] = {}  # of whose `grad`, by id
        self.outputs: list[Value] = []
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.dropped: list[Tensor] = []
        self.consumed: list[Tensor] = []

    def build(self, result: Any) -> Traced:
        running = self.trace
        with_history, mode.grad = mode.grad, False
        try:
            self._sort_grads()
        finally:
            mode.grad = with_history
        arrays = running.meetings.finish(running.builder, [r.tensor for r in running.roots.values()])
        for meeting in running.meetings:
            if meeting not in arrays:
                del running.inputs[id(meeting.tensor)]
        grad_inputs = self._gradients_first()
        found: list[Tensor] = []
        spec = flatten(result, found, self._is_result)
        refuse_opaque(spec, self._is_result)
        results = self._results(found, [grad for _, grad in self.kept])
        state = self._state()
        count = running.arguments
        graph = running.builder.build(self.outputs, state)
        inputs = list(running.inputs.values())
        return Traced(
            graph,
            count,
            tuple(inputs[count:]),
            grad_inputs,
            spec,
            tuple(results[: len(found)]),
            Effects(
                tuple(map(self._leaf, self.dropped)),
                tuple(map(self._leaf, self.consumed)),
                tuple((self._leaf(leaf), r) for (leaf, _), r in zip(self.kept, results[len(found) :], strict=True)),
                tuple(
                    (self._leaf(t), t._requires_grad)
                    for t, was in running.flags.values()
                    if t._requires_grad is not was
                ),
            ),
            tuple((self._leaf(r.leaf), r.initial) for r in running.grads.values() if r.read and self._outside(r.leaf)),
            tuple((i, strides_of(t)) for i, t in enumerate(inputs) if id(t) in running.layouts),
            tuple((t, storage_of(t)) for t in running.members.values()),
            arrays,
            running.went_backward,
            {i: running.roots[id(t)].history.value for i, t in enumerate(inputs) if id(t) in running.flags},
        )

    def _outside(self, tensor: Tensor) -> bool:
        return self.trace.is_outside(tensor)

    def _is_result(self, x: Any) -> bool:
        """Whether a part of the result is a tensor of this call, not one that was there before."""
        return isinstance(x, Tensor) and (id(x) in self.arguments or id(x) in self.found_in or not self._outside(x))

    def _leaf(self, tensor: Tensor) -> Leaf:
        return self.arguments.get(id(tensor), tensor)

    def _sort_grads(self) -> None:
        """Leaves whose gradient is dropped, used up, or kept. One that was there before may have changed in place,
        a change of state; what was assigned is another tensor."""
        running = self.trace
        for known in list(running.grads.values()):
            final = known.now
            as_before = final is known.initial and (known.read or not known.written)
            if not self._outside(known.leaf) or as_before or isinstance(final, Consumed):
                continue
            if final is None:
                self.dropped.append(known.leaf)
                continue
            used = known.used is not None and final is known.used[0] and running.lift(final) is known.used[1]
            if used and not (known.read and isinstance(known.initial, Tensor)):
                self.consumed.append(known.leaf)
            else:
                self.kept.append((known.leaf, final))

    def _gradients_first(self) -> tuple[Leaf, ...]:
        """Let the inputs that were found in `grad` of a leaf follow the arguments: these leaves. What was found there
        and is an argument, or the gradient of two, is not among them."""
        running = self.trace
        read = [r for r in running.grads.values() if r.read and self._outside(r.leaf)]
        times = Counter(id(r.initial) for r in read)
        for record in read:
            grad = record.initial
            if not isinstance(grad, Tensor) or times[id(grad)] > 1 or id(grad) in self.arguments:
                continue
            if id(storage_of(grad)) not in running.joined:
                running.root(grad)  # an input, even if the trace only asked whether it is there
                self.found_in[id(grad)] = self._leaf(record.leaf)
        values = dict(zip(running.inputs, running.builder.inputs, strict=True))
        order = sorted(values, key=lambda key: 0 if key in self.arguments else 1 if key in self.found_in else 2)
        running.inputs = {key: running.inputs[key] for key in order}
        running.builder.inputs[:] = [values[key] for key in order]
        return tuple(self.found_in[key] for key in order if key in self.found_in)

    def _results(self, tensors: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Result]:
        """Where each result and each kept gradient comes from; tensors that share memory come from one output."""
        running = self.trace
        places = [memory_of(t, running.inputs) for t in (*tensors, *grads)]
        members: dict[int, set[int]] = {}
        for (base, _), tensor in zip(places, (*tensors, *grads), strict=True):
            members.setdefault(id(base), set()).add(id(tensor))
        known: dict[int, int] = {}
        inputs = {key: i for i, key in enumerate(running.inputs)}
        results: list[Result] = []
        for tensor, (base, steps) in zip((*tensors, *grads), places, strict=True):
            leaf = tensor.requires_grad and id(tensor) in running.leaves and id(tensor) not in inputs
            made = tensor.requires_grad and not leaf
            differentiable, spent = made and not running.went_backward, made and running.went_backward
            if running.cuts(tensor, base):
                steps = (*steps, (ops.core.detach, {}, ()))
            shared = len(members[id(base)]) > 1 and self._follows(tensor, base)
            outside = id(base) in inputs and self._follows(tensor, base)
            if (outside or shared) and depends_on_run(steps):
                raise ViewOfRun(
                    "a compiled function cannot return a view of what others hold, at a place that is known when the "
                    "graph runs; return its clone()",
                    user_loc(),
                )
            if outside:
                own = tensor.requires_grad and not leaf and id(tensor) not in inputs
                results.append(Result(~inputs[id(base)], steps, own, leaf))
                continue
            source, steps = (base, steps) if shared else (tensor, ())
            if id(source) not in known:
                known[id(source)] = len(self.outputs)
                self.outputs.append(running.lift(source).value)
            results.append(Result(known[id(source)], steps, differentiable, leaf, spent))
        return results

    def _follows(self, tensor: Tensor, base: Tensor) -> bool:
        """Whether the history of a tensor in the memory of `base` is none, or that of `base`."""
        alone = not tensor.requires_grad or id(tensor) in self.trace.leaves
        return tensor is base or alone or self.trace._base(tensor)[0] is base

    def _state(self) -> list[tuple[int, int]]:
        """(input, output) of memory from outside that has a new value."""
        running = self.trace
        state: list[tuple[int, int]] = []
        for i, key in enumerate(running.inputs):
            memory = running.roots[key].memory
            if memory.version and memory.value.value is not memory.input:
                state.append((i, len(self.outputs)))
                self.outputs.append(memory.value.value)
        return state
