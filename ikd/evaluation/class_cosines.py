"""How alike the maps of each two classes are, over a whole test set: Figure 2 of 2009.09140."""
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from ikd.explainers.similarity import true_map, unit
from ikd.trained import compiled, explain_function, fitting, image_batches

# The pairs that section 5.4.1 finds more alike than others.
EXPECTED = {'mnist': (('4', '9'), ('3', '5'), ('1', '7'), ('0', '6')),
            'cifar10': (('automobile', 'truck'), ('cat', 'dog'))}


def class_cosines(trained, explainer=None, most=None, size=250):
    """Mean cosines of class maps over the first `most` test images (None: all), `size` at a time, or as many as fit.

    explainer None: the run's own.

    A dict. `by_true_class` [k, k]: row g, column k holds the mean of cos(e^k, e^g) over the images of class g, NaN
    where there are none. `all_images` [k, k]: the mean of cos(e^k, e^m) over all images, symmetric. The paper's text
    ("averaged across the images in the test dataset") fits both. A zero map counts with cosine 0, as in equation 6,
    so the diagonal is the share of maps that are not zero; `zero_maps`: the share of all that are, in [0, 1].
    """
    explain = explain_function(trained, explainer)
    k = len(trained.class_names)

    def sums(variables, images, labels, real):
        vectors = unit(explain(variables, images)) * real[:, None, None]
        cosines = jnp.einsum('bkd,bd->bk', vectors, true_map(vectors, labels)[:, 0])
        members = jax.nn.one_hot(labels, k) * real[:, None]
        zero = (~vectors.any(-1)).mean(-1) * real
        return members.T @ cosines, members.sum(0), jnp.einsum('bkd,bmd->km', vectors, vectors), zero.sum()

    sums = compiled(trained, sums)
    batches = [jax.device_get(sums(trained.variables, *batch))
               for batch in image_batches(trained, most, fitting(trained, size))]
    by_class, counts, pairs, zero = (np.sum(part, 0, dtype=np.float64) for part in zip(*batches))
    n = counts.sum()
    with np.errstate(invalid='ignore'):
        return {'by_true_class': by_class / counts[:, None], 'all_images': pairs / n, 'zero_maps': zero / n}


def pair_ranks(matrix, class_names, pairs):
    """Where pairs of classes stand among all: {'4/9': {'rank': 1, 'cosine': 0.8}, ...}.

    matrix [k, k] is symmetrised and its diagonal left out; rank 1 is the most alike of the k (k - 1) / 2 pairs, and
    ties share the better rank. Pairs whose cosine is NaN come last.
    """
    symmetric = (np.asarray(matrix) + np.transpose(matrix)) / 2
    every = np.array([symmetric[pair] for pair in itertools.combinations(range(len(class_names)), 2)])
    found, defined = {}, (~np.isnan(every)).sum()
    for names in pairs:
        cosine = symmetric[tuple(class_names.index(name) for name in names)]
        ahead = defined if np.isnan(cosine) else (every > cosine).sum()
        found['/'.join(names)] = {'rank': int(ahead) + 1, 'cosine': float(cosine)}
    return found


def most_alike(matrix, class_names, count=5):
    """The `count` most alike pairs of classes, best first, as (name, name); none whose cosine is NaN."""
    symmetric = (np.asarray(matrix) + np.transpose(matrix)) / 2
    pairs = [pair for pair in itertools.combinations(range(len(class_names)), 2) if not np.isnan(symmetric[pair])]
    pairs.sort(key=lambda pair: -symmetric[pair])
    return [tuple(class_names[i] for i in pair) for pair in pairs[:count]]
