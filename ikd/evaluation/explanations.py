"""How good explainers are, by measures that each look at one thing: numbers over test images, with intervals."""
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from ikd.data.inputs import normalise
from ikd.evaluation.discriminativeness import discriminativeness
from ikd.evaluation.faithfulness import (
    SQUARES,
    area,
    contributions,
    drops,
    fractions,
    incompleteness,
    infidelity,
    morph,
    of_class,
    pixel_values,
    squares,
)
from ikd.evaluation.intervals import estimate
from ikd.evaluation.likeness import likeness
from ikd.evaluation.sanity import cascade
from ikd.evaluation.sensitivity import nearby, relative_change
from ikd.evaluation.sparseness import gini
from ikd.trained import compiled, explain_function, fitting, rows_in_batches

# Measure -> which values are better; where neither is, what it says. Sanity is read with and without signs, and the
# reading in which maps are more alike counts.
MEASURES = {'discriminativeness': 'high', 'deletion': 'low', 'insertion': 'high', 'infidelity': 'low',
            'max_sensitivity': 'low', 'sparseness': 'neither', 'sanity': 'near 0', 'likeness': 'neither',
            'completeness': 'low'}
COMPLETE = ('integrated_gradients',)  # whose maps should sum to what the logit gains over the network's zero
RADIUS, NEIGHBOURS = 5, 10  # of max-sensitivity: pixels of 255, images


def at_a_time(trained, size=50):
    """How many images `examiner` looks at together, at most `size`: infidelity takes squares out of each."""
    return fitting(trained, size, copies=SQUARES)


def measures_of(explainer, measures):
    """Those of the measures that are taken of an explainer."""
    return [measure for measure in measures if measure != 'completeness' or explainer in COMPLETE]


