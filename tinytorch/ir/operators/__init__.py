"""The operators and methods of all that is like a tensor: eager ones, traced ones, expressions, patterns.

Read `promotion` (one dtype, one shape), `tensor_like` (facts and pairs of operands), `arithmetic` (elementwise ops, in
which composites are defined) and `reductions`; then indices: `masks`, `positions` and `linear` (indices that are known
when a graph runs), `indexing`; and `operators`, the mixin of them all."""
