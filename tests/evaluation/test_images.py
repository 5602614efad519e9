"""Images of one's own are explained in batches that fit."""
from types import SimpleNamespace

import numpy as np
import pytest

from ikd.evaluation import images as given


@pytest.mark.parametrize('n, k, size', [(5, 10, 5), (40, 10, 16), (40, 100, 16), (40, 800, 2), (3, 5000, 1)])
def test_images_are_explained_in_batches_that_fit(n, k, size, monkeypatch):
    """The last is filled up and cut off again; fewer at a time where there are many classes."""
    names, seen, ticks = tuple(map(str, range(k))), [], []
    apply = lambda variables, x, train: (x.sum((1, 2)) * np.arange(k), {})
    trained = SimpleNamespace(
        class_names=names, variables={}, model=SimpleNamespace(apply=apply),
        config=SimpleNamespace(precision='float32', method=SimpleNamespace(similarity='cosine')),
        inputs=lambda images: images.astype(np.float32) / 255)

    def maps_and_similarities(trained, name):
        def function(variables, x, reference):
            seen.append(len(x))
            return x[:, None, ..., 0] * reference[:, None, None, None], reference[:, None] + 0 * x[:, 0, 0]
        return function

    monkeypatch.setattr(given, 'maps_and_similarities', maps_and_similarities)
    images = np.random.default_rng(0).integers(1, 255, (n, 2, 2, 1), dtype=np.uint8)
    labels = np.arange(n) % min(k, 7)
    found = given.explain_images(trained, images, labels, ['one'], ticks.append)
    assert {*seen} == {size} and sum(ticks) == n
    expected = images[:, None, ..., 0] / 255 * labels[:, None, None, None]
    np.testing.assert_allclose(found.maps['one'], expected, rtol=1e-5)
    np.testing.assert_array_equal(found.similarities['one'][:, 0], labels)
    assert found.probabilities.shape == (n, k)
