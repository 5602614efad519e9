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
from ikd.trained import compiled, explain_function, fitting, rows_in_batches

RESAMPLES = 200


def likeness(trained, explainer=None, most=1000, confused=None):
    """Spearman's rho of two numbers of each true class and each other class: {'value', 'low', 'high'}, in [-1, 1].

    The one is the mean cosine of their maps over those of the first `most` test images (None: all) that are of the
    true class, a zero map's being 0; the other the mean probability that a network gives the other class there:
    `trained` itself, or `confused`, another Trained on the same data. explainer None: the run's own. low, high: value
    -+ 1.96 standard deviations of bootstrap samples, images drawn within their classes, in [-1, 1]; a sample whose
    rho is not defined counts as 0. Few images of a class make both means uncertain and rho smaller, so compare like
    numbers of images. All three are None where rho is not defined, as with two classes, low and high with fewer than
    two images a class on average (a class of one does not scatter, which makes the interval narrower). What is no
    number is left out. InputError as of `check_same_data`.
    """
    cosines, probabilities, labels = cosines_and_probabilities(trained, explainer, most, confused)
    value = rank_agreement(cosines, probabilities, labels)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if value is None or len(labels) < 2 * len(members):
        return {'value': value, 'low': None, 'high': None}
    rng, draws = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rng.choice(of_class, len(of_class)) for of_class in members])
        draws.append(rank_agreement(cosines[drawn], probabilities[drawn], labels[drawn]) or 0.0)
    half = 1.96 * float(np.std(draws))
    return {'value': value, 'low': max(-1.0, value - half), 'high': min(1.0, value + half)}


def cosines_and_probabilities(trained, explainer=None, most=1000, confused=None):
    """What `rank_agreement` takes: of each image cosines to the true class's map, probabilities, [n, k], labels [n].

    Arguments and errors as of `likeness`.
    """
    if confused is None:
        confused = trained
    else:
        check_same_data(trained, confused)
    explain, images = explain_function(trained, explainer), select(trained.dataset.test_images, slice(most))

    def of_batch(variables, other_variables, pixels, labels):
        maps = explain(variables, trained.inputs(pixels))
        return cosine(maps, labels) - 1, jax.nn.softmax(of_pixels(confused)(other_variables, pixels))

    of_batch, parts = compiled(trained, of_batch), []
    labels = trained.dataset.test_labels[:most]
    for rows, real in rows_in_batches(len(labels), fitting(trained, 250)):
        found = jax.device_get(of_batch(trained.variables, confused.variables, images[rows], labels[rows]))
        parts.append([values[real] for values in found])
    return *(np.concatenate(part) for part in zip(*parts)), labels


def check_same_data(trained, confused):
    """InputError if two Trained have other classes, or test images of other shapes or labels."""
    one, other = trained.dataset, confused.dataset
    if (one.class_names, one.test_images.shape) != (other.class_names, other.test_images.shape) or not np.array_equal(
            one.test_labels, other.test_labels):
        raise InputError('likeness: the two networks were not tested on the same images; take runs on the same data, '
                         'with the same data.holdout and data.limit')


def rank_agreement(cosines, probabilities, labels):
    """Spearman's rho of the means over each class's images, [n, k] and [n, k], its own column left out; or None.

    Values that are no numbers are left out. None of fewer than three pairs of classes (of two, it is 1 or -1), and
    where all means of the one are alike, so that they have no order.
    """
    there = np.unique(labels)
    others = np.arange(cosines.shape[1]) != there[:, None]

    def sums(values):
        return np.stack([values[labels == label].sum(0, dtype=np.float64) for label in there])[others]

    def means(values):
        known = np.isfinite(values)
        counts = sums(known)
        return np.where(counts > 0, sums(np.where(known, values, 0)) / np.maximum(counts, 1), np.nan)

    pairs = np.stack([means(cosines), means(probabilities)])
    ranks = [rankdata(values) for values in pairs[:, np.isfinite(pairs).all(0)]]
    if any(len(values) < 3 or np.ptp(values) == 0 for values in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])
