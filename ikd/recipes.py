"""Every method as a recipe: a short list of stages."""
from functools import partial

from ikd.config import explainer_options
from ikd.objectives import confidence_penalty, cross_entropy, introspective, label_smoothing, uniform
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
    warmup = config.method.warmup_epochs
    return [Stage('warmup', cross_entropy, warmup),
            Stage('introspective', objective, config.epochs - warmup, continued)]


RECIPES = {
    'ce': ce, 'dropout': dropout, 'label_smoothing': smoothing, 'confidence_penalty': penalty,
    'le': le, 'le_permut': partial(le, permute=True), 'le_uniform': le_uniform,
}
EXPLAINED = ('le', 'le_permut')  # the methods that learn from explanations


def recipe(config):
    """The stages of a resolved config's method, those of no epochs left out."""
    return [stage for stage in RECIPES[config.method.name](config) if stage.epochs]
