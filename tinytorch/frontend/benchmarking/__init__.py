"""Module 19: models compared, so that it holds on a machine that does other things as well.

To read, in this order: `intervals` (statistics), `metrics` (what can be compared), `energy` (of the processor),
`candidates` (what is compared, and the data), `comparison` (what was found), `plots` and `reports` (pictures and text),
`benchmark` (the measuring).
"""

from __future__ import annotations

from tinytorch.frontend.benchmarking.benchmark import Benchmark
from tinytorch.frontend.benchmarking.comparison import Comparison, Result
from tinytorch.frontend.benchmarking.intervals import Interval

__all__ = ["Benchmark", "Comparison", "Interval", "Result"]
