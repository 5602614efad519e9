"""Methods with the labels alone: cross-entropy and its regularised relatives."""
from functools import partial

from ikd.objectives import confidence_penalty, cross_entropy, label_smoothing
from ikd.stages import Stage


def ce(config):
    """Cross-entropy with the labels, the baseline."""
    return [Stage('ce', cross_entropy, config.epochs)]


def dropout(config):
    """CE with Dropout at `method.rate` after each group (2009.09140, section 5.1); of an MLP after hidden layers."""
    return [Stage('dropout', cross_entropy, config.epochs, options=(('dropout_rate', config.method.rate),))]


def smoothing(config):
    """Label smoothing at `method.alpha`."""
    return [Stage('label_smoothing', partial(label_smoothing, alpha=config.method.alpha), config.epochs)]


def penalty(config):
    """Confidence penalty of strength `method.beta`."""
    return [Stage('confidence_penalty', partial(confidence_penalty, beta=config.method.beta), config.epochs)]
