"""The fields every experiment has, their defaults, and what they may be."""
import hashlib
import json

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from ikd.errors import InputError

# Fields that say where or how, not what: changing them continues the same experiment.
NOT_IDENTITY = ('trials', 'parallel', 'class_chunk', 'profile', 'cache_dir', 'checkpoint_every', 'data.dir',
                'data.placement')
PRECISIONS = ('float32', 'tf32', 'bfloat16')


def default():
    """A fresh ConfigDict with every field; a config file changes what its experiment needs.

    method: `alpha` true-class target, `lam` weight of the label term, `warmup_epochs` (None: 20 % of `epochs`),
    `explainer`, `similarity`, `tap` (None: the last feature map) and `relu` for grad_cam, `bn` (`batch`: explain the
    training forward pass, its statistics as constants; `running`: explain with the running averages).
    data: `size` resizes images to size x size, `augment` is `none` or `crop_flip`, `limit` keeps the first images.
    optimizer: SGD; `milestones` are the shares of a run at which the learning rate falls tenfold.
    """
    return ConfigDict({
        'method': {
            'name': 'le', 'alpha': 0.9, 'lam': 0.1, 'warmup_epochs': placeholder(int), 'explainer': 'grad_cam',
            'similarity': 'cosine', 'tap': placeholder(str), 'relu': True, 'bn': 'batch',
            'temperature': 4.0, 'beta': 0.5, 'rate': 0.1,
        },
        'model': {'name': 'resnet8'},
        'data': {'name': 'digits', 'dir': placeholder(str), 'placement': 'device', 'size': placeholder(int),
                 'augment': 'none', 'limit': placeholder(int)},
        'optimizer': {'learning_rate': 0.1, 'momentum': 0.9, 'weight_decay': 1e-4, 'milestones': (0.5, 0.75)},
        'batch_size': 128, 'epochs': 160, 'trials': 1, 'seed': 0,
        'precision': 'float32', 'parallel': 'data', 'class_chunk': placeholder(int),
        'checkpoint_every': 1, 'profile': False, 'cache_dir': placeholder(str),
    })


def smoke(config):
    """Shrink any experiment to seconds: two epochs of few images, the first a warm-up."""
    config.epochs, config.method.warmup_epochs = 2, 1
    config.data.limit = 256
    config.batch_size = min(config.batch_size, 32)


ARGUMENTS = {'smoke': smoke}


def apply_arguments(config, argument):
    """Apply the comma-separated list after the colon of `--config=FILE:LIST` to config and return it."""
    for word in filter(None, (argument or '').split(',')):
        if word not in ARGUMENTS:
            raise InputError(f"unknown argument '{word}' after the colon of --config; choose from: "
                             f"{', '.join(ARGUMENTS)}")
        ARGUMENTS[word](config)
    return config


def _check(holds, message):
    if not holds:
        raise InputError(message)


def _one_of(config, field, choices):
    value = flatten(config)[field]
    _check(value in choices, f"unknown {field} '{value}'; choose one of: {', '.join(choices)}")


def resolve(config):
    """A copy with every default filled in and every value checked. Raises InputError naming the field."""
    # Imported here because config files import this module, and the flags are parsed before JAX is needed.
    from ikd import explainers, models, recipes
    from ikd.data.resident import AUGMENTATIONS

    config = ConfigDict(config).copy_and_resolve_references()
    method = config.method
    _one_of(config, 'method.name', recipes.RECIPES)
    _one_of(config, 'method.explainer', explainers.EXPLAINERS)
    _one_of(config, 'method.similarity', explainers.SIMILARITIES)
    _one_of(config, 'method.bn', ('batch', 'running'))
    _one_of(config, 'model.name', models.MODELS)
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
    _check(method.lam >= 0, f'method.lam is {method.lam}; it must not be negative')
    _check(config.optimizer.learning_rate > 0, f'optimizer.learning_rate is {config.optimizer.learning_rate}; '
           'it must be positive')
    milestones = tuple(config.optimizer.milestones)
    _check(milestones == tuple(sorted(set(milestones))) and all(0 < m < 1 for m in milestones),
           f'optimizer.milestones is {milestones}; give rising shares of the run, in (0, 1), such as (0.5, 0.75)')

    if method.warmup_epochs is None:
        method.warmup_epochs = round(0.2 * config.epochs)
    _check(0 <= method.warmup_epochs < config.epochs,
           f'method.warmup_epochs is {method.warmup_epochs}, but the run has {config.epochs} epochs; leave at least '
           'one for learning from explanations (or choose method.name=ce)')
    if method.tap is None:
        method.tap = models.create(config.model.name, 2).cam_tap
    _check(method.explainer != 'grad_cam' or method.tap, f"method.explainer=grad_cam needs feature maps, and "
           f"{config.model.name} has none; choose grad, grad_input or guided_backprop")
    return config


def explainer_options(config):
    """The options that the config's explainer takes, for `explainers.explain`."""
    options = {'class_chunk': config.class_chunk}
    if config.method.explainer == 'grad_cam':
        options |= {'tap': config.method.tap, 'relu': config.method.relu}
    return options


def flatten(config):
    """Nested fields as one dict with dotted names, sorted; tuples become lists, as in JSON."""
    flat = {}
    for field, value in config.items():
        if isinstance(value, (dict, ConfigDict)):
            flat.update({f'{field}.{inner}': v for inner, v in flatten(value).items()})
        else:
            flat[field] = list(value) if isinstance(value, tuple) else value
    return dict(sorted(flat.items()))


def identity(config):
    """The dotted fields of a resolved config (or of its JSON) that say what the experiment is."""
    return {field: value for field, value in flatten(config).items() if field not in NOT_IDENTITY}


def digest(config):
    """Eight hexadecimal digits that name a resolved config's identity."""
    return hashlib.sha256(json.dumps(identity(config)).encode()).hexdigest()[:8]
