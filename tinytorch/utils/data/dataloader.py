"""Loaders of batches, under the names of torch.utils.data.dataloader."""

from tinytorch.frontend.data import DataLoader, default_collate, get_worker_info

__all__ = ["DataLoader", "default_collate", "get_worker_info"]
