"""Images held out of the training set for searches."""
import numpy as np
import pytest

from ikd import data, run_data
from ikd.config import default
from ikd.errors import InputError
from ikd.validation import resolve


def rows(images, labels):
    """Each example as bytes, so that sets of them can be compared."""
    return sorted(image.tobytes() + label.tobytes() for image, label in zip(images, labels))


def test_held_out_images_are_training_images_no_longer():
    whole = data.load('digits')
    found = data.hold_out(whole, 237)
    assert len(found.train_images) == len(found.train_labels) == 1200 and len(found.test_images) == 237
    together = rows(found.train_images, found.train_labels) + rows(found.test_images, found.test_labels)
    assert sorted(together) == rows(whole.train_images, whole.train_labels)
    assert (found.mean, found.std, found.class_names) == (whole.mean, whole.std, whole.class_names)


def test_they_are_the_last_of_a_fixed_order():
    """A smaller set is a part of a larger one, and neither comes in the order of the file."""
    whole = data.load('digits')
    few, more = (data.hold_out(whole, count).test_images for count in (50, 100))
    np.testing.assert_array_equal(more[50:], few)
    np.testing.assert_array_equal(few, data.hold_out(whole, 50).test_images)
    assert not np.array_equal(few, whole.train_images[-50:])
    order = np.random.default_rng(0).permutation(1437)
    np.testing.assert_array_equal(few[0], whole.train_images[order[1387]])


def test_a_run_that_holds_out_sees_no_test_image():
    """The real test set spoilt, nothing changes; `limit` comes after."""
    config = default()
    config.data.update(holdout=300, limit=200)
    dataset = run_data.load_data(resolve(config))
    held = data.hold_out(data.load('digits'), 300)
    np.testing.assert_array_equal(dataset.test_images, held.test_images[:200])
    np.testing.assert_array_equal(dataset.train_images, held.train_images[:200])


@pytest.mark.parametrize('fields, train, test', [
    ({'train_images': 100}, 100, 300), ({'train_images': 1137}, 1137, 300),
    ({'train_images': 100, 'limit': 150}, 100, 150)])
def test_fewer_images_to_train_on(fields, train, test):
    """The first; all there are to test on, and the statistics of the whole set."""
    config = default()
    config.data.update(holdout=300, **fields)
    dataset, held = run_data.load_data(resolve(config)), data.hold_out(data.load('digits'), 300)
    np.testing.assert_array_equal(dataset.train_images, held.train_images[:train])
    np.testing.assert_array_equal(dataset.train_labels, held.train_labels[:train])
    np.testing.assert_array_equal(dataset.test_images, held.test_images[:test])
    assert dataset.mean == held.mean


def test_images_that_are_left_out():
    """The first of those that are not held out; `train_images` and `limit` count the others."""
    config = default()
    config.data.update(holdout=300, train_skip=50, train_images=200, limit=150)
    dataset, held = run_data.load_data(resolve(config)), data.hold_out(data.load('digits'), 300)
    np.testing.assert_array_equal(dataset.train_images, held.train_images[50:200])
    np.testing.assert_array_equal(dataset.train_labels, held.train_labels[50:200])
    np.testing.assert_array_equal(dataset.test_images, held.test_images[:150])
    config.data.train_skip = 1137
    with pytest.raises(InputError, match='data.train_skip 1137 leaves none of the 1137 training images'):
        run_data.load_data(resolve(config))


def test_too_many():
    with pytest.raises(InputError, match='data.holdout 1437 leaves none of the 1437 training images'):
        data.hold_out(data.load('digits'), 1437)
    config = default()
    config.data.update(train_images=1000, train_skip=500)
    with pytest.raises(InputError, match='data.train_images 1000 are more than the 937 training images that there'):
        run_data.load_data(resolve(config))
    config = default()
    config.data.holdout = -1
    with pytest.raises(InputError, match='data.holdout is -1; it must not be negative'):
        resolve(config)
