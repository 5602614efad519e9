"""Do the maps of classes look alike that are taken for each other? What LE stands on, as a number.

2009.09140 makes targets of how alike a class's map and the true class's are, as that is to say which classes are
alike (section 5.4.1). It prints no number; the measure is ours.
"""
import jax
import numpy as np
from scipy.stats import rankdata

from ikd.data.stream import select
from ikd.errors import InputError
from ikd.evaluation.network import of_pixels
from ikd.explainers.similarity import cosine
from ikd.trained import at_precision, explain_function, fitting, pixel_batches

RESAMPLES = 200


def likeness(trained, explainer=None, most=1000, confused=None):
    """Spearman's rho of two numbers of each true class and each other class: {'value', 'low', 'high'}, in [-1, 1].

    The one is the mean cosine of their maps over those of the first `most` test images (None: all) that are of the
    true class, the other the mean probability that a network gives the other class there: `trained` itself, or
    `confused`, another Trained on the same data. explainer None: the run's own. low, high: value -+ 1.96 standard
    deviations of bootstrap samples, images drawn within their classes, cut at -1 and 1. Few images of a class make
    both means uncertain and rho smaller, so compare like numbers of images. All three are None where rho is not
    defined, low and high where no class has two images. InputError for networks of other classes or shapes.
    """
    confused = confused or trained
    shapes = [(one.class_names, one.dataset.test_images.shape[1:]) for one in (trained, confused)]
    if shapes[0] != shapes[1]:
        raise InputError('likeness: the two networks have other classes or other shapes of images; take those of '
                         'runs on the same data')
    explain, images = explain_function(trained, explainer), select(trained.dataset.test_images, slice(most))

    def read(variables, other_variables, pixels, labels):
        maps = explain(variables, trained.inputs(pixels))
        return cosine(maps, labels) - 1, jax.nn.softmax(of_pixels(confused)(other_variables, pixels))

    read, parts = jax.jit(at_precision(trained, read)), []
    labels = trained.dataset.test_labels[:most]
    for pixels, of_batch, real in pixel_batches(images, labels, fitting(trained, 250)):
        found = jax.device_get(read(trained.variables, confused.variables, pixels, of_batch))
        parts.append([values[real] for values in found])
    cosines, probabilities = (np.concatenate(part) for part in zip(*parts))
    value = rho(cosines, probabilities, labels)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if value is None or len(members) == len(labels):
        return {'value': value, 'low': None, 'high': None}
    rng, draws = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rng.choice(of_class, len(of_class)) for of_class in members])
        draws.append(rho(cosines[drawn], probabilities[drawn], labels[drawn]))
    half = 1.96 * float(np.std([draw for draw in draws if draw is not None]))
    return {'value': value, 'low': max(-1.0, value - half), 'high': min(1.0, value + half)}


def rho(cosines, probabilities, labels):
    """Spearman's rho of the means over each class's images, [n, k] and [n, k], its own column left out; or None.

    None where all means of the one are alike, so that they have no order.
    """
    there = np.unique(labels)
    others = np.arange(cosines.shape[1]) != there[:, None]
    means = [np.stack([values[labels == label].mean(0, dtype=np.float64) for label in there])[others]
             for values in (cosines, probabilities)]
    ranks = [rankdata(values) for values in means]
    if any(np.ptp(values) == 0 for values in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])
