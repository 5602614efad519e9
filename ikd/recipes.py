"""Every method as a recipe: a short list of stages."""
from functools import partial

from ikd.config import explainer_options
from ikd.objectives import (
    confidence_penalty,
    confidence_weighted,
    cross_entropy,
    distil,
    introspective,
    label_smoothing,
    uniform,
)
from ikd.training import Stage, continued


def ce(config):
    """Cross-entropy with the labels, the baseline."""
    return [Stage('ce', cross_entropy, config.epochs)]


def dropout(config):
    """CE with Dropout at `method.rate` after each group, or each hidden layer (2009.09140, section 5.1)."""
    return [Stage('dropout', cross_entropy, config.epochs, options=(('dropout_rate', config.method.rate),))]


def smoothing(config):
    """Label smoothing at `method.alpha`."""
    return [Stage('label_smoothing', partial(label_smoothing, alpha=config.method.alpha), config.epochs)]


def penalty(config):
    """Confidence penalty of strength `method.beta`."""
    return [Stage('confidence_penalty', partial(confidence_penalty, beta=config.method.beta), config.epochs)]


def le(config, permute=False):
    """LE (2009.09140, algorithm 1): a warm-up with the labels, then targets from the network's own maps."""
    method = config.method
    return warmed_up(config, partial(introspective, explainer=method.explainer, alpha=method.alpha, lam=method.lam,
                                     similarity=method.similarity, permute=permute, **explainer_options(config)))


def le_uniform(config):
    """The control without explanations: the same warm-up, then alike responses in the same loss."""
    return warmed_up(config, partial(uniform, alpha=config.method.alpha, lam=config.method.lam))


def warmed_up(config, objective):
    """`method.warmup_epochs` with the labels, the rest with the objective, on one schedule."""
    warmup, span = config.method.warmup_epochs, config.epochs
    return [Stage('warmup', cross_entropy, warmup, span=span),
            Stage('introspective', objective, span - warmup, continued, span=span)]


def kd(config, permute=False):
    """A teacher, then its student (2009.09140, sections 3 and 5.3)."""
    return taught(config, partial(distil, **softness(config), permute=permute))


def cwtm(config, weights):
    """A teacher, then a student of the labels whose examples are weighted (2009.09140, section 3)."""
    temperature = config.method.temperature
    return taught(config, partial(confidence_weighted, temperature=temperature, weights=weights,
                                  beta=config.method.beta))


def teacher(config):
    """The stage that trains the network `teacher.model` with the labels."""
    return Stage('teacher', cross_entropy, config.epochs, network=config.teacher.model)


def taught(config, objective):
    """The teacher network with the labels, then the student with the objective, each on a schedule of its own."""
    return [teacher(config),
            Stage('student', objective, config.epochs, teacher=0)]


def takd(config):
    """Teacher, assistant, student, a full distillation each (2009.09140, section 5.3)."""
    objective = partial(distil, **softness(config))
    return [teacher(config),
            Stage('assistant', objective, config.epochs, network=config.teacher.assistant, teacher=0),
            Stage('student', objective, config.epochs, teacher=1)]


def ban(config, labels):
    """A born-again network: one generation, taught by an equal trained with the labels (2009.09140, section 5.2)."""
    objective = partial(distil, temperature=config.method.temperature, lam=config.method.lam if labels else 0.0)
    return [Stage('generation0', cross_entropy, config.epochs),
            Stage('generation1', objective, config.epochs, teacher=0, init=1)]


def srdl(config):
    """SRDL (Lan et al. 2018): two halves, a complete schedule each; the second starts anew, taught by the first.

    Weight 1 on the label term, as ONE by the same author; where the paper was not to be had, our choice.
    """
    first = config.epochs // 2
    objective = partial(distil, temperature=config.method.temperature, lam=1.0)
    return [Stage('first', cross_entropy, first),
            Stage('second', objective, config.epochs - first, teacher=0, init=1)]


def softness(config):
    """Temperature and weight of the label term, as `distil` takes them."""
    return {'temperature': config.method.temperature, 'lam': config.method.lam}


RECIPES = {
    'ce': ce, 'dropout': dropout, 'label_smoothing': smoothing, 'confidence_penalty': penalty,
    'kd': kd, 'dkpp': partial(kd, permute=True),
    'cwtm': partial(cwtm, weights='teacher'), 'cwtm_permut': partial(cwtm, weights='permuted'),
    'cwtm_random': partial(cwtm, weights='random'),
    'ban': partial(ban, labels=False), 'ban_l': partial(ban, labels=True), 'takd': takd, 'srdl': srdl,
    'le': le, 'le_permut': partial(le, permute=True), 'le_uniform': le_uniform,
}
EXPLAINED = ('le', 'le_permut')  # the methods that learn from explanations


def recipe(config):
    """The stages of a resolved config's method, those of no epochs left out."""
    return [stage for stage in RECIPES[config.method.name](config) if stage.epochs]
