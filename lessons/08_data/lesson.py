# %% [markdown]
# # Module 08: Data
#
# A model sees a stream of batches. Between the files on disk and that stream lie four jobs: find a sample by its
# number, choose an order, put samples together, and change images a little so that the model cannot learn them by
# heart.
#
# You will write each of them, and a loader that joins them. Data sets, collating, batches and flips become the real
# ones; every `tt.DataLoader` runs your code.
#
# **You need** modules 01 to 07. **It takes** about 75 minutes.
#
# ## Why it matters
#
# - A model that trains in 5 ms a batch and waits 8 ms for the next one is a data problem, not a model problem. It
#   wastes a fast machine, and raises no error.
# - Images stored as bytes take a quarter of the memory of floats. Where the conversion happens decides how many bytes
#   move.
# - A run that cannot be repeated cannot be debugged. The order of samples and every random crop must follow from a
#   seed.

# %%
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, ClassVar, cast

import numpy as np

import tinytorch as tt
from tinytorch import Tensor
from tinytorch.frontend import arguments
from tinytorch.frontend.arguments import ArgumentTypeError, ArgumentValueError
from tinytorch.frontend.data.augment import ImageTransform, _probability
from tinytorch.frontend.data.files import Bytes
from tinytorch.frontend.data.samplers import Sampler
from tinytorch.frontend.data.sets import Array, Batch, Dataset, Indices, array_in, like, stacked, structure_of
from tinytorch.frontend.data.zoo import _per_channel
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc

from_numpy = tt.from_numpy

# %% [markdown]
# ## The arithmetic
#
# A data set of $N$ samples makes $\lceil N / b \rceil$ batches of $b$ in an epoch, the last of them smaller, or
# $\lfloor N / b \rfloor$ if a smaller one is dropped.
#
# If a batch takes $t_l$ to load and a step takes $t_s$, then $s$ steps take
#
# - $s\,(t_l + t_s)$ in turns,
# - about $s \max(t_l, t_s)$ if the next batch is made while the step runs.
#
# So working ahead gains at most a factor of two, and almost nothing where one of them is short. Measure first.

# %% [markdown]
# ## Step 1: rows of arrays
#
# The simplest data set holds arrays of the same length, `self.arrays`: sample $i$ is the tuple of their rows $i$. Write
# three methods.
#
# 1. `__len__`: the number of rows.
# 2. `__getitems__(indices)`: a batch, the tuple of the chosen rows of each array. `np.take(array, indices, axis=0)`
#    gathers them in one call, without a loop in Python.
# 3. `__getitem__(index)`: for an int, one sample; for a slice, an array of ints or of bools, a batch. It gathers, then
#    calls `self.decode(batch)`, which turns stored arrays into what a model wants (here it does nothing; for images it
#    will), and makes tensors of the result (`from_numpy`).
#
# **Hint.** Bring every kind of index to an array of ints first: a slice by `np.arange(len(self))[index]`, bools by
# `np.flatnonzero`, one int by `np.atleast_1d`. Then there is only one case, and at its end, for a single int, you take
# row 0 of the batch of one.

# %% exercise="rows"
#| solution


# %% test="rows"
rng = np.random.default_rng(0)
table = np.arange(12, dtype=np.float32).reshape(6, 2)
marks = np.array([0, 1, 0, 1, 2, 2])
rows = ArrayDataset(table, marks)
assert len(rows) == 6, "as many samples as the arrays have rows"
batch = rows.__getitems__(np.array([4, 0]))
assert isinstance(batch, tuple) and np.array_equal(batch[0], [[8, 9], [0, 1]]) and np.array_equal(batch[1], [2, 0]), (
    "a batch has the rows in the order of the indices"
)
x, y = rows[2]
assert isinstance(x, Tensor) and x.shape == (2,) and y.shape == (), "one sample has no axis of samples"
assert np.array_equal(x.numpy(), [4, 5]) and int(y) == 0, "sample 2 has the rows 2"
assert rows[1:4][0].shape == (3, 2) and rows[-1][1].numpy() == 2, "slices give batches, -1 is the last sample"
assert np.array_equal(rows[marks == 1][0].numpy(), [[2, 3], [6, 7]]), "a mask of bools chooses rows, as in numpy"


