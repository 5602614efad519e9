"""What the fields of a config may be."""
from ml_collections import ConfigDict

from ikd.config import flatten
from ikd.data.resident import AUGMENTATIONS
from ikd.errors import InputError
from ikd.explainers import EXPLAINERS, SIMILARITIES
from ikd.models import MODELS, create
from ikd.recipes import RECIPES

PRECISIONS = ('float32', 'tf32', 'bfloat16')


def _check(holds, message):
    if not holds:
        raise InputError(message)


def _one_of(config, field, choices):
    value = flatten(config)[field]
    _check(value in choices, f"unknown {field} '{value}'; choose one of: {', '.join(choices)}")


def resolve(config):
    """A copy with every default filled in and every value checked. Raises InputError naming the field."""
    config = ConfigDict(config).copy_and_resolve_references()
    method = config.method
    _one_of(config, 'method.name', RECIPES)
    _one_of(config, 'method.explainer', EXPLAINERS)
    _one_of(config, 'method.similarity', SIMILARITIES)
    _one_of(config, 'method.bn', ('batch', 'running'))
    if config.teacher.assistant is None:
        config.teacher.assistant = 'resnet14' if config.model.name == 'resnet8' else 'resnet20'
    for field in ('model.name', 'teacher.model', 'teacher.assistant'):
        _one_of(config, field, MODELS)
    _one_of(config, 'data.placement', ('device',))
    _one_of(config, 'data.augment', AUGMENTATIONS)
    _one_of(config, 'precision', PRECISIONS)
    _one_of(config, 'parallel', ('data', 'trials'))
    for field in ('epochs', 'batch_size', 'trials', 'checkpoint_every'):
        _check(config[field] >= 1, f'{field} is {config[field]}; it must be at least 1')
    _check(0 <= config.seed < 2 ** 31, f'seed is {config.seed}; it must be in [0, 2^31)')
    for field in ('class_chunk', 'data.size', 'data.limit'):
        value = flatten(config)[field]
        _check(value is None or value >= 1, f'{field} is {value}; it must be at least 1, or None')
    _check(0 < method.alpha <= 1, f'method.alpha is {method.alpha}; it must be in (0, 1]')
    _check(0 <= method.rate < 1, f'method.rate is {method.rate}; it must be in [0, 1)')
    _check(method.lam >= 0, f'method.lam is {method.lam}; it must not be negative')
    _check(config.optimizer.learning_rate > 0, f'optimizer.learning_rate is {config.optimizer.learning_rate}; '
           'it must be positive')
    milestones = tuple(config.optimizer.milestones)
    _check(milestones == tuple(sorted(set(milestones))) and all(0 < m < 1 for m in milestones),
           f'optimizer.milestones is {milestones}; give rising shares of the run, in (0, 1), such as (0.5, 0.75)')

    _check(method.name != 'srdl' or config.epochs >= 2, 'method.name=srdl has two stages; epochs must be at least 2')

    if method.warmup_epochs is None:
        method.warmup_epochs = round(0.2 * config.epochs)
    _check(0 <= method.warmup_epochs < config.epochs,
           f'method.warmup_epochs is {method.warmup_epochs}, but the run has {config.epochs} epochs; leave at least '
           'one for learning from explanations (or choose method.name=ce)')
    if method.temperature is None:
        method.temperature = 1.0 if method.name.startswith('cwtm') else 3.0 if method.name == 'srdl' else 4.0
    _check(method.temperature > 0, f'method.temperature is {method.temperature}; it must be positive')
    if method.tap is None:
        method.tap = create(config.model.name, 2).cam_tap
    _check(method.explainer != 'grad_cam' or method.tap, f"method.explainer=grad_cam needs feature maps, and "
           f"{config.model.name} has none; choose grad, grad_input or guided_backprop")
    return config
