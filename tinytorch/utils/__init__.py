"""`data`: sets and loaders under the names of torch.utils.data. `checkpoint`: memory for time, under those of
torch.utils.checkpoint."""

from tinytorch.utils import checkpoint as checkpoint
from tinytorch.utils import data as data