class Doubled(ArrayDataset):
    def decode(self, batch: Any) -> Any:
        return (batch[0] * 2, *batch[1:])


assert np.array_equal(Doubled(table, marks)[0][0].numpy(), [0, 2]), "samples go through decode()"

# %% [markdown]
# ## Step 2: samples become a batch
#
# Not all data sets are arrays. One may give a dict for each sample, or a tuple of an image, a box and a number.
# *Collating* makes one batch of a list of them, in the same structure.
#
# 1. `structure_of("collate", samples)` checks that all samples are alike and says what they are: `Mapping`, `tuple`
#    (also for lists), `str` (also for bytes), or None for a value.
# 2. Of mappings: one mapping with the same keys, each with the collated values. `like(samples[0], batch)` makes of a
#    dict the kind of dict that the samples are.
# 3. Of tuples: one tuple of collated columns. `zip(*samples, strict=True)` turns rows into columns, and `like` a tuple
#    into a named one.
# 4. Of strings: a list of them.
# 5. Of values: `array_in(position, value)` makes an array of each, and names its place in the batch where it cannot. If
#    the shapes differ, raise a ShapeError that says which sample has which shape; else `stacked(arrays)` is the batch.
#
# **Hint.** The function calls itself, and that is all the cleverness there is.

# %% exercise="collate"
#| solution


# %% test="collate"
batch = collate([1.5, 2.5])
assert batch.dtype == np.float32 and np.array_equal(batch, [1.5, 2.5]), "Python floats become f32"
batch = collate([(table[0], {"mark": 3}), (table[1], {"mark": 4})])
assert isinstance(batch, tuple) and batch[0].shape == (2, 2) and np.array_equal(batch[1]["mark"], [3, 4]), (
    "tuples of an array and a dict become one tuple of an array and a dict"
)
assert collate([[1, 2, 3], [4, 5, 6]])[0].tolist() == [1, 4], "a list of numbers is a tuple of columns, not one array"
assert collate([Tensor(table), Tensor(table)]).shape == (2, 6, 2), "samples get a new first axis"
try:
    collate([np.zeros(3), np.zeros(4)])
except ShapeError as error:
    assert "sample 1" in str(error) and "4" in str(error), "the error should name the sample and its shape"
else:
    raise AssertionError("samples of different shapes are an error")

# %% test="collate" hidden=true
nested = [{"a": (i, [i * 0.5, np.full((2, 1), i)]), "b": Tensor(np.array(i))} for i in range(3)]
batch = collate(nested)
assert batch["a"][0].dtype == np.int64 and batch["a"][1][0].dtype == np.float32 and batch["a"][1][1].shape == (3, 2, 1)
assert np.array_equal(batch["b"], [0, 1, 2]), "structures within structures"
assert collate([("a", 1), ("b", 2)])[0] == ["a", "b"], "strings stay a list"

# %% [markdown]
# ## Step 3: an order, in batches
#
# A *sampler* gives indices in some order; a *batch sampler* groups them. Write `__iter__` as a generator, which yields
# lists of `batch_size` indices of `self.sampler`, the last one smaller, or left out with `drop_last`.
#
# **Hint.** The sampler may be endless or have no length, so do not make a list of it. Go through it once, and gather
# indices in a list until that is full.

# %% exercise="batches"
#| solution


# %% test="batches"
assert list(BatchSampler(range(7), 3, False)) == [[0, 1, 2], [3, 4, 5], [6]], "the last list has what is left"
assert list(BatchSampler(range(7), 3, True)) == [[0, 1, 2], [3, 4, 5]], "drop_last leaves out the smaller one"
assert list(BatchSampler(range(6), 3, True)) == [[0, 1, 2], [3, 4, 5]], "a full last batch is never dropped"
assert list(BatchSampler([], 3, False)) == [], "no samples: no batches"
endless = iter(BatchSampler(itertools.count(), 2, False))
assert [next(endless), next(endless)] == [[0, 1], [2, 3]], "batches come as they are asked for"

