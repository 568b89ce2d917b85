"""What users write against: one file or package for each module of the course, and what these share.

Each imports only those before it, so this is the order to read them in.

- The tensor: `mode` (what holds in a thread), `arguments` (what users pass, checked), `devices`, `dtypes`, `storage`
  (memory that tensors share), `gradient_hooks`, `tape` (how values were made), `results` (several of one op),
  `inplace` (changes in place), `conversions` (numpy and Python), `printing`, `indexing`, `kernels` (what large ops run
  as), `table_methods` (from the table of names), `tensor`.
- Functions of tensors: `gradients`, `binding` (arguments of functions), `spelling` (the table of names), `random`,
  `creation`, `tensor_functions`, `functions`, `einsum`.
- What holds tensors: `tracked` (attributes that are watched), `weights` (files), `scopes` (which module runs),
  `module`, `containers`, `saving`, `summary`, `init` (first values of parameters).
- Up to optimizers: `activations`, `activation_functions`, `calling` (modules that call a function) and
  `activation_modules`, `norms` and `distances`, `layer_functions`, `embedding_bags` and `channel_functions`,
  `parameter_types`, `layers` and `channel_modules`, `sequences` and `recurrent`, `loss_functions`, `margin_losses` and
  `sequence_losses`, `losses` and `loss_modules`, `tree` (nested containers), `autograd`, `linear_algebra`,
  `optimizer_base`, `optimizers`, `schedulers`, `parameter_functions` (of all of a model), `padded` (sequences).
- Tracing, which turns a Python function into a graph: `arrays` and `numbers` (as operands), `traced` (what a trace
  leaves), `trace` (its world), `opaque_results`, `closing` (its end), `tracing` (all of it), `guards` (whether it is
  out of date).
- What runs compiled: `training`; then `data`, `spatial`, `tokenization`, `embeddings`, `embedding_modules`,
  `attention`, `transformer_layers`, `transformers`, `kv_cache`, `distributions`, `legacy` (what old programs call),
  and lists of names: `functional`, `names`, `standard` (the Array API's), `numpy_functions`.
"""
