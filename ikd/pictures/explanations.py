"""What a network looks at: its maps of some test images, drawn."""
import jax
import numpy as np

from ikd.data.inputs import normalise
from ikd.explainers import class_similarity, explain, explainer_options
from ikd.pictures.maps import explanation_figure

MOST_IMAGES = 10


def explanations(config, model, variables, images, labels):
    """Maps, similarities [n, k] to the true class (cosine: in [-1, 1]) and probabilities [n, k] of images.

    images: float [n, h, w, c] in the network's input scale. Evaluation mode, the config's explainer and similarity.
    """
    maps = explain(config.method.explainer, model, variables, images, **explainer_options(config))
    similarities = class_similarity(maps, labels, config.method.similarity) - 1
    return maps, similarities, jax.nn.softmax(model.apply(variables, images, train=False)[0])


def draw(explain, dataset, variables, title, most=MOST_IMAGES, note=''):
    """Figure 1 for the first test image of each class, at most `most` of them.

    explain: `explanations` of a config and a model, compiled, whose variables are given. dataset: `data.Dataset`.
    title, note: above and below. A matplotlib Figure.
    """
    places = np.unique(dataset.test_labels, return_index=True)[1][:MOST_IMAGES]
    images, labels = dataset.test_images[places], dataset.test_labels[places]
    # of all, however many are drawn, as for another number another program would be compiled
    found = jax.device_get(explain(variables, normalise(images, dataset.mean, dataset.std), labels))
    images, labels, maps, similarities, probabilities = (rows[:most] for rows in (images, labels, *found))
    return explanation_figure(images, maps, similarities, labels, probabilities, dataset.class_names, title, note)