def ticks(trained, measures, most=100):
    """How often a judge of `examiner` calls tick()."""
    ranked = sum(measure in RANKED for measure in measures)
    batches = -(-min(most, len(trained.dataset.test_labels)) // at_a_time(trained))
    return ranked + batches * (len(measures) > ranked)


def examiner(trained, measures, most=100, size=50, confused=None):
    """The function judge(explainer, tick), which takes `measures` of explainers on the first `most` test images.

    `size` images at a time, or as many as fit. It gives ({measure: `intervals.estimate`}, curves): `curves` are the
    mean `deletion` and `insertion` at `fractions` of the pixels, or {}. tick() is called for each of `RANKED`, and,
    where there are other measures, for every batch.

    deletion, insertion: area under the probability of the predicted class; pixels are deleted to the network's zero,
    the data's mean pixel, or black where the data are not centred (digits, MNIST, Fashion-MNIST), and inserted into
    the image blurred by an eighth of its side. infidelity, max_sensitivity, sparseness: means over all classes of an
    image. completeness, which is measured for `COMPLETE` alone: `incompleteness`. discriminativeness, sanity:
    `told_apart`, `after_randomisation`. likeness: the function of that name, beside what `confused`, a Trained, takes
    for what, by default the network itself.
    """
    batched = [measure for measure in measures if measure not in RANKED]
    take = values_of(trained, batched, most, size) if batched else lambda name, tick: {}
    ranked = {**RANKED, 'likeness': partial(likeness, confused=confused)}

    def judge(name, tick=lambda: None):
        values, shares = take(name, tick), fractions()
        curves = {measure: values[measure].mean(0) for measure in ('deletion', 'insertion') if measure in values}
        found = {measure: estimate(area(value, shares) if measure in curves else over_classes(value))
                 for measure, value in values.items()}
        for measure, way in ranked.items():
            if measure in measures:
                found[measure] = way(trained, name, most)
                tick()
        return ({measure: found[measure] for measure in measures_of(name, measures)},
                {**curves, 'fractions': shares} if curves else {})

    return judge


class Seen(NamedTuple):
    """A batch of test images as the network sees them, whoever explains it.

    pixels: float32 [b, h, w, c] in [0, 255]. images, blurred: these, and these blurred by an eighth of their side, as
    the network takes them. classes: the predicted ones, int [b]. gained [b, k]: what the logits gain over those of
    the network's zero. lost [b, s, k]: of `drops`, None without masks. real: bool [b], not what fills the last batch.
    """
    pixels: np.ndarray
    images: jax.Array
    blurred: jax.Array
    classes: jax.Array
    gained: jax.Array
    lost: jax.Array | None
    real: np.ndarray


def network(trained, variables):
    """The function of images that gives their logits [b, k], in evaluation mode."""
    return lambda images: trained.model.apply(variables, images, train=False)[0]


def seen(trained, masks, most, size):
    """The first `most` test images in batches, a list of Seen; masks: of `drops`, or None."""
    dataset = trained.dataset

    @partial(compiled, trained)
    def facts(variables, images):
        f = network(trained, variables)
        logits = f(images)
        lost = None if masks is None else drops(f, images, masks)
        return logits.argmax(-1), logits - f(jnp.zeros_like(images)), lost

    def looked_at(rows, real):
        pixels, width = dataset.test_images[rows].astype(np.float32), min(dataset.image_shape[:2]) / 8
        blurred = ndimage.gaussian_filter(pixels, (0, width, width, 0), mode='nearest')
        images, blurred = (normalise(each, dataset.mean, dataset.std) for each in (pixels, blurred))
        return Seen(pixels, images, blurred, *facts(trained.variables, images), real)

    n = len(dataset.test_labels[:most])
    return [looked_at(*batch) for batch in rows_in_batches(n, at_a_time(trained, size))]


def values_of(trained, measures, most, size):
    """The function take(explainer, tick), which takes measures that are not `RANKED`; arguments as of `examiner`.

    It gives {measure: values of n images}: `deletion` and `insertion` [n, s], at `fractions` of the pixels, others
    [n, k], of each class's map, or [n]. tick() is called for every batch.
    """
    shape, key, variables = trained.dataset.image_shape[:2], jax.random.key(0), trained.variables
    masks, change = squares(shape), jax.jit(relative_change)
    batches = seen(trained, masks if 'infidelity' in measures else None, most, size)

    @partial(compiled, trained)
    def curve(variables, first, last, values, classes):
        return morph(network(trained, variables), first, last, values, classes, fractions(), key)

    @jax.jit
    def neighbours(key, pixels):
        return trained.inputs(nearby(key, pixels, RADIUS))

    @partial(compiled, trained)
    def summaries(maps, values, gained, lost):
        ways = {'infidelity': lambda: infidelity(values, masks, lost), 'sparseness': lambda: gini(maps),
                'completeness': lambda: incompleteness(maps, gained)}
        return {measure: way() for measure, way in ways.items() if measure in measures}

    def of_batch(name, explain, batch):
        images, maps = batch.images, explain(variables, batch.images)
        own = of_class(pixel_values(maps, shape), batch.classes)
        told = pixel_values(contributions(name, maps, images), shape)

        def sensitivity():
            changes = [np.asarray(change(maps, explain(variables, neighbours(one, batch.pixels))))
                       for one in jax.random.split(key, NEIGHBOURS)]
            return np.max(changes, 0)  # XLA:CPU's leaves NaN out where there are many

        ways = {'deletion': lambda: curve(variables, images, jnp.zeros_like(images), own, batch.classes),
                'insertion': lambda: curve(variables, batch.blurred, images, own, batch.classes),
                'max_sensitivity': sensitivity}
        found = summaries(maps, told, batch.gained, batch.lost)
        found |= {measure: way() for measure, way in ways.items() if measure in measures}
        return {measure: np.asarray(value)[batch.real] for measure, value in found.items()}

    def take(name, tick):
        explain, parts = jax.jit(explain_function(trained, name)), []
        for batch in batches:
            parts.append(of_batch(name, explain, batch))
            tick()
        return {measure: np.concatenate([part[measure] for part in parts]) for measure in measures}

    return take


def told_apart(trained, name, most):
    """`discriminativeness` as an estimate: of maps read with their sign, against every other class."""
    readings = discriminativeness(trained, name, most)
    score = readings['signed' if 'signed' in readings else 'as_is']['all']
    return {'value': score['score'], 'low': score['low'], 'high': score['high']}


def after_randomisation(trained, name, most):
    """The last step of `cascade` as an estimate: rho of the true class's map to that when all weights are random.

    Of the readings that Adebayo et al. 2018 report, with signs and without, that whose rho is farther from 0: maps
    that still show what they showed, with other signs, are not sane.
    """
    last = cascade(trained, name, most)[-1]
    readings = [last[reading] for reading in ('signed', 'absolute', 'as_is') if reading in last]
    found = max(readings, key=lambda one: -1 if one['rho'] is None else abs(one['rho']))
    return {'value': found['rho'], 'low': found['low'], 'high': found['high']}


def over_classes(values):
    """The mean of each image's defined values: [n] from [n, k], NaN where none is; values [n] themselves."""
    if values.ndim == 1:
        return values
    defined = ~np.isnan(values)
    count = defined.sum(1)
    return np.where(count > 0, np.where(defined, values, 0).sum(1) / np.maximum(count, 1), np.nan)


RANKED = {  # measure -> way(trained, explainer, most): of all images at once, not batch by batch
    'discriminativeness': told_apart, 'sanity': after_randomisation, 'likeness': likeness}
