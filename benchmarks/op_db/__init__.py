"""`python -m benchmarks.op_db`: PyTorch's own database of ops and samples (`torch.testing._internal`), run here.

`names` (what of the database is found here, and how it is called), `values` (tensors and arguments of PyTorch as ours,
and what is equal), `samples` (the samples of an op, eagerly and compiled, with gradients), `errors` (calls that must be
refused), `modules` (the same for PyTorch's database of modules), `__main__` (the command and its tables).
"""
