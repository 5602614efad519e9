"""Every method as a recipe: a short list of stages."""
from functools import partial

from ikd.config import explainer_options
from ikd.errors import InputError
from ikd.objectives import cross_entropy, introspective
from ikd.training import Stage, continued


def ce(config):
    """Cross-entropy with the labels, the baseline."""
    return [Stage('ce', cross_entropy, config.epochs)]


def le(config):
    """LE (2009.09140, algorithm 1): a warm-up with the labels, then targets from the network's own maps."""
    method = config.method
    objective = partial(introspective, explainer=method.explainer, alpha=method.alpha, lam=method.lam,
                        similarity=method.similarity, **explainer_options(config))
    return [Stage('warmup', cross_entropy, method.warmup_epochs),
            Stage('introspective', objective, config.epochs - method.warmup_epochs, continued)]


RECIPES = {'ce': ce, 'le': le}


def recipe(config):
    """The stages of `config.method.name`, those of no epochs left out. InputError for an unknown method."""
    if config.method.name not in RECIPES:
        raise InputError(f"unknown method.name '{config.method.name}'; choose one of: {', '.join(RECIPES)}")
    return [stage for stage in RECIPES[config.method.name](config) if stage.epochs]
