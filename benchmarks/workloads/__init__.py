"""One file per family of workloads; importing this package registers them all."""

from benchmarks.workloads import elementwise, gemm, mlp, optimizers, perceptron, rows

__all__ = ["elementwise", "gemm", "mlp", "optimizers", "perceptron", "rows"]