# %% [markdown]
# ## Step 4: a loader
#
# Now join them. `Loader` gives batches of tensors, one epoch for each `for` loop, in a new order each time that follows
# from the seed and the number of the epoch alone.
#
# 1. The order of epoch $e$ is `range(N)`, or with `shuffle`
#    `np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(e, 0))).permutation(N)`.
# 2. Group it with your `BatchSampler`.
# 3. For each group, gather (`__getitems__`) and decode.
# 4. Yield the tuple of tensors.
# 5. When the epoch is over, add 1 to `self.epoch`.
#
# **Hint.** Lists of indices become arrays by `np.asarray`. Why `SeedSequence` and not `default_rng(seed + e)`? With a
# sum, epoch 1 of seed 0 would have the order of epoch 0 of seed 1. The 0 in the key stands for the order; the changes
# of batch $k$ are drawn with $k + 1$ in its place.


# %% exercise="loader"
class Loader:
    """Batches of a data set as tensors, in an order that seed and epoch determine."""

    def __init__(self, dataset: Any, batch_size: int, shuffle: bool = False, seed: int = 0) -> None:
        self.dataset, self.batch_size, self.shuffle, self.seed = dataset, batch_size, shuffle, seed
        self.epoch = 0

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        ### BEGIN SOLUTION
        order = np.arange(len(self.dataset))
        if self.shuffle:
            draws = np.random.SeedSequence(self.seed, spawn_key=(self.epoch, 0))
            order = np.random.default_rng(draws).permutation(len(self.dataset))
        for group in BatchSampler(order.tolist(), self.batch_size, False):
            batch = self.dataset.decode(self.dataset.__getitems__(np.asarray(group)))
            yield tuple(from_numpy(array) for array in batch)
        self.epoch += 1
        ### END SOLUTION


# %% test="loader"
def equal(ours: Any, theirs: Any) -> bool:
    pairs = zip(list(ours), list(theirs), strict=True)
    return all(all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(x, y, strict=True)) for x, y in pairs)


class Halved(tt.TensorDataset):
    def decode(self, batch: Any) -> Any:
        return (batch[0] / 2, *batch[1:])


plain = tt.TensorDataset(table, marks)
assert equal(Loader(plain, 4), tt.DataLoader(plain, 4)), "without shuffling: in order, the last batch smaller"
ours, theirs = Loader(plain, 4, shuffle=True, seed=7), tt.DataLoader(plain, 4, shuffle=True, seed=7)
for epoch in range(3):
    assert equal(ours, theirs), f"epoch {epoch}: the order should be that of the package for the same seed"
assert equal(Loader(Halved(table, marks), 4), [(x / 2, y) for x, y in tt.DataLoader(plain, 4)]), (
    "batches go through decode()"
)

# %% [markdown]
# `tt.DataLoader` does the same, and more: a thread makes the next batches while a step runs, processes do it for data
# sets that are slow Python, and an epoch can be taken up again in its middle. The order is the same in all of these.
#
# ## Step 5: images are bytes
#
# An image of 3 × 32 × 32 is 3 KiB as bytes and 12 KiB as f32. So it is stored as bytes and decoded a batch at a time. A
# pixel $p$ becomes
#
# $$\frac{p}{255}, \qquad \text{or with } \texttt{normalize} \qquad \frac{p / 255 - \text{mean}}{\text{std}},$$
#
# where mean and std are those of its channel. Write `decode(batch)`, where `batch` is (images, labels), both of uint8,
# and images are [batch, channels, height, width]:
#
# 1. Images become f32 and are divided by 255, in place (`/=`): a new array for each line costs a pass over memory.
# 2. With `self.normalize`, subtract `_per_channel(self.mean)` and divide by `_per_channel(self.std)`: both have the
#    shape [channels, 1, 1].
# 3. With `self.flatten`, one row for each image.
# 4. Labels become int64.
#
# **Hint.** `array.astype(dtype)` is a new array, so the stored one stays as it is. `images /= 255` keeps f32 if
# `images` is f32; `batch[0] / 255` would be f64.

