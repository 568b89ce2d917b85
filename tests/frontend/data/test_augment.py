"""Augmentation: each image changes as its transform says, the same way for the same seed, epoch and batch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.data import DataLoader, TensorDataset
from tinytorch.ir.errors import ShapeError


def images_of(n: int, c: int = 3, h: int = 8, w: int = 10, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (n, c, h, w), dtype=np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def windows_of(padded: np.ndarray, h: int, w: int) -> dict[bytes, tuple[int, int]]:
    """Where each window of an image lies, by its content."""
    rooms = (range(padded.shape[-2] - h + 1), range(padded.shape[-1] - w + 1))
    return {padded[..., y : y + h, x : x + w].tobytes(): (y, x) for y, x in itertools.product(*rooms)}


MODES = ["constant", "reflect", "edge", "symmetric"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("size", "padding"), [((8, 10), 2), (7, 0), ((5, 6), (3, 1)), ((9, 11), (1, 2)), (1, 0)])
def test_a_crop_is_a_window_of_the_padded_image(mode, size, padding):
    images = images_of(40)
    cropped = tt.RandomCrop(size, padding, padding_mode=mode)(images, rng())
    h, w = (size, size) if isinstance(size, int) else size
    py, px = (padding, padding) if isinstance(padding, int) else padding
    assert cropped.shape == (40, 3, h, w) and cropped.dtype == np.uint8
    for before, after in zip(images, cropped, strict=True):
        padded = np.pad(before, ((0, 0), (py, py), (px, px)), mode=mode)
        assert after.tobytes() in windows_of(padded, h, w)


def test_crops_lie_everywhere_equally_often():
    image = images_of(1, 1, 6, 6)
    n = 9 * 400
    cropped = tt.RandomCrop(4)(np.repeat(image, n, 0), rng(1))
    places = windows_of(image[0], 4, 4)
    counts = np.zeros((3, 3))
    for crop in cropped:
        counts[places[crop.tobytes()]] += 1
    assert np.all(np.abs(counts - 400) < 5 * np.sqrt(400))  # five standard deviations


def test_a_crop_of_the_size_of_the_image_changes_nothing():
    images = images_of(5)
    np.testing.assert_array_equal(tt.RandomCrop((8, 10))(images, rng()), images)


def test_constant_padding_has_one_value_per_channel():
    images = images_of(64, h=4, w=4)
    cropped = tt.RandomCrop(12, 4, fill=(10, 20, 30))(images, rng())
    for channel, value in enumerate((10, 20, 30)):
        assert np.all(cropped[:, channel, :4] == value) and np.all(cropped[:, channel, :, -4:] == value)
    np.testing.assert_array_equal(cropped[:, :, 4:8, 4:8], images)


def test_a_flip_exchanges_left_and_right_in_its_share_of_images():
    images = images_of(2000, h=2, w=5)
    flipped = tt.RandomHorizontalFlip(0.3)(images, rng())
    mirrored = np.all(flipped == images[..., ::-1], axis=(1, 2, 3))
    same = np.all(flipped == images, axis=(1, 2, 3))
    assert np.all(mirrored ^ same)
    assert abs(mirrored.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 2000)


@pytest.mark.parametrize("p", [0, 1])
def test_a_flip_of_none_or_all(p):
    images = images_of(7)
    expected = images[..., ::-1] if p else images
    np.testing.assert_array_equal(tt.RandomHorizontalFlip(p)(images, rng()), expected)


@pytest.mark.parametrize("size", [1, 4, 5, (2, 3), 100])
def test_cutout_sets_a_rectangle_around_a_point_of_the_image(size):
    images = images_of(50)
    cut = tt.Cutout(size)(images, rng())
    high, wide = (size, size) if isinstance(size, int) else size
    for before, after in zip(images, cut, strict=True):
        gone = np.all(after == 0, axis=0)
        np.testing.assert_array_equal(after[:, ~gone], before[:, ~gone])
        rectangles = [
            (slice(max(y - high // 2, 0), y - high // 2 + high), slice(max(x - wide // 2, 0), x - wide // 2 + wide))
            for y, x in itertools.product(range(8), range(10))
        ]
        expected = [np.zeros((8, 10), bool) for _ in rectangles]
        for mask, place in zip(expected, rectangles, strict=True):
            mask[place] = True
        assert any(np.array_equal(gone, mask) for mask in expected)


def test_cutout_fills_with_what_it_is_told_as_often_as_it_is_told():
    images = images_of(2000, h=3, w=3)
    cut = tt.Cutout(100, fill=(1.0, 2.0, 3.0), p=0.25)(images, rng())
    gone = np.all(cut == np.reshape([1, 2, 3], (3, 1, 1)), axis=(1, 2, 3))
    np.testing.assert_array_equal(cut[~gone], images[~gone])
    assert abs(gone.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 2000)


TRANSFORMS = [tt.RandomCrop(8, 3, padding_mode="reflect"), tt.RandomHorizontalFlip(), tt.Cutout(3)]


@pytest.mark.parametrize("transform", [*TRANSFORMS, tt.Compose(TRANSFORMS)], ids=lambda t: type(t).__name__)
def test_what_a_transform_gets_stays_as_it_is_and_is_not_shared(transform):
    images = images_of(16)
    before = images.copy()
    images.flags.writeable = False  # as memory-mapped data are
    for _ in range(3):
        assert not np.shares_memory(transform(images, rng()), images)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: type(t).__name__)
def test_images_without_channels_floats_tuples_and_no_images(transform):
    images = images_of(6, 1)
    expected = transform(images, rng(3))
    np.testing.assert_array_equal(transform(images[:, 0], rng(3)), expected[:, 0])
    floats = transform(images.astype(np.float32), rng(3))
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(floats, expected)
    labels = np.arange(6)
    pair = transform((images, labels, "more"), rng(3))
    np.testing.assert_array_equal(pair[0], expected)
    assert pair[1] is labels and pair[2:] == ("more",)
    assert transform(images[:0], rng()).shape == (0, *expected.shape[1:])


def test_compose_applies_in_order_from_one_generator():
    images, generator = images_of(12), rng(5)
    expected = images
    for transform in TRANSFORMS:
        expected = transform(expected, generator)
    np.testing.assert_array_equal(tt.Compose(TRANSFORMS)(images, rng(5)), expected)
    assert tt.Compose([])(images, rng()) is images
    assert repr(tt.Compose(TRANSFORMS)) == (
        "Compose(RandomCrop((8, 8), padding=(3, 3), padding_mode='reflect'), RandomHorizontalFlip(0.5), "
        "Cutout((3, 3), fill=0, p=1.0))"
    )


def test_a_flip_draws_the_same_numbers_whatever_its_probability():
    generators = [rng(1), rng(1)]
    for generator, p in zip(generators, (0.0, 0.9), strict=True):
        tt.Compose([tt.RandomHorizontalFlip(p), tt.Cutout(2, p=p)])(images_of(9), generator)
    assert generators[0].random() == generators[1].random()


def epochs(loader: DataLoader, n: int) -> list[list[np.ndarray]]:
    return [[images.numpy().copy() for images, _ in loader] for _ in range(n)]


def test_seed_epoch_and_batch_decide_and_nothing_else():
    data = TensorDataset(images_of(22), np.arange(22))
    transform = tt.Compose(TRANSFORMS)

    def runs(**options):
        return epochs(DataLoader(data, 8, transform=transform, **options), 2)

    first = runs(seed=1, prefetch=2)
    for again in (runs(seed=1, prefetch=0), runs(seed=1, prefetch=5)):
        for a, b in zip(itertools.chain(*first), itertools.chain(*again), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0][0], first[1][0]), "another epoch has other crops"
    assert not np.array_equal(first[0][0], runs(seed=2)[0][0])
    same = DataLoader(TensorDataset(np.repeat(images_of(1), 16, 0)), 8, transform=transform)
    batches = [images.numpy() for (images,) in same]
    assert not np.array_equal(*batches), "another batch has other crops"


def test_a_resumed_loader_sees_the_same_crops():
    data = TensorDataset(images_of(24), np.arange(24))

    def make():
        return DataLoader(data, 8, shuffle=True, seed=4, transform=tt.Compose(TRANSFORMS))

    whole = epochs(make(), 2)
    loader, resumed = make(), make()
    list(loader)
    next(iter(loader))
    resumed.load_state_dict(loader.state_dict())
    rest = [images.numpy() for images, _ in resumed]
    assert len(rest) == 2
    for expected, got in zip(whole[1][1:], rest, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: tt.RandomCrop(0), ValueError, "size is at least 1, got 0"),
        (lambda: tt.RandomCrop((4, 4, 4)), TypeError, "size is an int or a pair"),
        (lambda: tt.RandomCrop(4.5), TypeError, "size is an int or a pair"),
        (lambda: tt.RandomCrop("44"), TypeError, "size is an int or a pair"),
        (lambda: tt.RandomCrop(4, -1), ValueError, "padding is at least 0, got -1"),
        (lambda: tt.RandomCrop(4, padding_mode="wrap"), ValueError, "'constant', 'reflect', 'edge', 'symmetric'"),
        (lambda: tt.RandomHorizontalFlip(1.5), ValueError, "from 0 to 1, got 1.5"),
        (lambda: tt.RandomHorizontalFlip(float("nan")), ValueError, "from 0 to 1, got nan"),
        (lambda: tt.RandomHorizontalFlip("often"), TypeError, "p is a number"),
        (lambda: tt.Cutout(2, p=-0.1), ValueError, "Cutout: p is a probability"),
        (lambda: tt.Cutout((0, 3)), ValueError, "Cutout: size is at least 1"),
        (lambda: tt.Compose([tt.Cutout(2), 3]), TypeError, "transform 1 is 3"),
        (lambda: tt.Compose(tt.Cutout(2)), TypeError, "expected a list of transforms"),
        (lambda: tt.RandomCrop(9)(images_of(2), rng()), ShapeError, "9×9 does not fit into images of 8×10"),
        (
            lambda: tt.RandomCrop(8, 8, padding_mode="reflect")(images_of(2), rng()),
            ShapeError,
            "at most 7 pixels to pad the height of 8",
        ),
        (
            lambda: tt.RandomCrop(8, (0, 11), padding_mode="symmetric")(images_of(2), rng()),
            ShapeError,
            "at most 10 pixels to pad the width of 10",
        ),
        (lambda: tt.Cutout(2, fill=(1, 2))(images_of(2), rng()), ShapeError, r"fill has shape \[2\].* 3 channels"),
        (lambda: tt.Cutout(2, fill=300)(images_of(2), rng()), ValueError, "fill 300 is no value of images of uint8"),
        (lambda: tt.RandomCrop(8, 1, fill=0.5)(images_of(2), rng()), ValueError, "fill 0.5 is no value"),
        (lambda: tt.Cutout(2, fill="black")(images_of(2), rng()), TypeError, "fill is a number"),
        (lambda: tt.Cutout(2)(np.zeros((4, 3072)), rng()), ShapeError, "flattened images have no rows"),
        (lambda: tt.Cutout(2)({"image": images_of(2)}, rng()), TypeError, "got dict"),
        (lambda: tt.Cutout(2)(images_of(2), 7), TypeError, "needs a numpy.random.Generator, got int"),
    ],
)
def test_bad_input_is_named_with_its_line(make, error, message):
    with pytest.raises(error, match=message) as raised:
        make()
    assert "test_augment.py:" in str(raised.value)


def test_an_error_in_a_transform_reaches_the_loop():
    loader = DataLoader(TensorDataset(images_of(4)), 2, transform=tt.RandomCrop(20))
    with pytest.raises(ShapeError, match="20×20 does not fit"):
        list(loader)
