"""The language: ops, types, graphs, and what reads and writes them. Imports nothing of the other rooms.

- The words: `types`, `op` (the record of an op), `ops` (all of them; one lane stands in `lanes` and `lanemath`,
  `windows` what convolutions and pooling read, `fast` what eager mode runs), `errors`, `loc` (the user's line).
- Graphs: `body`, `graph`, `expr` (graphs written with operators), `operators`, `text` (printer, parser, names),
  `pictures`, `attributes` and `verify` (the rules).
- What is made of them: `vjp` and `expansions` (gradients, composites), `autocast`, `rewrite` (tables of rules, with
  `listening` for reports), `order` (a topological order that is kept up to date).
- Kernels: `kernels` (what passes and backends agree on), `families`.
- Beneath: `arrays` (of numpy; the reference), `system` (locks, processes, files).
"""

# Before all else here: composites are defined in arithmetic on operands, which applies the simpler ops. So whichever
# module is asked for first, the ops come in the order of their definitions.
from tinytorch.ir import ops as ops
