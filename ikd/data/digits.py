"""Scikit-learn's handwritten digits: 1,797 grey images of 8x8 pixels, bundled, so nothing is downloaded."""
import numpy as np


def read():
    """Returns (train_images, train_labels, test_images, test_labels, class_names).

    Images are uint8 [1437, 8, 8, 1] and [360, 8, 8, 1] in 0..255, labels int32 [n].
    The split is stratified by class and never changes: results on this set are comparable between people and
    between years.
    """
    from sklearn.datasets import load_digits  # here, as runs on other data need not wait for scikit-learn
    from sklearn.model_selection import train_test_split
    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels.astype(np.int32), test_size=360, stratify=labels, random_state=0)
    return train_images, train_labels, test_images, test_labels, tuple('0123456789')
