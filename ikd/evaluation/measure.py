"""What is measured of a trained network for its cell's file."""
import numpy as np

from ikd.evaluation.class_cosines import class_cosines
from ikd.evaluation.discriminativeness import discriminativeness
from ikd.evaluation.likeness import cosines_and_probabilities, rank_agreement
from ikd.explainers.catalogue import NAMES
from ikd.trained import explainers_for, load


def measure(workdir, seed):
    """What Figures 2 and 3 need of a finished trial, ready for JSON.

    `class_names`; `class_cosines`: explainer -> the function of that name over the whole test set, for the run's own
    and Grad*Input; `discriminativeness`: explainer -> the function of that name over 1,000 test images, for those of
    `NAMES` that can explain the network.
    """
    trained = load(workdir, seed)
    known = [name for name in explainers_for(trained)[0] if name in NAMES]
    shown = dict.fromkeys((trained.config.method.explainer, 'grad_input'))
    return {'class_names': list(trained.class_names),
            'class_cosines': {name: rounded(class_cosines(trained, name)) for name in shown},
            'discriminativeness': {name: rounded(discriminativeness(trained, name)) for name in known}}


def own_likeness(workdir, seed):
    """The `likeness` of the run's explainer to the network's own confusions, over the whole test set: a dict."""
    return {'likeness': rounded(rank_agreement(*cosines_and_probabilities(load(workdir, seed), most=None)))}


def rounded(values):
    """Numbers and arrays, in dicts, as JSON has them: five decimals, None for NaN and infinity."""
    if isinstance(values, dict):
        return {name: rounded(value) for name, value in values.items()}
    if np.ndim(values):
        return [rounded(value) for value in values]
    if values is None or isinstance(values, int | str):
        return values
    return round(float(values), 5) if np.isfinite(values) else None
