"""Methods that learn from explanations, and their controls."""
from functools import partial

from ikd.explainers import explainer_options
from ikd.objectives import cross_entropy, introspective, uniform
from ikd.stages import Stage, continued


def le(config, **options):
    """LE (2009.09140, algorithm 1): a warm-up with the labels, then targets from the network's own maps."""
    return warmed_up(config, explaining(config, **options))


def le_frozen(config, **options):
    """The control without feedback: targets from the maps of the network as the warm-up left it."""
    return warmed_up(config, explaining(config, frozen=True, **options), teacher=0)


def le_uniform(config):
    """The control without explanations: the same warm-up, then alike responses in the same loss."""
    return warmed_up(config, partial(uniform, alpha=config.method.alpha, lam=config.method.lam))


def explaining(config, **options):
    """The objective with the config's explainer and weights."""
    method = config.method
    return partial(introspective, explainer=method.explainer, alpha=method.alpha, lam=method.lam,
                   similarity=method.similarity, **options, **explainer_options(config))


def warmed_up(config, objective, teacher=None):
    """`method.warmup_epochs` with the labels, the rest with the objective, on one schedule."""
    warmup, span = config.method.warmup_epochs, config.epochs
    return [Stage('warmup', cross_entropy, warmup, span=span),
            Stage('introspective', objective, span - warmup, continued, teacher=teacher, span=span)]
