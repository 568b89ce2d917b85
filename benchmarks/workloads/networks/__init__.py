"""Networks that people use, for images: training steps and inference.

Read `layers.py` first: a network is a function that applies layers, which each framework has of its own. Then
`definitions.py`, the networks; `shapes.py`, what their weights and multiplications follow from; `torch_layers.py` (for
TinyTorch, too), `jax_layers.py` and `onnx_layers.py`; the cases in `inference.py`, `training.py` and `adversarial.py`;
`rows.py`, which registers them.
"""

from __future__ import annotations

from benchmarks.workloads.networks import rows as rows
