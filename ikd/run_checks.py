"""Whether a run may start: it is what its directory holds, its parts go together, its teachers can be had."""
import functools

import jax
import jax.numpy as jnp
import numpy as np

from ikd import models, parallel, stage_names, store
from ikd.config import identity
from ikd.data.limits import printable
from ikd.errors import InputError, RunError
from ikd.explainers import SIMILARITIES, class_similarity
from ikd.files import read_json
from ikd.journal import read_records
from ikd.networks import final_model, make_model, prepare_stages
from ikd.own_code import is_own
from ikd.pictures.explanations import explanations
from ikd.recipes import recipe
from ikd.run_files import read_config, read_summary
from ikd.stages import variables_of
from ikd.training import state_shapes
from ikd.trials import adopt
from ikd.validation import usual

OWN_CODE = 'own_code.json'  # of a run with code of its user's


def has_begun(workdir):
    """Whether anything has been trained in workdir."""
    return bool(read_records(workdir)) or any((workdir / 'checkpoints').glob('*/*/[0-9]*'))


def check_identity(config, workdir):
    """RunError if the workdir was made by a config that says something else, from other images or by other code."""
    there = read_config(workdir)
    if there is None:
        if read_summary(workdir) or has_begun(workdir):
            raise RunError(f'{workdir} holds a run, but not its config.json, which says what it is; put back a copy, '
                           'or choose another --workdir')
        return
    old, new = usual() | identity(there), identity(config)
    changed = [field for field in sorted({*old, *new}) if old.get(field) != new.get(field)]
    if changed == ['data.fingerprint']:
        if config.data.fingerprint is None:
            return  # the folder is not there, which is said where it is read
        raise RunError(f'the data is not what {workdir} was begun with: files were added, removed or changed in '
                       f'{printable(config.data.dir)}; put them back, or choose another --workdir')
    if changed:
        said = ', '.join(f'{field} ({old.get(field)} there, {new.get(field)} now)' for field in changed)
        raise RunError(f'{workdir} holds another experiment: {said}; choose another --workdir, or leave it out')
    began, now = read_json(workdir / OWN_CODE), stage_names.own_code(config)
    if began and now and began['digest'] != now and has_begun(workdir):
        raise RunError('your own code (recipe, objective, network, explainer, similarity or data) is not what '
                       f'{workdir} was begun with; choose another --workdir, or remove {workdir / OWN_CODE} if it '
                       'does the same')


def check_fits(config, dataset):
    """InputError if networks, explainer, similarity and data do not go together; no network is computed."""
    n, *image_shape = dataset.train_images.shape
    if not len(dataset.test_images):
        raise InputError(f'{config.data.name} has no test images; set data.holdout to test on some of the others')
    if config.batch_size > n:
        raise InputError(f'batch_size {config.batch_size} is larger than the {n} training images; choose less')
    model = final_model(config, dataset)
    models.check_outputs(model, image_shape, config.model.name)
    for teacher in {stage.network for stage in recipe(config)} - {None}:
        models.check_outputs(make_model(config, dataset, teacher), image_shape, teacher)
    maps, _, probabilities = jax.eval_shape(
        functools.partial(explanations, config, model), models.shapes(model, image_shape),
        jnp.zeros((1, *image_shape)), jnp.zeros(1, int))
    if maps.shape[1] != probabilities.shape[1]:
        raise InputError(f'method.explainer={config.method.explainer} gives maps of {maps.shape[1]} classes, and the '
                         f'network has {probabilities.shape[1]}')
    if is_own(SIMILARITIES[config.method.similarity]):  # on numbers, as a trace shows no signs
        numbers = np.random.default_rng(0).normal(size=maps.shape).astype(np.float32)
        class_similarity(numbers, np.zeros(1, np.int32), config.method.similarity)


def check_teachers(job, seeds):
    """InputError if a given teacher can't be had, a stage can't learn from its teacher, or an objective of the user's
    own gives no losses; nothing is computed.

    What an objective asks and gives shows when its step is traced.
    """
    one = parallel.Layout(job.layout.devices[:1], 'data')
    stages = job.stages if job.layout == one else prepare_stages(job.config, job.dataset, one)
    for prepared in stages:
        stage = prepared.stage
        if stage.given:
            store.check_given(stage.given, job.config, job.dataset)
            for seed in seeds:
                adopt(job, prepared, seed)
        if stage.teacher is not None or is_own(stage.objective):
            check_step(prepared, None if stage.teacher is None else stages[stage.teacher], job)


def check_step(prepared, teacher, job):
    """Trace a step of a stage with its teacher, a Prepared stage, or None; on one device. JAX remembers the trace."""
    state = state_shapes(prepared, job.image_shape)
    knowledge = {} if teacher is None else variables_of(state_shapes(teacher, job.image_shape))
    images, labels = job.dataset.train_images, job.dataset.train_labels
    if job.dataset.streamed:
        block = prepared.program.chunk, job.config.batch_size
        fed = jax.ShapeDtypeStruct((*block, *job.image_shape), np.uint8), jax.ShapeDtypeStruct(block, np.int32)
    else:
        fed = jax.eval_shape(prepared.program.order, state), images, labels
    jax.eval_shape(prepared.program.advance(prepared.program.chunk), state, knowledge, *fed)
