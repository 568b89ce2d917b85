"""`tt.amp`: mixed precision under PyTorch's names. `tt.autocast` is the same class."""

from tinytorch.frontend.acceleration.autocast import autocast
from tinytorch.frontend.acceleration.scaler import GradScaler

__all__ = ["GradScaler", "autocast"]
