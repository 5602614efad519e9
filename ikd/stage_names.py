"""What a stage's result depends on, and names made of it."""
import contextlib
import functools
import hashlib
import json

from ikd.config import IMAGES, NOT_IDENTITY, default, flatten, identity
from ikd.data import READERS
from ikd.data.inputs import AUGMENTATIONS
from ikd.errors import InputError
from ikd.explainers import EXPLAINERS, SIMILARITIES
from ikd.models import MODELS
from ikd.own_code import CONFIG, source, told
from ikd.recipes import RECIPES, recipe
from ikd.run_files import read_summary
from ikd.stages import fresh
from ikd.validation import resolve

# Of a config, what a stage's result depends on besides the stage itself.
SETTING = ('batch_size', 'precision', 'method.bn', 'data.size', 'data.augment', *IMAGES)
# Of a config, what its explanations are drawn and measured with, also where nothing is learnt from them.
SHOWN = 'method.explainer', 'method.tap', 'method.relu', 'method.similarity'


def stage_name(config, stages, index):
    """`<stage>-<digest>`: the digest names everything that a stage's result depends on but the seed."""
    text = json.dumps(described(config, stages, index), sort_keys=True, default=told)
    return f'{stages[index].name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}'


def described(config, stages, index):
    """All that a stage's result depends on but the seed, as JSON; of a given network what its run's summary says."""
    stage = stages[index]
    if stage.given:
        return read_summary(stage.given)
    own = own_text(config, stage)
    handed = CONFIG in own  # then any of its fields may be read
    return {
        **{field: said(value) for field, value in stage._asdict().items()
           if field not in ('name', 'teacher', 'draws')},
        'init': 0, **({'draws': stage.draws} if stage.draws else {}),  # as it was before there were draws
        'span': stage.span or stage.epochs, 'network': stage.network or network_of(config),
        'before': described(config, stages, index - 1) if stage.start is not fresh and index else None,
        'teacher': None if stage.teacher is None else described(config, stages, stage.teacher),
        'setting': {field: value for field, value in identity(config).items() if field in SETTING
                    or field.startswith(('optimizer.', 'own.')) or handed and field != 'seed'},
        **({'own': hashlib.sha256(own.encode()).hexdigest()} if own else {}),
    }


def code_of(config, stage):
    """Functions and classes that a stage is made of and that may be a user's own."""
    options = options_of(stage.objective)
    named = [(MODELS, stage.network or config.model.name), (READERS, config.data.name),
             (AUGMENTATIONS, config.data.augment), (EXPLAINERS, options.get('explainer')),
             (SIMILARITIES, options.get('similarity'))]
    return [*filter(callable, stage), *(table[name] for table, name in named if name in table)]


def own_text(config, stage):
    """The source of a user's own code in a stage; not what a reader of data holds, as data has a checksum."""
    return ''.join(source(code, holding=code not in READERS.values()) for code in code_of(config, stage))


def options_of(objective):
    """What an objective, or one that it holds (`attentive`), is given by name: of LE `explainer`, `similarity`."""
    options = getattr(objective, 'keywords', {})
    return options_of(options['objective']) if 'objective' in options else options


def own_code(config):
    """Twelve hexadecimal digits of the user's own code in a config's recipe and stages; None where there is none."""
    text = source(RECIPES[config.method.name]) + ''.join(own_text(config, stage) for stage in recipe(config))
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else None


def idle(config, before):
    """Of {dotted field: what it was before} those whose values the config's recipe makes no use of.

    Fields that say where or how are never named. With code of the user's own none is, as it may read any. Raises
    InputError for a config that can't be resolved.
    """
    def made(config):
        stages = recipe(config)
        return [(stage_name(config, stages, i), stage.network) for i, stage in enumerate(stages)]

    now = resolve(config)
    if own_code(now):
        return []
    fields, found = flatten(now), []
    for field, value in before.items():
        if field.startswith('data.') or field in ('seed', *NOT_IDENTITY, *SHOWN):
            continue
        other = config.copy_and_resolve_references()
        other.data.fingerprint = now.data.fingerprint  # found once, as there may be many images
        with contextlib.suppress(InputError):  # it can't be changed by itself, or a given teacher not be read
            other.update_from_flattened_dict({field: value})
            other = resolve(other)
            if flatten(other)[field] != fields[field] and made(other) == made(now):
                found.append(field)
    return found


def network_of(config):
    """The `model` fields of a config, and `hme.outputs` of its network, if it has them.

    Only where they are not the default, so that what was stored before there was this field keeps its name.
    """
    own = {field: value for field, value in flatten(config).items() if field.startswith('model.')}
    if config.model.name == 'hme_tree' and config.hme.outputs != default().hme.outputs:
        own['outputs'] = config.hme.outputs
    return own


def said(value):
    """A stage's field as JSON: functions by name, objects by their class's, partial ones with their arguments."""
    if isinstance(value, functools.partial):
        named = {name: said(keyword) for name, keyword in value.keywords.items()}
        return [said(value.func), *map(said, value.args), named]
    return getattr(value, '__name__', type(value).__name__) if callable(value) else value