# %% exercise="decode"
#| solution


# %% test="decode"
class Squares(ImageDataset):
    mean, std, classes = (0.5, 0.25), (0.5, 0.25), ("a", "b")

    def __init__(self, **settings: Any) -> None:
        images = np.zeros((3, 2, 4, 4), np.uint8)
        images[:, 0], images[:, 1], images[2] = 255, 51, 128
        super().__init__(images, np.array([0, 1, 1], np.uint8), note="three squares", **settings)


images, labels = Squares(flatten=False, normalize=False)[0:2]
assert images.dtype == tt.float32 and images.shape == (2, 2, 4, 4), f"images become f32, got {images.type}"
assert labels.dtype == tt.int64, f"labels become int64, got {labels.type}"
assert np.allclose(images.numpy()[0, :, 0, 0], [1.0, 0.2]), "pixels are divided by 255"
images, _ = Squares(flatten=True, normalize=True)[0:2]
assert images.shape == (2, 32) and np.allclose(images.numpy()[0, [0, 16]], [1.0, -0.2], atol=1e-6), (
    "normalized by the mean and the deviation of each channel, then flattened"
)
stored = Squares(flatten=False, normalize=False)
_ = stored[0:3]
assert stored.images.dtype == np.uint8 and stored.images[2, 0, 0, 0] == 128, "what is stored stays as it is"

# %% [markdown]
# ## Step 6: augmentation
#
# A cat seen from the left is a cat. Flipping images at random makes nearly twice the data of one set, at the price of a
# copy.
#
# Write `apply(images, generator)`: left and right exchanged in each image with probability `self.p`.
#
# 1. Draw one number in [0, 1) for each image: `generator.random(len(images))`. An image is flipped where it is below p.
# 2. Return new memory: the stored images must stay as they are.
# 3. Columns are the last axis. `[..., ::-1]` turns them around.
#
# **Hint.** Draw for all images at once, and for every image, also where nothing is flipped. So the same generator gives
# the same flips whatever the images are.

# %% exercise="flip"
#| solution


# %% test="flip"
pictures = rng.integers(0, 256, (200, 3, 4, 5), np.uint8)
before = pictures.copy()
always = RandomHorizontalFlip(1.0)(pictures, np.random.default_rng(0))
assert np.array_equal(always, before[..., ::-1]), "p = 1: all columns in reverse"
assert np.array_equal(pictures, before), "the images that were given stay as they are"
assert np.array_equal(RandomHorizontalFlip(0.0)(pictures, np.random.default_rng(0)), before), "p = 0: nothing"
half = RandomHorizontalFlip(0.5)(pictures, np.random.default_rng(1))
chosen = np.random.default_rng(1).random(200) < 0.5
assert np.array_equal(half[chosen], before[chosen][..., ::-1]) and np.array_equal(half[~chosen], before[~chosen]), (
    "one draw for each image decides, below p"
)
assert half.dtype == np.uint8, "bytes stay bytes"
assert not np.shares_memory(half, pictures), "new memory, not a view of the images"

# %% [markdown]
# Look at your flips: eight small pictures, as stored and in a batch of `tt.DataLoader` with your flip.

# %%
from analyses.drawing import charts

shapes = np.zeros((8, 3, 32, 32), np.uint8)
for number in range(8):
    shapes[number, number % 3, 4 : 8 + 3 * number, 3:12] = 220
    shapes[number, (number + 1) % 3, 20:28, 3 : 6 + 3 * number] = 160
loader = tt.DataLoader(tt.TensorDataset(shapes, np.arange(8)), 8, transform=RandomHorizontalFlip())
flipped, _ = next(iter(loader))
white = np.full((3, 3, 32), 255, np.uint8)
figure, columns = charts(8, width=8.0, height=2.4)
for axes, stored, changed in zip(columns, shapes, flipped.numpy(), strict=True):
    axes.imshow(np.concatenate([stored, white, changed], 1).transpose(1, 2, 0))
    axes.set_axis_off()
figure.suptitle("above: stored, below: a batch", fontsize=9)
figure

