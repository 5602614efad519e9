"""A run of seconds, and how it is compared with another."""
import jax
import numpy as np

from ikd import checkpoint, experiment, networks, parallel, run_data, training, trials
from ikd.config import default
from ikd.validation import resolve


def make_config(**fields):
    """LE(Grad-CAM) with a small network on 8x8 digits: one epoch of warm-up, two of introspection."""
    config = default()
    config.model.name = 'cnn2'
    config.update(batch_size=32, epochs=3)
    config.data.limit = 128
    config.update_from_flattened_dict({'method.warmup_epochs': 1, 'optimizer.learning_rate': 0.02, **fields})
    return config


def train(config, workdir, **more):
    """`experiment.run` on one device."""
    return experiment.run(config, workdir, jax.devices()[:1], **more)


def last_state(config, workdir, seed=0):
    """The host State that a run ended with, read from its last checkpoint."""
    config = resolve(config)
    dataset = run_data.load_data(config)
    layout = parallel.Layout(tuple(jax.devices()[:1]), 'data')
    prepared = networks.prepare_stages(config, dataset, layout)[-1]
    example = training.state_shapes(prepared, dataset.train_images.shape[1:])
    with checkpoint.manager(workdir, seed, 1, 'introspective') as saved:
        return checkpoint.restore(saved, saved.latest_step(), example)[0]


def states(config, indices):
    """(job, fresh State of each stage in `indices`)."""
    layout = parallel.Layout(tuple(jax.devices()[:1]), 'data')
    job = trials.make_job(config, None, run_data.load_data(config), layout)
    return job, [training.new_state(0, job.stages[index], job.image_shape) for index in indices]


def steps(job, index, state, teacher=None, count=2):
    """The host State after some steps of a stage, and the last report."""
    program = job.stages[index].program
    knowledge = {} if teacher is None else parallel.join(job.layout, [training.variables_of(teacher)])
    state = parallel.join(job.layout, [state])
    order = program.order(state)
    for _ in range(count):
        state, report = program.advance(program.chunk)(state, knowledge, order, *job.training_set)
    return jax.device_get(state), jax.device_get(report)


def assert_same(a, b):
    """Two trees, bit for bit."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


def without_times(records, *others):
    """What of the records does not depend on how fast it went; also without the other names."""
    return [{name: value for name, value in record.items() if name not in ('seconds', 'images_per_second', *others)}
            for record in records]
