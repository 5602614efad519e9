"""Shuffling and augmentation on the device."""
import jax
import numpy as np

from ikd import keys
from ikd.data.inputs import crop_and_flip, epoch_order, normalise


def test_an_epoch_sees_every_image_once():
    order = np.asarray(epoch_order(3, 0, 50, 48))
    assert len(order) == 48 and len(set(order)) == 48 and order.min() >= 0 and order.max() < 50


def test_the_order_depends_on_seed_and_epoch_alone():
    orders = {(seed, epoch): tuple(np.asarray(jax.jit(epoch_order, static_argnums=(2, 3))(seed, epoch, 50, 50)))
              for seed in (0, 1) for epoch in (0, 1)}
    assert len(set(orders.values())) == 4
    assert orders[1, 1] == tuple(np.asarray(epoch_order(1, 1, 50, 50)))


def test_the_order_never_changes():
    """A run that is gone on with, and a stage of the store, are of an earlier version's order."""
    assert np.asarray(epoch_order(3, 2, 10, 6)).tolist() == [7, 1, 0, 4, 3, 2]
    assert np.asarray(epoch_order(3, 2, 10, 6, 1)).tolist() == [4, 6, 9, 8, 3, 2]


def test_a_stage_with_draws_of_its_own_has_an_order_of_its_own():
    orders = [tuple(np.asarray(epoch_order(1, 1, 50, 50, draws))) for draws in range(4)]
    assert len({*orders}) == 4 and orders[0] == tuple(np.asarray(epoch_order(1, 1, 50, 50)))


def test_every_purpose_has_its_keys():
    """Whatever the stage draws for: a teacher's order is not the key of a student's steps."""
    found = {tuple(np.asarray(jax.random.key_data(keys.stream(0, purpose, draws))).tolist())
             for purpose in keys.PURPOSES for draws in range(4)}
    assert len(keys.PURPOSES) == 3 and len(found) == 12


def test_every_crop_is_a_window_of_the_padded_image_or_its_mirror(digits):
    """All 81 corners and both directions occur, evenly."""
    image = np.uint8(255 * digits[0][0])
    n = 8100
    crops = np.asarray(crop_and_flip(np.broadcast_to(image, (n, *image.shape)),
                                     keys.per_example(jax.random.key(0), n)))
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))
    windows = {}
    for row in range(9):
        for column in range(9):
            window = padded[row:row + 32, column:column + 32]
            windows.setdefault(window.tobytes(), set()).add((row, column, 0))
            windows.setdefault(window[:, ::-1].tobytes(), set()).add((row, column, 1))
    seen = [windows[crop.tobytes()] for crop in crops]  # KeyError: not a window
    assert set.union(*seen) == {(r, c, f) for r in range(9) for c in range(9) for f in (0, 1)}
    unique = [next(iter(places)) for places in seen if len(places) == 1]
    rows = np.bincount([row for row, _, _ in unique], minlength=9) / len(unique)
    flips = np.mean([flip for _, _, flip in unique])
    # five standard errors: sqrt(p (1 - p) / 8100) is 0.0035 for a row, 0.0056 for a flip
    assert np.abs(rows - 1 / 9).max() < 0.0175 and abs(flips - 0.5) < 0.028


def test_keys_follow_the_place_in_the_global_batch():
    """Four devices with two examples each draw what one device draws for eight."""
    key = jax.random.key(7)
    one = jax.random.key_data(keys.per_example(key, 8))
    four = jax.pmap(lambda _: jax.random.key_data(keys.per_example(key, 2, 'batch')), axis_name='batch')(np.arange(4))
    np.testing.assert_array_equal(four.reshape(one.shape), one)
    assert len({tuple(row) for row in np.asarray(one).tolist()}) == 8


def test_normalise(digits):
    pixels = np.uint8(255 * digits[0])
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    expected = (pixels.astype(np.float64) / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(normalise(pixels, mean, std), expected, rtol=1e-5, atol=1e-6)
