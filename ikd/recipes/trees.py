"""KDExplainer's trees of experts (Xue et al. 2021)."""
from functools import partial

import numpy as np

from ikd.objectives import binary, cross_entropy, distil, label_smoothing, routed
from ikd.optimizers import annealed_adam, sgd
from ikd.recipes.taught import teacher
from ikd.stages import Stage, all_but_routing, routing_only


def hme(config):
    """KDExplainer's hierarchical mixture of experts; with `hme.loss=kd` a teacher first.

    hme_tree: a soft tree whose routing is learnt with Adam while its temperature falls, then a hard tree with that
    routing and new weights (as its code has it). hme_resnet18: k binary tasks at a fixed temperature.
    """
    objective = hme_objective(config)
    stages, told = ([teacher(config)], 0) if config.hme.loss == 'kd' else ([], None)
    if config.model.name == 'hme_resnet18':
        return [*stages, Stage('hme', partial(routed, objective=objective), config.epochs, teacher=told)]
    adam = partial(annealed_adam, learning_rate=config.hme.learning_rate, routing_rate=config.hme.routing_rate)
    halved = partial(sgd, learning_rate=config.hme.hard_learning_rate, factor=0.5,
                     milestones=tuple(round(0.1 * i, 1) for i in range(1, 10)))
    return [*stages,
            Stage('soft_tree', partial(routed, objective=objective, anneal=True), config.epochs, teacher=told,
                  optimizer=adam, extra=hottest, draws=2),
            Stage('hard_tree', partial(routed, objective=objective), config.epochs, routing_only, teacher=told,
                  options=(('hard', True),), optimizer=halved, trains=all_but_routing)]


def hme_objective(config):
    """What a tree learns: the labels, smoothed labels, or a teacher's logits at 0.9 and the labels at 0.1."""
    alpha, tasks = config.method.alpha, config.model.name == 'hme_resnet18'
    if config.hme.loss == 'ls':
        return partial(binary if tasks else label_smoothing, alpha=alpha)
    labels = binary if tasks else cross_entropy
    if config.hme.loss == 'ce':
        return labels
    return partial(distil, temperature=config.method.temperature, lam=0.1, weight=0.9, labels=labels)


def hottest(k):
    """The temperature of a soft tree in its first epoch."""
    return {'temperature': np.float32(10)}
