"""Module 18: models with fewer weights.

To read, in this order: `targets` (which parameters), `sparsity` (how many zeros there are), `magnitude` (weights of
small magnitude become zeros that stay), `gradual` (a few more before each epoch); `channels` (which channels, neurons
and heads go together), `shrinking` (a model without some of them), `structured` (those that matter least); `pytorch`
(names of torch.nn.utils.prune).

What pruning saves, of a product with m outputs and n inputs in f32, a share s of its weights being zero:

| form | bytes of weights | operations per row |
| --- | --- | --- |
| dense, zeros and all | 4 m n | 2 m n |
| zeros one by one, with an index of 4 bytes each | 8 (1 - s) m n | 2 (1 - s) m n |
| blocks of b weights, an index for each | (4 + 4 / b) (1 - s) m n | 2 (1 - s) m n |
| 2:4, two bits of index each | 2.125 m n | m n |
| m and n shrunk by s each (whole neurons or channels) | 4 (1 - s)² m n | 2 (1 - s)² m n |

The last form needs no other kernel, and so is faster at every s; the first saves nothing.
"""

from __future__ import annotations

from tinytorch.frontend.compression.channels import ChannelGroup, channel_groups
from tinytorch.frontend.compression.gradual import GradualPruning
from tinytorch.frontend.compression.magnitude import magnitude_prune, prune_n_of_m, remove_masks
from tinytorch.frontend.compression.sparsity import Sparsity, measure_sparsity
from tinytorch.frontend.compression.structured import prune_channels

__all__ = [
    "ChannelGroup",
    "GradualPruning",
    "Sparsity",
    "channel_groups",
    "magnitude_prune",
    "measure_sparsity",
    "prune_channels",
    "prune_n_of_m",
    "remove_masks",
]
