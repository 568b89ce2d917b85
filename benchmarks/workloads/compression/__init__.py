"""Smaller forms of networks, beside the same network in f32 and beside what other frameworks make of it.

`onnx_int8` (models whose products are of bytes, for ONNX Runtime and OpenVINO), `mlp_big` (three large layers:
16-bit floats, bytes, zeros), `images` (the network of `cnn` in bytes) and `decode` (a token behind others).

Integers and 16-bit floats give other numbers than f32. Contestants are compared with a tolerance that is stated beside
each row, a part of the spread of the results.
"""

from benchmarks.workloads.compression import decode as decode
from benchmarks.workloads.compression import images as images
from benchmarks.workloads.compression import mlp_big as mlp_big
