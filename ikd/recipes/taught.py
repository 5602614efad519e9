"""Methods with a teacher that is trained first, or given.

The student has the initial weights, the order of images and the augmentations that the seed has with any other
method; teacher and assistant have others, as networks that were trained some time before.
"""
from functools import partial

from ikd.errors import InputError
from ikd.models import Regressed, create
from ikd.objectives import attention, confidence_weighted, cross_entropy, distil, flow, hint, match
from ikd.objectives.features import tap_of
from ikd.optimizers import sgd
from ikd.stages import Stage, before, weights_only


def kd(config, permute=False):
    """A teacher, then its student (2009.09140, sections 3 and 5.3)."""
    return taught(config, distillation(config, permute=permute))


def cwtm(config, weights):
    """A teacher, then a student of the labels whose examples are weighted (2009.09140, section 3)."""
    temperature = config.method.temperature
    return taught(config, partial(confidence_weighted, temperature=temperature, weights=weights,
                                  beta=config.method.beta))


def teacher(config):
    """The stage that trains the network `teacher.model` with the labels, or takes it from `teacher.checkpoint`."""
    given = config.teacher.checkpoint
    return Stage('teacher', cross_entropy, 0 if given else config.epochs, network=config.teacher.model, given=given,
                 draws=1)


def taught(config, objective):
    """The teacher network with the labels, then the student with the objective, each on a schedule of its own."""
    return [teacher(config),
            Stage('student', objective, config.epochs, teacher=0)]


def distillation(config, **options):
    """Hinton's distillation with the config's temperature and weights."""
    method = config.method
    return partial(distil, temperature=method.temperature, lam=method.lam, weight=method.weight, **options)


def takd(config):
    """Teacher, assistant, student, a full distillation each (2009.09140, section 5.3)."""
    objective = distillation(config)
    return [teacher(config),
            Stage('assistant', objective, config.epochs, network=config.teacher.assistant, teacher=0, draws=2),
            Stage('student', objective, config.epochs, teacher=1)]


def at_kd(config):
    """A teacher, then distillation with attention transfer from every group (2009.09140, section 5.3)."""
    features = config.features
    distance = partial(attention, taps=paired_taps(config), power=features.power)
    return taught(config, partial(match, distance=distance, weight=features.weight, decay=features.decay,
                                  objective=distillation(config)))


def hint_kd(config):
    """A teacher; the student's first groups towards its hint; the whole student by distillation (FitNets)."""
    pair = guided(config)
    width = partial(regressed, taps=pair) if config.features.regressor else None
    optimizer = partial(sgd, learning_rate=config.features.learning_rate, milestones=())
    return features_first(config, 'hint', partial(hint, taps=pair), wrap=width, optimizer=optimizer,
                          trains=partial(before, tap=pair[0], also=('regressor',)))


def fsp_kd(config):
    """A teacher; the student's groups towards its flow matrices; the whole student by distillation (FSP)."""
    pairs = paired_taps(config)
    optimizer = partial(sgd, learning_rate=config.features.learning_rate, milestones=(11 / 21, 16 / 21))
    return features_first(config, 'flow', partial(flow, taps=pairs), optimizer=optimizer,
                          trains=partial(before, tap=pairs[-1][0]))


def features_first(config, name, distance, **how):
    """A teacher, `features.epochs` towards its features without labels, then distillation from those weights.

    With features.epochs=0 both at once: distillation plus `features.weight` times the distance.
    """
    epochs, objective = config.features.epochs, distillation(config)
    if not epochs:
        objective = partial(match, distance=distance, weight=config.features.weight, objective=objective)
        return [teacher(config), Stage('student', objective, config.epochs, teacher=0, wrap=how.get('wrap'))]
    return [teacher(config),
            Stage(name, partial(match, distance=distance), epochs, teacher=0, **how),
            Stage('student', objective, config.epochs, weights_only, teacher=0)]


def group_taps(config):
    """The ends of the groups of the student and of the teacher; InputError for a network that names none."""
    found = []
    for name in (config.model.name, config.teacher.model):
        taps = getattr(create(name, 2), 'group_taps', None)
        if not taps:
            way = 'set features.tap to a tap that both networks have' if config.method.name == 'hint' else (
                'give it some, or choose another method')
            raise InputError(f"method.name={config.method.name} compares groups, and {name} has no 'group_taps', the "
                             f'names of the taps at their ends; {way}')
        found.append(taps)
    return found


def paired_taps(config):
    """The ends of the groups of student and teacher, in pairs; InputError where they have unlike numbers."""
    ours, theirs = group_taps(config)
    if len(ours) != len(theirs):
        raise InputError(f'method.name={config.method.name} compares groups, but {config.model.name} has {len(ours)} '
                         f'and {config.teacher.model} {len(theirs)}; choose a teacher.model with as many')
    return tuple(zip(ours, theirs))


def guided(config):
    """The student's guided layer and the teacher's hint: `features.tap`, or else the end of the second groups."""
    tap = config.features.tap
    if tap:
        return tap, tap
    ours, theirs = group_taps(config)
    if min(len(ours), len(theirs)) < 2:
        raise InputError(f'method.name={config.method.name} compares the second groups, and {config.model.name} or '
                         f'{config.teacher.model} has none; set features.tap to a tap that both have')
    return ours[1], theirs[1]


def regressed(network, shapes, taps):
    """The network with a regressor from its guided layer to the width of the teacher's hint."""
    return Regressed(network, taps[0], tap_of(shapes, taps[1])[-1])
