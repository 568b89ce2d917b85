"""Module 15: what a model costs, counted before it runs and measured while it does.

To read, in this order: `tables` (figures as text), `inputs` (what models are called with), `flops` (operations, from
the traced graph), `memory` (bytes, computed and measured), `latency` (seconds), `profiler` (all of it).
"""

from __future__ import annotations

from tinytorch.frontend.profiling.flops import Flops
from tinytorch.frontend.profiling.latency import Latency
from tinytorch.frontend.profiling.memory import Memory
from tinytorch.frontend.profiling.profiler import Profile, Profiler

__all__ = ["Flops", "Latency", "Memory", "Profile", "Profiler"]
