"""Data loaders: batches, order, resuming, parts, the background thread."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.data.sets import flat, own_folders, write_mnist
from tinytorch.frontend.data import (
    MNIST,
    BatchSampler,
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    collate,
    random_split,
)
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError

__all__ = ["own_folders"]  # a fixture of every test here


def count_up(n: int = 10) -> TensorDataset:
    return TensorDataset(np.arange(n * 3, dtype=np.float32).reshape(n, 3), np.arange(n))


def ids(loader: DataLoader) -> list[list[int]]:
    return [labels.numpy().tolist() for _, labels in loader]


def prefetch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "tinytorch-prefetch"]


class Squares(Dataset):
    """Item by item; fails at `bad`."""

    def __init__(self, n: int, bad: int = -1) -> None:
        self.n, self.bad = n, bad

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int):
        if index == self.bad:
            raise KeyError(f"sample {index} is unreadable")
        return {"x": np.full(2, index, np.float32), "y": (index * index, float(index))}


# ---- batches ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [0, 1, 3])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_cover_the_samples_in_order(prefetch, drop_last):
    loader = DataLoader(count_up(10), 4, prefetch=prefetch, drop_last=drop_last)
    expected = [[0, 1, 2, 3], [4, 5, 6, 7]] + ([] if drop_last else [[8, 9]])
    assert ids(loader) == expected
    assert len(loader) == len(expected)


def test_batches_are_tensors_of_the_stored_dtypes():
    x, y = next(iter(DataLoader(count_up(), 4)))
    assert isinstance(x, Tensor) and isinstance(y, Tensor)
    assert x.numpy().dtype == np.float32 and y.numpy().dtype == np.int64
    np.testing.assert_array_equal(x.numpy(), np.arange(12, dtype=np.float32).reshape(4, 3))


def test_writing_into_a_batch_leaves_the_data_set_alone():
    data = count_up()
    x, _ = next(iter(DataLoader(data, 4)))
    x.numpy()[...] = -1
    assert data.arrays[0].min() == 0


def test_samples_of_dicts_and_tuples_are_collated():
    batches = list(DataLoader(Squares(5), 2))
    np.testing.assert_array_equal(batches[1]["x"].numpy(), [[2, 2], [3, 3]])
    squares, floats = batches[1]["y"]
    assert squares.numpy().tolist() == [4, 9] and squares.numpy().dtype == np.int64
    assert floats.numpy().dtype == np.float32
    assert batches[2]["x"].numpy().shape == (1, 2)


def test_anything_with_len_and_getitem_is_a_data_set():
    assert [b.numpy().tolist() for b in DataLoader([5, 6, 7], 2)] == [[5, 6], [7]]
    with pytest.raises(TypeError, match="generator is no data set"):
        DataLoader((i for i in range(3)), 2)


def test_empty_data_set():
    loader = DataLoader(count_up(0), 4, shuffle=True)
    assert len(loader) == 0 and list(loader) == [] and list(loader) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": -3}, "batch_size must be at least 1, got -3"),
        ({"batch_size": 4, "prefetch": -1}, "prefetch must be at least 0"),
        ({"batch_size": 4, "seed": -1}, "seed must be at least 0"),
    ],
)
def test_numbers_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(count_up(), **options)


def test_batch_size_that_is_no_int():
    with pytest.raises(TypeError, match=r"batch_size must be an int, got 2\.5"):
        DataLoader(count_up(), 2.5)


def test_samples_of_different_shapes():
    with pytest.raises(ShapeError, match=r"sample 1 of the batch has shape \[3\], sample 0 has \[2\]"):
        collate([np.zeros(2), np.zeros(3)])
    for samples, message in (
        ([{1}, {2}], r"sample 0 of the batch holds \{1\}, which is neither an array nor a number; .* a collate_fn"),
        (["a", 1], "sample 1 of the batch is of type int, sample 0 of type str"),
        ([1, None], "sample 1 of the batch holds None, which is neither"),
        ([2**70], "holds 1180591620717411303424, more than 64 bits hold"),
        ([1, 2**63], "sample 1 of the batch holds 9223372036854775808, more than 64 bits hold"),
    ):
        with pytest.raises(TypeError, match=message) as error:
            collate(samples)
        assert "test_loader.py:" in str(error.value)


def test_samples_of_different_dtypes_meet_as_operands_do():
    for samples, dtype in (
        ([1, 2.5], np.float32),
        ([True, 2], np.int64),
        ([np.int64(1), np.float32(2)], np.float32),
        ([tt.ones(1, dtype=tt.bfloat16), tt.ones(1)], np.float32),
    ):
        batch = collate(samples)
        assert batch.dtype == dtype and batch[1] == samples[1]


def test_array_data_set_checks_its_arrays():
    with pytest.raises(ShapeError, match="array 1 has 2 samples, array 0 has 3"):
        TensorDataset(np.zeros((3, 2)), np.zeros(2))
    with pytest.raises(ShapeError, match="array 0 has no axis of samples"):
        TensorDataset(np.float32(1))
    with pytest.raises(ValueError, match="at least one array"):
        TensorDataset()


def test_array_data_set_takes_ints_slices_and_masks():
    data = count_up()
    assert data[-1][1].numpy() == 9 and data[2][0].numpy().tolist() == [6, 7, 8]
    assert data[2:8:3][1].numpy().tolist() == [2, 5]
    assert data[np.arange(10) > 7][1].numpy().tolist() == [8, 9]
    with pytest.raises(IndexError):
        data[10]
    assert len(list(data)) == 10  # Python's own iteration ends at the IndexError


def test_arrays_of_any_layout():
    base = np.arange(12.0).reshape(3, 4)
    for array in (np.asfortranarray(base), base[::-1], base[:, ::-2]):
        array.flags.writeable = False
        (rows,) = TensorDataset(array)[[2, 0]]
        np.testing.assert_array_equal(rows.numpy(), array[[2, 0]])


# ---- order and resuming -------------------------------------------------------------------------------------


def test_shuffling_is_a_new_permutation_each_epoch_and_the_same_for_the_same_seed():
    first, second = DataLoader(count_up(50), 7, shuffle=True, seed=3), DataLoader(count_up(50), 7, shuffle=True, seed=3)
    epochs = [ids(first) for _ in range(3)]
    assert [ids(second) for _ in range(3)] == epochs
    assert all(sorted(flat(epoch)) == list(range(50)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert ids(DataLoader(count_up(50), 7, shuffle=True, seed=4)) != epochs[0]


def noisy(batch, generator):
    x, y = batch
    return x + generator.random(x.shape, np.float32), y


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("stop", [0, 1, 3, 8, 11, 15, 16, 21])
def test_a_resumed_loader_goes_on_bit_for_bit(prefetch, stop):
    def loader() -> DataLoader:
        return DataLoader(count_up(30), 4, shuffle=True, seed=1, prefetch=prefetch, transform=noisy)

    def batches(source: DataLoader, count: int):
        while True:
            for x, y in source:
                if count == 0:
                    return
                count -= 1
                yield x.numpy().tobytes() + y.numpy().tobytes(), source.state_dict()

    whole = [bits for bits, _ in batches(loader(), 24)]  # three epochs of eight
    state = loader().state_dict()
    for _, after in batches(loader(), stop):
        state = after
    resumed = loader()
    resumed.load_state_dict(state)
    assert [bits for bits, _ in batches(resumed, 24 - stop)] == whole[stop:]


def test_leaving_a_loop_early_starts_the_next_epoch():
    loader, reference = (DataLoader(count_up(30), 4, shuffle=True) for _ in range(2))
    for _ in loader:
        break
    ids(reference)
    assert ids(loader) == ids(reference)


def test_state_of_other_batches_is_refused_within_an_epoch_only():
    loader = DataLoader(count_up(30), 4)
    next(iter(loader))
    with pytest.raises(ValueError, match="batch 1 of an epoch with batch_size 4, this loader has batch_size 5"):
        DataLoader(count_up(30), 5).load_state_dict(loader.state_dict())
    with pytest.raises(ValueError, match="samples 30"):
        DataLoader(count_up(31), 4).load_state_dict(loader.state_dict())
    DataLoader(count_up(30), 5).load_state_dict(DataLoader(count_up(30), 4).state_dict())


def test_loops_over_one_loader_do_not_disturb_each_other():
    loader = DataLoader(count_up(12), 4, shuffle=True)
    assert all((a[1].numpy() == b[1].numpy()).all() for a, b in zip(loader, loader, strict=True))


# ---- parts --------------------------------------------------------------------------------------------------


def test_random_split_is_disjoint_and_complete():
    parts = random_split(count_up(20), [0.55, 0.25, 0.2], seed=5)
    assert [len(part) for part in parts] == [11, 5, 4]
    labels = [flat(ids(DataLoader(part, 3))) for part in parts]
    assert sorted(flat(labels)) == list(range(20))
    again = random_split(count_up(20), [11, 5, 4], seed=5)
    assert [list(part.indices) for part in again] == [list(part.indices) for part in parts]


@pytest.mark.parametrize("lengths", [[5, 6], [0.5, 0.4], [-1, 11]])
def test_random_split_wants_all_samples(lengths):
    with pytest.raises(ValueError, match="random_split"):
        random_split(count_up(10), lengths)


def test_subset_of_a_subset_gathers_and_decodes():
    inner = Subset(count_up(10), [9, 7, 5, 3])
    outer = Subset(inner, [2, 0])
    assert ids(DataLoader(outer, 5)) == [[5, 9]]
    assert outer[1][1].numpy() == 9
    assert len(Subset(inner, [])) == 0
    with pytest.raises(IndexError, match="indices go from 0 to 10, samples from 0 to 9"):
        Subset(count_up(10), [0, 10])
    with pytest.raises(TypeError, match="sequence of ints"):
        Subset(count_up(10), [0.5])


# ---- the background thread ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_exception_in_the_data_set_reaches_the_loop_with_its_traceback(prefetch):
    seen = []
    with pytest.raises(KeyError, match="sample 5 is unreadable") as caught:
        for batch in DataLoader(Squares(8, bad=5), 2, prefetch=prefetch):
            seen.append(batch["x"].numpy()[0, 0])
    assert seen == [0, 2]
    assert any(entry.name == "__getitem__" for entry in caught.traceback)
    del caught
    assert not prefetch_threads()


def test_leaving_early_stops_the_thread():
    for _ in DataLoader(Squares(1000), 2):
        break
    gc.collect()
    assert not prefetch_threads()
    iterator = iter(DataLoader(Squares(1000), 2))
    next(iterator)
    assert len(prefetch_threads()) == 1
    del iterator
    gc.collect()
    assert not prefetch_threads()


def test_the_thread_stays_within_its_lead():
    asked = []

    class Watched(Squares):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    iterator = iter(DataLoader(Watched(100), 1, prefetch=3))
    next(iterator)
    deadline = time.monotonic() + 5
    while len(asked) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert asked == [0, 1, 2, 3]  # one handed out, three waiting
    del iterator


def _rest_in_child(iterator, answer) -> None:
    answer.put([labels.numpy().tolist() for _, labels in iterator])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_alone():
    iterator = iter(DataLoader(count_up(20), 4, shuffle=True))
    next(iterator)
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    child = context.Process(target=_rest_in_child, args=(iterator, answer))
    child.start()
    child.join(20)
    assert child.exitcode == 0
    assert answer.get() == [labels.numpy().tolist() for _, labels in iterator]


def test_the_interpreter_exits_in_the_midst_of_a_loop():
    program = (
        "import numpy as np\n"
        "from tinytorch.frontend.data import DataLoader, TensorDataset\n"
        "loop = iter(DataLoader(TensorDataset(np.zeros((4000, 1000), np.float32)), 500))\n"
        "next(loop)\n"
        "print('done')\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


def test_transform_sees_stored_arrays_and_its_own_generator(tmp_path):
    write_mnist(tmp_path)
    seen = []

    def watch(batch, generator):
        seen.append((batch[0].dtype, generator.random()))
        return batch

    loader = DataLoader(MNIST(tmp_path), 2, transform=watch)
    images, _ = next(iter(loader))
    list(loader)
    assert images.numpy().dtype == np.float32
    assert {dtype for dtype, _ in seen} == {np.dtype(np.uint8)}
    assert len({number for _, number in seen}) == len(seen)


def test_batches_of_indices_are_lists_and_only_a_smaller_last_one_is_dropped():
    assert list(BatchSampler(range(7), 3, False)) == [[0, 1, 2], [3, 4, 5], [6]]
    for count in (6, 7, 8):
        assert list(BatchSampler(range(count), 3, True)) == [[0, 1, 2], [3, 4, 5]]
    endless = iter(BatchSampler(itertools.count(), 2, True))
    assert [next(endless), next(endless)] == [[0, 1], [2, 3]]
