"""What the fields of a config may be."""
import functools
import json
import math
import os

from ml_collections import ConfigDict

from ikd.config import default, flatten, identity, no_field
from ikd.data.folder import fingerprint
from ikd.data.inputs import AUGMENTATIONS
from ikd.errors import InputError
from ikd.explainers import CAMS, EXPLAINERS, ONE_PASS, SIMILARITIES
from ikd.models import MODELS, create
from ikd.own_code import is_own
from ikd.recipes import EXPLAINED, RECIPES, WITHOUT_WARMUP, recipe

CHOICES = {
    'model.name': MODELS, 'teacher.model': MODELS, 'teacher.assistant': MODELS,
    'method.similarity': SIMILARITIES, 'method.bn': ('batch', 'running'),
    'srdl.restart': ('random', 'weights'), 'srdl.schedule': ('complete', 'global'),
    'srdl.targets': ('augmented', 'plain'), 'hme.loss': ('ce', 'ls', 'kd'), 'hme.outputs': (1, 2),
    'data.placement': ('auto', 'device', 'stream'), 'data.augment': AUGMENTATIONS,
    'precision': ('float32', 'tf32', 'bfloat16'), 'parallel': ('data', 'trials'),
}
# What a value must: how that is seen, and of which fields.
BOUNDS = {
    'be at least 1': (lambda value: value >= 1, (
        'epochs', 'batch_size', 'trials', 'together', 'checkpoint_every', 'test_every', 'model.vam_block')),
    'be at least 1, or None': (lambda value: value is None or value >= 1, (
        'class_chunk', 'data.size', 'data.limit', 'data.train_images', 'data.train_skip', 'data.workers',
        'model.width')),
    'not be negative': (lambda value: value >= 0, (
        'data.holdout', 'method.beta', 'method.lam', 'method.weight', 'model.vam_gamma', 'optimizer.weight_decay',
        'features.epochs', 'features.weight')),
    'be positive': (lambda value: value > 0, (
        'method.temperature', 'optimizer.learning_rate', 'hme.learning_rate', 'hme.routing_rate',
        'hme.hard_learning_rate', 'features.power', 'features.learning_rate')),
    'be in (0, 1]': (lambda value: 0 < value <= 1, ('method.alpha',)),
    'be in [0, 1)': (lambda value: 0 <= value < 1, ('method.rate', 'optimizer.momentum')),
    'be in (0, 1)': (lambda value: 0 < value < 1, ('srdl.split',)),
    'be in [0, 2^31)': (lambda value: 0 <= value < 2 ** 31, ('seed',)),
}
FIRST_STAGE = {'hint': 1 / 4, 'fsp_kd': 54 / 160}  # as a share of the run's epochs, before them
WEIGHTS = {'at_kd': 1000.0, 'hint': 6.25}


def _check(holds, message):
    if not holds:
        raise InputError(message)


def _one_of(config, field, choices):
    value = flatten(config)[field]
    _check(value in choices, f"unknown {field} '{value}'; choose one of: {', '.join(map(str, choices))}")


def resolve(config):
    """A copy with every default filled in and every value checked. Raises InputError naming the field."""
    config = ConfigDict(config).copy_and_resolve_references()
    check_fields(config)
    _check(config.data.dir != '', 'data.dir is empty; give a folder, or leave it out')
    for part, field in (config.data, 'dir'), (config.teacher, 'checkpoint'), (config, 'store'), (config, 'cache_dir'):
        part[field] = part[field] and os.path.normpath(os.path.expanduser(part[field]))
    config.data.dir = config.data.dir and os.path.abspath(config.data.dir)  # a run is looked at from anywhere
    _one_of(config, 'method.name', RECIPES)  # on which defaults depend
    fill_in(config)
    for field, choices in CHOICES.items():
        _one_of(config, field, choices)
    values = flatten(config)
    for bound, (holds, fields) in BOUNDS.items():
        for field in fields:
            _check(holds(values[field]), f'{field} is {values[field]}; it must {bound}')
    if config.data.name == 'folder' and config.data.fingerprint is None and os.path.isdir(config.data.dir or ''):
        config.data.fingerprint = fingerprint(config.data.dir)
    resolve_explainer(config)
    check_together(config)
    return config


