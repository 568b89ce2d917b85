"""ONNX models in f32 as models whose products are of bytes, made by ONNX Runtime's own tools."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.workloads.onnx_models import Constants


def dynamic(model: bytes) -> bytes:
    """Weights as bytes, a scale for each column; activations are quantized in each call."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    return _converted(
        model, lambda source, target: quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True)
    )


def static(model: bytes, inputs: Constants) -> bytes:
    """The same with ranges of activations as they are on `inputs`: integers with QuantizeLinear and DequantizeLinear
    around each op (QDQ), which OpenVINO runs in bytes, too."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Once(CalibrationDataReader):  # pyright: ignore[reportUntypedBaseClass]
        def __init__(self) -> None:
            self.left: list[Any] = [dict(inputs)]

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    def convert(source: Path, target: Path) -> None:
        kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        quantize_static(source, target, Once(), quant_format=QuantFormat.QDQ, per_channel=True, **kinds)

    return _converted(model, convert)


def _converted(model: bytes, convert: Callable[[Path, Path], None]) -> bytes:
    """What `convert` makes of a model; it works on files."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "f32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model)
        convert(source, target)
        return target.read_bytes()
