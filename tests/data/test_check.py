"""What a user's own reader gives is a data set, or a line says what is not."""
import numpy as np
import pytest

from ikd.data import READERS, load
from ikd.data.stream import Images, unread
from ikd.errors import InputError


def arrays(**changed):
    """What a reader gives: four images of two classes to train and as many to test."""
    images, labels = np.zeros((4, 8, 8, 1), np.uint8), np.array([0, 1, 0, 1])
    usual = {'images': images, 'labels': labels, 'tests': images, 'answers': labels, 'names': 'ab'}
    return [*{**usual, **changed}.values()]


@pytest.mark.parametrize('found, message', [
    (arrays(images=np.zeros((4, 8, 8, 1), np.float32)),
     r'^the training images of data.name=own are float32 \[4, 8, 8, 1\]: its reader must return uint8 \[n, h, w'),
    (arrays(tests=np.zeros((4, 8, 8), np.uint8)), r'the test images of .* are uint8 \[4, 8, 8\]: .*\[n, h, w, c\]'),
    (arrays(labels=5), 'the training labels of data.name=own are int: its reader'),
    (arrays(images=[[0]]), 'the training images of data.name=own are list: its reader'),
    (arrays(answers=np.zeros(4)), r'the test labels of data.name=own are float64 \[4\]: its reader must return'),
    (arrays(labels=np.zeros(3, int)), r'the training labels .* are int64 \[3\]: .* int32 \[4\], one for each image'),
    (arrays(labels=np.arange(1, 5)), 'the training labels .* are 1 to 4, but its reader names 2 classes: count them'),
    (arrays(tests=np.zeros((4, 9, 8, 1), np.uint8)), r'uint8 \[4, 8, 8, 1\] and, to test, uint8 \[4, 9, 8, 1\]: its'),
    (arrays(images=np.zeros((0, 8, 8, 1), np.uint8), labels=np.zeros(0, int)), 'must return some to train'),
    (arrays(names=('a', 'b', 'a')), "two classes of data.name=own are called 'a'"),
    *((arrays(names=names), 'the classes of data.name=own are not named in words') for names in (range(2), 2, None)),
    (arrays()[:4], 'must return five things'), (None, 'must return five things')])
def test_what_is_no_data_set(found, message, monkeypatch):
    monkeypatch.setitem(READERS, 'own', lambda: found)
    with pytest.raises(InputError, match=message) as caught:
        load('own')
    assert '\n' not in str(caught.value)


def test_images_of_a_reader_may_be_resized(monkeypatch):
    """Of unlike sizes, and none to test on."""
    monkeypatch.setitem(READERS, 'own', lambda: arrays(tests=np.zeros((4, 9, 8, 1), np.uint8)))
    assert load('own', size=4).test_images.shape == (4, 4, 4, 1)
    nothing = {'tests': np.zeros((0, 8, 8, 1), np.uint8), 'answers': np.zeros(0, int)}
    monkeypatch.setitem(READERS, 'own', lambda: arrays(**nothing))
    assert load('own', size=4).test_images.shape == (0, 4, 4, 1)


@pytest.mark.parametrize('changed', [{}, {'labels': np.zeros(4, np.uint8)},
                                     {'images': unread(np.ones((4, 8, 8, 1), np.uint8))}])
def test_what_is_one(changed, monkeypatch):
    monkeypatch.setitem(READERS, 'own', lambda: arrays(**changed))
    found = load('own')
    assert found.train_images.shape == (4, 8, 8, 1)
    assert isinstance(found.test_images, Images) == isinstance(found.train_images, Images)
