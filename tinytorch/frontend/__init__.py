"""What users write against: one file or package for each module of the course, and what these share.

Each imports only those before it, so this is the order to read them in. The docstring of a package says what is inside.

- `arguments` (what users pass, checked), `tensor`, `binding` (arguments of functions), `constructors` (of
  classes), `spelling` (the table of names), `functions` (of tensors).
- `module` (what holds tensors), `activations`, `layers`, `recurrent`, `losses`, `tree` (nested containers),
  `autograd`, `linear_algebra`, `optimizers`, `schedulers` (learning rates).
- `tracing`, which turns a Python function into a graph, and `guards`, which say whether it is out of date.
- What runs compiled: `training`; then `data`, `spatial`, `lazy` (layers), `parametrizations` (norms of weights),
  `averaging`, `tokenization`, `embeddings`, `attention`, `transformers`, `kv_cache`, `profiling`,
  `acceleration` (mixed precision), `quantization`, `compression` (pruning), `benchmarking`, `distributions`.
- `legacy` (what old programs call), and lists of names: `functional`, `names`, `standard` (the Array API's),
  `numpy_functions`.
"""
