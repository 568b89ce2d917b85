"""`tt.signal`: `windows`, under the names of torch.signal."""

from tinytorch.signal import windows as windows

__all__ = ["windows"]
