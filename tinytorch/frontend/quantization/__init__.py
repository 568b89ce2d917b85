"""Module 17: quantization, models whose products are of bytes.

A number x is kept as an integer q with x ≈ scale (q - zero_point), and a product of such is one of integers: with
weights that are symmetric (zero point 0, a scale for each row),

    Σ x w ≈ scale_x scale_w (Σ q_x q_w - zero_point_x Σ q_w)

The sums are exact in i32, so eager mode, the interpreter and machine code agree in every bit.

To read, in this order: `affine` (numbers as integers), `ranges` (which range of activations the integers cover), `int4`
(weights of four bits), `settings` (what users choose), `layers` (what stands in the place of layers), `outputs`
(results of blocks as bytes), `aware` (layers that training gets used to), `places` (which layers, and others in their
places), `folding` (batch normalisation into weights), `calibration` (what layers see), `sensitivity` (what each layer
costs and gains), `preparing` of models for training, `conversion` of whole models, and `restoring` of such from files.
"""

from tinytorch.frontend.quantization.affine import quantize_int8
from tinytorch.frontend.quantization.conversion import quantize
from tinytorch.frontend.quantization.int4 import Int4Linear
from tinytorch.frontend.quantization.layers import QuantizedConv2d, QuantizedEmbedding, QuantizedLinear
from tinytorch.frontend.quantization.preparing import prepare_qat
from tinytorch.frontend.quantization.restoring import load_quantized

__all__ = [
    "Int4Linear",
    "QuantizedConv2d",
    "QuantizedEmbedding",
    "QuantizedLinear",
    "load_quantized",
    "prepare_qat",
    "quantize",
    "quantize_int8",
]
