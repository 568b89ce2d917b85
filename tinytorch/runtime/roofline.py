"""What a machine can do at best, and the time that work takes there at least."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peaks:
    """`flops`: fused multiply-adds of f32 per second, each counted as two. `bandwidths`: (bytes of a working set,
    bytes read and written per second while it is copied), by size. `threads` did it together."""

    threads: int
    flops: float
    bandwidths: tuple[tuple[int, float], ...]

    def bandwidth(self, traffic: int) -> float:
        """Bytes per second for work that moves `traffic` bytes: that of the smallest working set that holds them."""
        fitting = [rate for size, rate in self.bandwidths if size >= traffic]
        return fitting[0] if fitting else self.bandwidths[-1][1]

    def seconds(self, flops: float, traffic: int, element_bytes: int = 4) -> float:
        """The roofline: the time of `flops` operations on elements of that size, or of the traffic, if that is longer.

        Source of the model: Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009.
        """
        return max(flops * element_bytes / 4 / self.flops, traffic / self.bandwidth(traffic))
