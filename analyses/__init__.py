"""The systems analyses of the course: short scripts that measure, and the pages that they write.

`record` is what an analysis is made of, `measuring` takes times and memory, `drawing` starts a picture; then one file
for each module, in the order of `MODULES`, with `analyze(*, quick=False, …) -> Analysis`. Its other parameters are the
definitions under study, so that a lesson measures the learner's own code. `tinytorch analyze 02` runs one of them.
"""

from __future__ import annotations

MODULES = (
    "tensor", "activations", "layers", "losses", "autograd", "optimizers", "training", "data", "spatial",
    "tokenization", "embeddings", "attention", "transformers", "kv_cache", "profiling", "acceleration", "quantization",
    "compression", "benchmarking",
)  # fmt: skip
