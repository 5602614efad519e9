"""The fields every experiment has, their defaults, and which of them say what it is."""
import difflib
import hashlib
import json

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from ikd.errors import InputError

# Fields that say where or how, not what: changing them continues the same experiment.
NOT_IDENTITY = ('trials', 'parallel', 'together', 'class_chunk', 'profile', 'cache_dir', 'store', 'checkpoint_every',
                'test_every', 'data.dir', 'data.placement', 'data.workers')
# Which images a run trains on and is tested on.
IMAGES = ('data.name', 'data.fingerprint', 'data.holdout', 'data.limit', 'data.train_images', 'data.train_skip')
# Part of what an experiment is only where they are set: runs older than these fields keep their digest.
WHERE_SET = ('data.fingerprint', 'data.train_images', 'data.train_skip')


def default():
    """A fresh ConfigDict with every field; a config file changes what its experiment needs.

    method: `alpha` true-class target, `lam` weight of the label term (dml: of the peer's; None: 1 for srdl, else
    0.1), `weight` of the teacher's, `warmup_epochs` (None: 20 % of `epochs`), `explainer` (None: grad_cam, or grad
    where the network has no feature maps), `similarity`, `tap` (None: the last feature map) and `relu` for grad_cam
    and its kind, `bn` (`batch`: explain the training forward pass, its statistics as constants; `running`: explain
    with the running averages); `temperature` (None: 1 for the cwtm methods, 3 for srdl, 4 for the others with a
    teacher), `beta` of the confidence penalty and of cwtm_random, `rate` of dropout.
    teacher: the networks of the methods that have a teacher, and of takd's assistant (None: resnet14 for resnet8,
    else resnet20); `checkpoint`, the directory of a finished run to take the teacher from. store: where finished
    teachers and warm-ups are kept (None: `store/` beside the run).
    features: for hint, at_kd, fsp_kd: `epochs` of their first stage (None: 1/4 of `epochs` for hint, 54/160 for
    fsp_kd; 0: one stage), its `learning_rate`; `weight` where the labels are learnt at the same time (None: at_kd
    1000; hint 6.25, so that half the sum over 32 channels counts as 100 times their mean; fsp_kd 1), `decay` of
    at_kd's weight to 0, its `power`; hint's `tap` (None: the second group) and `regressor`.
    srdl: `split`, the first stage's share; `restart` from `random` or the first stage's `weights`; `schedule`,
    `complete` in each stage or one `global`; `targets` from `augmented` or `plain` images.
    hme: `loss` ce, ls or kd; for hme_tree `outputs` of a head, 1 or 2, and the rates of Adam (`learning_rate`,
    `routing_rate`) and of SGD in the hard tree (`hard_learning_rate`).
    model: `width`, the channels of the first group (None: the paper's); `vam`, KDExplainer's virtual attention, with
    `vam_block` channels to a block, `vam_gamma` the weight of its entropy.
    checkpoint_every, test_every: epochs; the last of each stage is saved and tested in any case.
    cache_dir: where compiled programs are kept (None: `~/.cache/ikd/compiled`; 'off': nowhere).
    data: `size` resizes images to size x size, `augment` is `none` or `crop_flip`, so many `holdout` training
    images are tested on instead of the test set (for searches), `train_images` keeps the first of the training
    images, after `train_skip` that are left out, `limit` those and the first to test on; `fingerprint` says which
    images a folder holds, and is found by itself. `placement`: images are held on the `device`, or a `stream` of them
    is read by `workers` threads (None: as many as there are cores); `auto` streams what takes more than a quarter of
    the memory.
    parallel: devices share a batch (`data`) or train seeds of their own (`trials`), `together` of them each in one
    program.
    optimizer: SGD, whose weight decay is on all parameters but those called `attention` or `routing`; `milestones`
    are the shares of a run at which the learning rate falls tenfold.
    own: for the fields that methods, networks and data of your own read; part of what a run is. Other fields there
    are none.
    """
    return ConfigDict({
        'method': {
            'name': 'le', 'alpha': 0.9, 'lam': placeholder(float), 'weight': 1.0, 'warmup_epochs': placeholder(int),
            'explainer': placeholder(str), 'similarity': 'cosine', 'tap': placeholder(str), 'relu': True,
            'bn': 'batch', 'temperature': placeholder(float), 'beta': 0.5, 'rate': 0.1,
        },
        'teacher': {'model': 'resnet26', 'assistant': placeholder(str), 'checkpoint': placeholder(str)},
        'features': {'epochs': placeholder(int), 'learning_rate': 1e-3, 'weight': placeholder(float), 'decay': False,
                     'power': 2, 'tap': placeholder(str), 'regressor': False},
        'srdl': {'split': 0.5, 'restart': 'random', 'schedule': 'complete', 'targets': 'augmented'},
        'hme': {'loss': 'ce', 'outputs': 1, 'learning_rate': 0.05, 'routing_rate': 0.01, 'hard_learning_rate': 0.05},
        'model': {'name': 'resnet8', 'width': placeholder(int), 'vam': False, 'vam_block': 8, 'vam_gamma': 1e-3},
        'data': {'name': 'digits', 'dir': placeholder(str), 'placement': 'auto', 'size': placeholder(int),
                 'augment': 'none', 'holdout': 0, 'limit': placeholder(int), 'fingerprint': placeholder(str),
                 'train_images': placeholder(int), 'train_skip': placeholder(int), 'workers': placeholder(int)},
        'optimizer': {'learning_rate': 0.1, 'momentum': 0.9, 'weight_decay': 1e-4, 'milestones': (0.5, 0.75)},
        'batch_size': 128, 'epochs': 160, 'trials': 1, 'seed': 0,
        'precision': 'float32', 'parallel': 'data', 'together': 1, 'class_chunk': placeholder(int),
        'checkpoint_every': 1, 'test_every': 1, 'profile': False,
        'cache_dir': placeholder(str), 'store': placeholder(str), 'own': {},
    })


