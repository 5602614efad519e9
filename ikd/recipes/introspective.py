"""Methods that learn from explanations, and their control."""
from functools import partial

from ikd.config import explainer_options
from ikd.objectives import cross_entropy, introspective, uniform
from ikd.stages import Stage, continued


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