# %% [markdown]
# ### The graph
#
# Where should bytes become floats: in the loader, or in the model? A compiled model can take the bytes themselves. Here
# is your formula with its conversion, as one function. numpy makes a pass over memory for each of its four operations;
# look at the one kernel that is left, which reads a byte and writes a float for each pixel.


# %%
@tt.compile
def normalized(images: Tensor) -> Tensor:
    return (images.to(tt.float32) / 255 - 0.45) / 0.25


some = Tensor(rng.integers(0, 256, (32, 3, 32, 32), np.uint8))
normalized(some)
print(normalized.graph)
normalized

# %% [markdown]
# ## Systems analysis
#
# Storage in memory or in a mapped file, what a thread that works ahead hides, what processes are for, and what each
# change of an image costs.
#
# - A *mapped* file is an array whose memory is the file. The system reads a page of it when it is first touched, and
#   keeps it in a cache that all processes share.
# - A *thread* shares the memory of the program. But only one thread runs Python at a time; numpy and kernels let the
#   others go on while they compute.
# - A *process* has a Python and a memory of its own. It must be started, and what it makes must be copied back.

# %%
from analyses import data

data.analyze(ArrayDataset=ArrayDataset, RandomHorizontalFlip=RandomHorizontalFlip, quick=True).show()

# %% [markdown]
# ## Beside PyTorch
#
# The names are those of `torch.utils.data`: `Dataset`, `DataLoader`, `BatchSampler`, `TensorDataset`. What differs is
# where the work is done. PyTorch's `TensorDataset` gives samples one by one, and its loader collates them; a
# `DataLoader` here gathers whole batches from data sets that can (`__getitems__`), and changes them as whole arrays,
# still as bytes.

# %%
from analyses.measuring import medians, torch_if_installed

torch = torch_if_installed()
big = rng.integers(0, 256, (2048, 3, 32, 32), np.uint8), rng.integers(0, 10, 2048)
calls = {"tinytorch": lambda: sum(len(y) for _, y in tt.DataLoader(ArrayDataset(*big), 128, shuffle=True))}
if torch:
    from torch.utils.data import DataLoader, TensorDataset

    tensors = TensorDataset(*(torch.from_numpy(array) for array in big))
    calls["torch"] = lambda: sum(len(y) for _, y in DataLoader(tensors, 128, shuffle=True))
for name, seconds in medians(calls, 0.2).items():
    print(f"{name}: an epoch of 2,048 images in {seconds * 1e3:.1f} ms")

# %% [markdown] question="q1" points=1
# **Question 1.** 1.2 million images of 3 × 224 × 224: how many GB as bytes, how many as f32? Four processes of one
# machine train on them: how many times are they in memory if each reads the file, and if each maps it?

# %% [markdown] question="q2" points=1
# **Question 2.** From your table: loading alone, steps alone, in turns, ahead. How much of the loading did the thread
# hide? Why is it not all of it on your machine?

# %% [markdown] question="q3" points=1
# **Question 3.** From your table of worker processes: how many ms did an epoch with one worker take longer than one
# without, and for what? An epoch of the same samples ten times as long: what would two workers gain?

# %% [markdown] question="q4" points=1
# **Question 4.** By which factor did the three changes take longer on f32 than on bytes? Four times the bytes move:
# which part of the time does not grow with them?

# %% [markdown] question="q5" points=1
# **Question 5.** A colleague draws random crops with the global generator of `np.random` in each worker process, and
# finds the same crops in all of them. What went wrong, and what should the draws of a batch follow from instead?

# %% [markdown]
# ## Summary
#
# - A data set answers two questions: how many, and which. Answering for whole batches is what makes it fast.
# - Collating is a recursion over structure; shapes must agree at its leaves.
# - Order and randomness follow from seed, epoch and batch. Nothing else may decide them.
# - Bytes stay bytes as long as they can: in storage, in augmentation, even in the model.
# - Working ahead hides at most the shorter of two times. It makes neither shorter.
# - MNIST and CIFAR-10, which milestones 2 and 3 train on, now decode with your code.
