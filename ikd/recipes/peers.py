"""Methods whose teacher is an equal: a peer, the generation before, the same network half-way."""
from functools import partial

from ikd.models import Peers
from ikd.objectives import cross_entropy, mutual
from ikd.optimizers import sgd
from ikd.recipes.taught import distillation
from ikd.stages import Stage, continued, weights_only


def dml(config):
    """Two networks of one kind that learn from each other (2009.09140, section 5.2)."""
    return [Stage('mutual', partial(mutual, lam=config.method.lam), config.epochs, wrap=with_peer)]


def with_peer(network, shapes):
    """The network and a peer."""
    return Peers(network)


def ban(config, labels):
    """A born-again network: one generation, taught by an equal trained with the labels (2009.09140, section 5.2)."""
    objective = distillation(config) if labels else partial(distillation(config), lam=0.0)
    return [Stage('generation0', cross_entropy, config.epochs, draws=1),
            Stage('generation1', objective, config.epochs, teacher=0)]


def srdl(config):
    """SRDL (Lan et al. 2018): two stages, a complete schedule each; the second starts anew, taught by the first.

    Weight 1 on the label term and temperature 3 as ONE by the same author; the paper's text could not be had. `srdl`
    has the variants: where the first stage ends, what the second starts from, one schedule for both, and a teacher
    that sees the images without augmentation.
    """
    options, total = config.srdl, config.epochs
    first = min(max(round(options.split * total), 1), total - 1)
    span = total if options.schedule == 'global' else None
    if options.restart == 'random':
        how = {'optimizer': partial(sgd, offset=first) if span else sgd}
    else:
        how = {'start': continued if span else weights_only}
    return [Stage('first', cross_entropy, first, span=span, draws=1),
            Stage('second', distillation(config), total - first, teacher=0, span=span,
                  augmented=options.targets == 'augmented', **how)]
