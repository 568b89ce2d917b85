"""`data`: sets and loaders under the names of torch.utils.data."""

from tinytorch.utils import data as data