def smoke(config):
    """Shrink any experiment to seconds: two epochs of few images, the first a warm-up."""
    config.epochs, config.method.warmup_epochs = 2, 1
    config.data.limit = 256
    config.batch_size = min(config.batch_size, 32)


def hme(config):
    """The method and its network."""
    config.method.name, config.model.name = 'hme', 'hme_tree'


def vam(config):
    """Distillation to a student with virtual attention."""
    config.method.name, config.model.vam = 'kd', True


ARGUMENTS = {'smoke': smoke, 'hme': hme, 'vam': vam}


def apply_arguments(config, argument, methods=()):
    """Apply the comma-separated list after the colon of `--config=FILE:LIST` to config and return it.

    Words of `methods` choose the method. Raises InputError for a word that means nothing.
    """
    for word in filter(None, (argument or '').split(',')):
        if word in ARGUMENTS:
            ARGUMENTS[word](config)
        elif word in methods:
            config.method.name = word
        else:
            elsewhere = '' if methods else f'; if it is a method, give --config.method.name={word}'
            raise InputError(f"unknown argument '{word}' after the colon of --config; choose from: "
                             f"{', '.join(dict.fromkeys((*ARGUMENTS, *methods)))}{elsewhere}")
    return config


def flatten(config):
    """Nested fields as one dict with dotted names, sorted; tuples become lists, as in JSON."""
    flat = {}
    for field, value in config.items():
        if isinstance(value, (dict, ConfigDict)):
            flat.update({f'{field}.{inner}': v for inner, v in flatten(value).items()})
        else:
            flat[field] = list(value) if isinstance(value, tuple) else value
    return dict(sorted(flat.items()))


def no_field(name, fields=None):
    """What to say of a dotted name that is no field of a config; fields: those there are, if not the default ones."""
    fields = fields or flatten(default())
    return f'no field config.{name}; ' + (did_you_mean(name, fields) or f"the fields are: {', '.join(fields)}")


def did_you_mean(name, fields, before='config.'):
    """`did you mean config.a.b?`: the field of this name, those that end so, one that is spelt like it; or ''."""
    last = name.rpartition('.')[2]
    alike = [name] if name in fields else [field for field in fields if field.rpartition('.')[2] == last]
    close = [f'{before}{field}' for field in alike or difflib.get_close_matches(name, fields, 1)]
    return f"did you mean {' or '.join(close)}?" if close else ''


def identity(config):
    """The dotted fields of a resolved config (or of its JSON) that say what the experiment is."""
    return {field: value for field, value in flatten(config).items()
            if field not in NOT_IDENTITY and not (field in WHERE_SET and value is None)}


def digest(config):
    """Eight hexadecimal digits that name a resolved config's identity."""
    return hashlib.sha256(json.dumps(identity(config)).encode()).hexdigest()[:8]