def fill_in(config):
    """Give the fields that are None, and depend on others alone, their defaults."""
    method, features = config.method, config.features
    if config.teacher.assistant is None:
        config.teacher.assistant = 'resnet14' if config.model.name == 'resnet8' else 'resnet20'
    if method.warmup_epochs is None:
        method.warmup_epochs = min(max(1, round(0.2 * config.epochs)), config.epochs - 1)
    if method.temperature is None:
        method.temperature = 1.0 if method.name.startswith('cwtm') else 3.0 if method.name == 'srdl' else 4.0
    if method.lam is None:
        method.lam = 1.0 if method.name == 'srdl' else 0.1
    if features.epochs is None:
        features.epochs = max(1, round(FIRST_STAGE.get(method.name, 0) * config.epochs))
    if features.weight is None:
        features.weight = WEIGHTS.get(method.name, 1.0)


def check_together(config):
    """InputError for values that do not go with one another."""
    method = config.method
    _check(config.seed + config.trials <= 2 ** 31, f'seed is {config.seed} and trials {config.trials}; the last seed '
           'must be below 2^31')
    _check(config.together == 1 or config.parallel == 'trials', f'together is {config.together}, but parallel=data '
           'trains one seed after another; choose parallel=trials')
    _check(method.name != 'cwtm_random' or method.beta < 1, f'method.beta is {method.beta}; cwtm_random draws '
           'weights from [beta, 1), so it must be below 1')
    milestones = tuple(config.optimizer.milestones)
    _check(all(isinstance(m, int | float) and 0 < m < 1 for m in milestones)
           and milestones == tuple(sorted(set(milestones))), f'optimizer.milestones is {milestones}; give rising '
           'shares of the run, in (0, 1), such as (0.5, 0.75), or () for a rate that does not fall')
    _check(config.epochs >= 2 or not method.name.startswith(('le_frozen', 'srdl')),
           f'method.name={method.name} has two stages; epochs must be at least 2')
    _check(0 <= method.warmup_epochs < config.epochs or method.name in WITHOUT_WARMUP,
           f'method.warmup_epochs is {method.warmup_epochs}, but the run has {config.epochs} epochs; leave at least '
           'one for learning from explanations (or choose method.name=ce)')
    _check(not method.name.startswith('le_frozen') or method.warmup_epochs, f'method.name={method.name} learns from '
           'the network that its warm-up leaves; set method.warmup_epochs to at least 1')
    is_tree = config.model.name.startswith('hme_')
    _check(not is_tree or config.model.width != 1, f'model.width is 1; {config.model.name} needs at least 2')
    _check(method.name != 'hme' or is_tree,
           f'method.name=hme trains model.name=hme_tree or hme_resnet18, not {config.model.name}')
    _check(not config.teacher.checkpoint or any(stage.given for stage in recipe(config)),
           f'teacher.checkpoint is set, but method.name={method.name} has no teacher that can be given; leave it out')


def check_fields(config):
    """InputError for a field that there is not, or that is not there, and for a number that is none."""
    there, fields = flatten(default()), flatten(config)
    missing = [field for field in there if field not in fields]
    _check(not missing, f"the config has no field {', '.join(missing[:3])}; begin with ikd.config.default()")
    for field, value in fields.items():
        if field not in there and not field.startswith('own.'):
            raise InputError(no_field(field))
        _check(value is not None or there.get(field) is None, f'{field} is None; give it a value')
        _check(not isinstance(value, float) or math.isfinite(value), f'{field} is {value}; it must be a number')
        try:
            json.dumps(value)
        except TypeError as error:
            raise InputError(f'{field} is of the type {type(value).__name__}; give a number, a text, True, False, '
                             'None or a list of those') from error


@functools.cache
def usual():
    """The identity of a config that changes no default: what a file means by not having a field that is newer."""
    return identity(resolve(default()))


def resolve_explainer(config):
    """Fill in the explainer and its tap, which must go with the network.

    A network without the field `cam_tap` is taken to have a feature map, the last of which is found with the images.
    """
    method, model = config.method, create(config.model.name, 2)
    has_maps = getattr(model, 'cam_tap', True)
    if method.explainer is None:
        method.explainer = 'grad_cam' if has_maps else 'grad'
    _one_of(config, 'method.explainer', EXPLAINERS)
    if method.tap is None:
        method.tap = getattr(model, 'cam_tap', None)
    _check(method.explainer not in CAMS or method.tap or has_maps,
           f'method.explainer={method.explainer} needs feature maps, and {config.model.name} has none; choose grad, '
           'grad_input or guided_backprop')
    why = ('is an explainer of your own; if one pass through the network is all that it takes, put it into '
           'ikd.explainers.ONE_PASS, too' if is_own(EXPLAINERS[method.explainer]) else
           'passes through the network many times for one map, too often for a training step')
    _check(method.name not in EXPLAINED or method.explainer in ONE_PASS,
           f'method.explainer={method.explainer} {why}; method.name={method.name} learns from one of: '
           f"{', '.join(ONE_PASS)}")
