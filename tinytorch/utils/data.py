"""Sets of samples and loaders of batches, under the names of torch.utils.data."""

from tinytorch.frontend.data import DataLoader, Dataset, Subset, TensorDataset, random_split

__all__ = ["DataLoader", "Dataset", "Subset", "TensorDataset", "random_split"]
