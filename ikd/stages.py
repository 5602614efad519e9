"""What a recipe is a list of: stages, how each starts from the ones before it, and which parameters it trains."""
from collections.abc import Callable
from typing import Any, NamedTuple

from ikd.models import parts_before
from ikd.optimizers import sgd


class State(NamedTuple):
    """All that changes in training: a pure tree, saved and restored as it is. step counts along the schedule.

    extra: what an objective keeps from step to step (`Stage.extra`); {} for most.
    """
    seed: Any
    step: Any
    params: Any
    batch_stats: Any
    opt_state: Any
    extra: Any


def variables_of(state):
    """What a network of this State is applied with; also what a teacher's student is handed as `knowledge`."""
    return {'params': state.params, 'batch_stats': state.batch_stats, 'extra': state.extra}


def fresh(new, results):
    """Start a stage from new variables."""
    return new


def continued(new, results):
    """Start a stage where the one before it ended: weights, statistics, momentum and place on the schedule.

    From new variables where there is none before it. Extra state begins anew.
    """
    return results[-1]._replace(extra=new.extra) if results else new


def weights_only(new, results):
    """Start a stage from the weights and statistics of the one before it; momentum and schedule begin anew.

    Parts of the network that only one of the two stages has are left out, or new.
    """
    return new._replace(params={**new.params, **common(results[-1].params, new.params)},
                        batch_stats={**new.batch_stats, **common(results[-1].batch_stats, new.batch_stats)})


def routing_only(new, results):
    """Start a stage from new variables but for the routing of a tree, its parts `branch...` (KDExplainer)."""
    routing = {name: part for name, part in results[-1].params.items() if name.startswith('branch')}
    return new._replace(params={**new.params, **routing})


def common(old, new):
    """The parts of a tree `old` that a network has whose own tree, of arrays or shapes, is `new`."""
    return {name: old[name] for name in old if name in new}


def everything(model, image_shape, names):
    """Train all parts of a network: the top-level names of its parameters and statistics."""
    return names


def before(model, image_shape, names, tap, also=()):
    """Train the parts of a network that run before a tap, and those called `also`."""
    return {*parts_before(model, image_shape, tap), *also} & {*names}


def all_but_routing(model, image_shape, names):
    """Train all parts of a network but those that route, `branch...` (KDExplainer)."""
    return {name for name in names if not name.startswith('branch')}


class Stage(NamedTuple):
    """Train a network with `objective` for `epochs`, from `start(new State, earlier results)`.

    network: another network than `model.name`. options: its fields that differ from the config's, such as
    `dropout_rate`, as a tuple of pairs. wrap(network, shapes of the teacher's taps): the network with what it needs
    in this stage only, a peer or a regressor; its own parameters keep their places. optimizer(settings, steps of an
    epoch, epochs) -> (optax transformation, schedule): see `ikd.optimizers`. trains(model, image_shape, names): which
    top-level parts train; the others' parameters and statistics stay as they are. teacher: the number of the earlier
    stage whose result the objective learns from; augmented: whether it sees the augmented images. span: how many
    epochs the learning rate's schedule covers, of which this stage may be a part; None: its own. draws: stages with
    another number draw from a seed other initial weights, another order of images, other augmentations. extra(k): a
    dict of arrays that the objective keeps from step to step, for k classes; the network finds it as its collection
    `extra`. given: the directory of a run that has trained this stage's network already, to be taken from there, for
    no epochs.
    """
    name: str
    objective: Callable
    epochs: int
    start: Callable = fresh
    network: str | None = None
    options: tuple = ()
    wrap: Callable | None = None
    optimizer: Callable = sgd
    trains: Callable = everything
    teacher: int | None = None
    augmented: bool = True
    span: int | None = None
    draws: int = 0
    extra: Callable | None = None
    given: str | None = None
