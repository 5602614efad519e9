"""How well an explainer tells classes apart: rank correlation between the maps of two classes of one image.

2009.09140, section 5.4.2, orders its explainers by class-discriminativeness, with reference to Adebayo et al. 2018,
and gives neither numbers nor a protocol; Adebayo et al. compare a map before and after layers are randomised
(`ikd.evaluation.sanity`). The protocol here is ours: Spearman's rho between the true class's map and that of every
other class.
"""
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import rankdata

from ikd.evaluation.intervals import bootstrap_interval
from ikd.explainers.similarity import true_map, unit
from ikd.trained import compiled, explain_function, fitting, image_batches


def spearman(first, second):
    """Spearman's rho of maps [b, k, ...] (k may be 1 in one of them): [b, k] in [-1, 1].

    NaN for a constant map, and for one with a NaN, which has no rank.
    """
    def vectors(maps):
        flat = maps.reshape(*maps.shape[:2], -1)
        ranks = rankdata(flat, axis=-1) - (flat.shape[-1] + 1) / 2  # NaN in the whole of a map with a NaN
        return unit(jnp.where(jnp.isnan(ranks), 0, ranks))

    u, v = vectors(first), vectors(second)
    return jnp.where(u.any(-1) & v.any(-1), jnp.clip((u * v).sum(-1), -1, 1), jnp.nan)


def readings(maps, size):
    """Class maps as one number for each place, in two ways: name -> [b, k, h', w'].

    Maps with colours [b, k, h, w, c]: the `absolute` values and the `signed` values added up over them. Grad-CAM
    [b, k, h', w']: `as_is`, and `upsampled` bilinearly to size (h, w).
    """
    if maps.ndim == 5:
        return {'absolute': jnp.abs(maps).sum(-1), 'signed': maps.sum(-1)}
    return {'as_is': maps, 'upsampled': jax.image.resize(maps, (*maps.shape[:2], *size), 'bilinear')}


def score(rho):
    """D = 1 - mean |rho| of correlations rho [n, m] of n images, NaN where undefined: a dict.

    `score`: D in [0, 1], higher tells classes apart better; `low`, `high`: its 95 % bootstrap interval over images;
    `rho`: the mean with its sign. Means are over each image's defined correlations, then over the images that have
    one: `images` of them. `undefined`: correlations that were dropped. Numbers are None where no image is left, and
    `low` and `high` where a single one is.
    """
    defined = ~np.isnan(rho)
    rho = rho[defined.any(1)]
    counts = {'images': len(rho), 'undefined': int((~defined).sum())}
    if not len(rho):
        return {**dict.fromkeys(('score', 'low', 'high', 'rho')), **counts}
    apart = 1 - np.nanmean(np.abs(rho), 1)
    low, high = bootstrap_interval(apart)
    return {'score': float(apart.mean()), 'low': low, 'high': high, 'rho': float(np.nanmean(rho, 1).mean()), **counts}


def discriminativeness(trained, explainer=None, most=1000):
    """`score` of an explainer (None: the run's) on the first `most` test images, in evaluation mode.

    {reading: {'all', 'correct', 'runner_up': score}}, readings as in `readings`. `correct`: the correctly classified
    images alone. `runner_up`: the true class's map against that of the class with the largest logit of the others.
    """
    explain = explain_function(trained, explainer)

    def correlations(variables, images, labels):
        logits = trained.model.apply(variables, images, train=False)[0]
        is_true = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
        runner_up = jnp.where(is_true, -jnp.inf, logits).argmax(-1)
        maps = readings(explain(variables, images), images.shape[1:3])
        rho = {name: spearman(true_map(values, labels), values) for name, values in maps.items()}
        return rho, is_true, runner_up, logits.argmax(-1) == labels

    correlations, batches = compiled(trained, correlations), []
    for images, labels, real in image_batches(trained, most, size=fitting(trained, 100)):
        found = jax.device_get(correlations(trained.variables, images, labels))
        batches.append(jax.tree.map(lambda values: values[real], found))
    rho, is_true, runner_up, correct = jax.tree.map(lambda *parts: np.concatenate(parts), *batches)
    n = len(correct)
    scores = {}
    for name, values in rho.items():
        others = values[~is_true].reshape(n, -1)
        scores[name] = {'all': score(others), 'correct': score(others[correct]),
                        'runner_up': score(values[np.arange(n), runner_up][:, None])}
    return scores
