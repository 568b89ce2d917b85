"""Mixed precision under its older names, of GPUs: there is none, so both have to be told `enabled=False`. `tt.autocast`
and `tt.amp.GradScaler` are those of the CPU."""

from __future__ import annotations

from tinytorch.frontend.acceleration.autocast import autocast as _autocast
from tinytorch.frontend.acceleration.scaler import GradScaler as _GradScaler

__all__ = ["GradScaler", "autocast"]


class autocast(_autocast):
    """`tt.autocast("cuda", …)`: an error, unless it is not `enabled`."""

    def __init__(self, enabled: bool = True, dtype: object = None, cache_enabled: bool | None = None) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(_GradScaler):
    """`tt.amp.GradScaler("cuda", …)`: an error, unless it is not `enabled`."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
