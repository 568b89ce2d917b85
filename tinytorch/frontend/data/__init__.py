"""Module 08: data sets and loaders: batches of tensors, shuffled from a seed, prepared in the background. To read, in
this order: `sets` (what a data set is; arrays, subsets and splits), `files` (downloads, archives, decoded arrays on
disk), `zoo` (MNIST, CIFAR-10, TinyShakespeare), `augment` (random changes of images), `samplers` (orders of
samples), `collating` (PyTorch's batches), `making` (how a batch is made, wherever that is), `prefetch` (a thread that
works ahead), `channel`, `worker` and `pool` (processes that do), `loader` (the DataLoader).
"""

from __future__ import annotations

from tinytorch.frontend.data.augment import Compose, Cutout, RandomCrop, RandomHorizontalFlip
from tinytorch.frontend.data.collating import default_collate, default_convert
from tinytorch.frontend.data.files import DataError
from tinytorch.frontend.data.loader import DataLoader
from tinytorch.frontend.data.samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tinytorch.frontend.data.sets import (
    ArrayDataset,
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    collate,
    random_split,
)
from tinytorch.frontend.data.worker import WorkerError, WorkerInfo, get_worker_info
from tinytorch.frontend.data.zoo import CIFAR10, MNIST, TinyShakespeare

__all__ = [
    "CIFAR10", "MNIST", "ArrayDataset", "BatchSampler", "ChainDataset", "Compose", "ConcatDataset", "Cutout",
    "DataError", "DataLoader", "Dataset", "IterableDataset", "RandomCrop", "RandomHorizontalFlip", "RandomSampler",
    "Sampler", "SequentialSampler", "Subset", "SubsetRandomSampler", "TensorDataset", "TinyShakespeare",
    "WeightedRandomSampler", "WorkerError", "WorkerInfo", "collate", "default_collate", "default_convert",
    "get_worker_info", "random_split",
]  # fmt: skip
