"""What an objective is told at every step: its images, random numbers of its own, its place on the schedule."""
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ikd import keys, models, parallel, run_data, training, trials
from ikd.data.inputs import AUGMENTATIONS, epoch_order, normalise
from ikd.errors import InputError
from ikd.explainers import EXPLAINERS
from ikd.journal import read_records
from ikd.objectives import Batch, cross_entropy
from ikd.objectives.losses import entropy
from ikd.optimizers import sgd
from ikd.recipes import RECIPES
from ikd.stages import Stage, continued, weights_only
from ikd.validation import resolve
from tests.small_run import make_config, states, steps, train

EPOCHS, SPAN, STEPS, B = 2, 4, 4, 32


def watching(batch):
    """CE, and as parts what there is to see; labels as one number, each by its place in the batch."""
    loss, parts = cross_entropy(batch)
    return loss, {**parts, 'labels': batch.labels @ np.arange(B), 'progress': batch.progress, 'epoch': batch.epoch,
                  'drawn': jax.random.uniform(batch.key)}


@pytest.fixture
def watched(monkeypatch):
    """(data, prepared stage, what seeds 0 and 1 were told at each step): two epochs of a schedule of four.

    The images of the MLP are the numbers that its augmentation draws, so its logits tell of these.
    """
    def drawn(images, example_keys):
        draw = jax.vmap(lambda key: jax.random.randint(key, images.shape[1:], 0, 256, images.dtype))
        seen.append(1)
        return draw(example_keys)

    seen = []
    monkeypatch.setitem(AUGMENTATIONS, 'crop_flip', drawn)
    monkeypatch.setitem(RECIPES, 'watching', lambda config: [
        Stage('first', watching, EPOCHS, span=SPAN), Stage('second', watching, SPAN - EPOCHS, continued, span=SPAN)])
    config = make_config(epochs=SPAN, **{'model.name': 'mlp', 'data.augment': 'crop_flip',
                                         'optimizer.learning_rate': 1e-12, 'optimizer.weight_decay': 0.0})
    config.method.name = 'watching'
    config, layout = resolve(config), parallel.Layout(tuple(jax.devices()[:1]), 'data')
    job = trials.make_job(config, None, run_data.load_data(config), layout)
    prepared, told = job.stages[0], {}
    for seed in (0, 1):
        # The same weights for both, so that only what is drawn tells them apart.
        begun = training.new_state(0, prepared, job.image_shape)._replace(seed=np.uint32(seed))
        state, reports = parallel.join(layout, [begun]), []
        for _ in range(EPOCHS):
            state, (report,) = training.run_epoch(prepared.program, layout, state, {}, *job.training_set)
            reports.append(report)
        told[seed] = {name: np.concatenate([report[name] for report in reports]) for name in reports[0]}
    assert seen
    return job.dataset, prepared, told


def test_what_a_step_is_told(watched):
    data, prepared, told = watched
    for seed, found in told.items():
        orders = [np.asarray(epoch_order(seed, epoch, 128, STEPS * B)) for epoch in range(EPOCHS)]
        labels = np.concatenate([np.asarray(data.train_labels)[order].reshape(STEPS, B) for order in orders])
        np.testing.assert_allclose(found['labels'], labels @ np.arange(B))
        np.testing.assert_allclose(found['progress'], np.arange(EPOCHS * STEPS) / (SPAN * STEPS))
        np.testing.assert_array_equal(found['epoch'], np.repeat([1, 2], STEPS))
    draws, entropies = (np.concatenate([told[seed][name] for seed in (0, 1)]) for name in ('drawn', 'entropy_p'))
    assert len({*draws.tolist()}) == len({*entropies.tolist()}) == 2 * EPOCHS * STEPS  # no two steps draw alike
    # The learning rate has come half of its way where half of the span is trained.
    rates = [float(prepared.schedule(step)) for step in range(SPAN * STEPS)]
    np.testing.assert_allclose(rates, 1e-12 * np.repeat([1, 0.1, 0.01], [8, 4, 4]), rtol=1e-5)


@pytest.fixture
def alike(monkeypatch):
    """Augmented, every pixel is 51, which the MLP of digits is given as 0.2."""
    monkeypatch.setitem(AUGMENTATIONS, 'crop_flip', lambda images, example_keys: jnp.full_like(images, 51))
    return {'model.name': 'mlp', 'data.augment': 'crop_flip', 'optimizer.learning_rate': 1e-12,
            'optimizer.weight_decay': 0.0}


@pytest.mark.parametrize('how', [{}, {'augmented': False}])
def test_what_is_explained(alike, monkeypatch, how):
    """By batch and teacher: the images of each, augmented where not said otherwise of the teacher; each's network."""
    def seen(model, variables, images, class_chunk=None):
        return jnp.repeat(images[:, None], 10, 1)

    def weights(model, variables, images, class_chunk=None):
        return jnp.broadcast_to(variables['params']['Dense_0']['kernel'].sum(), (len(images), 10, 1, 1, 1))

    def watching(batch):
        loss, parts = cross_entropy(batch)
        both = {'own': batch.explain, "teacher's": batch.teacher.explain}
        return loss, {**parts, **{f'{whose} {name}': explain(name).mean((1, 2, 3, 4))
                                  for whose, explain in both.items() for name in ('seen', 'weights')}}

    monkeypatch.setitem(EXPLAINERS, 'seen', seen)
    monkeypatch.setitem(EXPLAINERS, 'weights', weights)
    monkeypatch.setitem(RECIPES, 'watching', lambda config: [
        Stage('first', cross_entropy, 1, draws=1), Stage('second', watching, 1, teacher=0, **how)])
    job, (teacher, new) = states(resolve(make_config(epochs=2, **alike, **{'method.name': 'watching'})), (0, 1))
    order = np.asarray(job.stages[1].program.order(parallel.join(job.layout, [new])))
    plain = normalise(job.dataset.train_images[order[:B]], job.dataset.mean, job.dataset.std).mean()
    _, report = steps(job, 1, new, teacher, count=1)
    assert abs(plain - 0.2) > 0.01
    for whose, state, seen in ('own', new, 0.2), ("teacher's", teacher, plain if how else 0.2):
        np.testing.assert_allclose(np.ravel(report[f'{whose} seen'])[0], seen, rtol=1e-5)
        np.testing.assert_allclose(report[f'{whose} weights'], state.params['Dense_0']['kernel'].sum(), rtol=1e-3)


def test_dropout_draws_anew_at_every_step(alike):
    """Of two seeds with the same weights and images, no two steps of four have the same probabilities."""
    config = resolve(make_config(epochs=2, **alike, **{'method.name': 'dropout', 'method.rate': 0.5}))
    job, (new,) = states(config, (0,))
    entropies = [steps(job, 0, new._replace(seed=np.uint32(seed)), count=1)[1]['entropy_p'] for seed in (0, 1)]
    assert len({*np.ravel(entropies).tolist()}) == 8


def test_augmentation_dropout_and_objective_draw_from_keys_of_their_own(alike, monkeypatch):
    """Which are others at every step and for every seed; Dropout has one for each of its layers."""
    met, per_example = [], keys.per_example

    def noted(key, *args):
        met.append(key)
        return per_example(key, *args)

    def watching(batch):
        met.append(batch.key)
        return cross_entropy(batch)

    monkeypatch.setattr(keys, 'per_example', noted)
    monkeypatch.setitem(RECIPES, 'watching', lambda config: [
        Stage('dropped', watching, 1, options=(('dropout_rate', 0.5),))])
    config = resolve(make_config(epochs=2, **alike, **{'method.name': 'watching'}))
    job, (new,) = states(config, (0,))
    step = training.make_step(job.stages[0], None, job.dataset, config, None)
    images, labels = (array[:2] for array in (job.dataset.train_images, job.dataset.train_labels))
    met.clear()
    for seed, place in (0, 0), (0, 1), (1, 0):
        step(new._replace(seed=np.uint32(seed), step=np.int32(place)), {}, images, labels)
    assert len(met) == len({tuple(jax.random.key_data(key).tolist()) for key in met}) == 3 * 4


def test_nothing_is_learnt_through_what_an_explanation_is_made_with(monkeypatch):
    """A loss that is the maps' own size has no gradient."""
    monkeypatch.setitem(RECIPES, 'mapped', lambda config: [
        Stage('mapped', lambda batch: (jnp.square(batch.explain('grad')).sum((1, 2, 3, 4)), {}), 1)])
    config = resolve(make_config(epochs=2, **{'model.name': 'mlp', 'optimizer.weight_decay': 0.0,
                                              'method.name': 'mapped'}))
    job, (new,) = states(config, (0,))
    ended, report = steps(job, 0, new)
    assert (np.ravel(report['loss']) > 0).all()
    jax.tree.map(np.testing.assert_array_equal, ended.params, new.params)


def test_a_teacher_is_in_evaluation_mode():
    """Its targets are those of its running averages, not of the batch's statistics."""
    config = resolve(make_config(epochs=2, **{'method.name': 'kd', 'method.temperature': 1.0, 'model.name': 'mlp',
                                              'teacher.model': 'cnn2'}))
    job, (teacher, new) = states(config, (0, 1))
    order = np.asarray(job.stages[1].program.order(parallel.join(job.layout, [new])))
    _, report = steps(job, 1, new, teacher, count=1)
    inputs = normalise(job.dataset.train_images[order[:B]], job.dataset.mean, job.dataset.std)
    running, of_batch = (float(entropy(jax.nn.softmax(job.stages[0].model.apply(
        training.variables_of(teacher), inputs, train=train, mutable=['batch_stats'])[0][0])).mean())
        for train in (False, True))
    assert np.ravel(report['entropy_q'])[0] == pytest.approx(running, rel=1e-5)
    assert abs(of_batch - running) > 1e-3


@pytest.mark.usefixtures('without_pictures')
@pytest.mark.parametrize('teacher', [0, 1])
def test_the_teacher_is_the_stage_that_is_named(teacher, tmp_path, monkeypatch):
    """Of three stages of one network what goes on from the second hears from it alone what it says itself."""
    def compared(batch):
        loss, parts = cross_entropy(batch)
        return loss, {**parts, 'apart': jnp.abs(batch.logits - batch.teacher.logits)}

    monkeypatch.setitem(RECIPES, 'compared', lambda config: [
        Stage('first', cross_entropy, 1, draws=1), Stage('second', cross_entropy, 1),
        Stage('third', compared, 1, weights_only, teacher=teacher, optimizer=partial(sgd, learning_rate=1e-12))])
    config = make_config(epochs=3, **{'model.name': 'mlp', 'optimizer.weight_decay': 0.0, 'method.name': 'compared'})
    train(config, tmp_path / 'run')
    apart = read_records(tmp_path / 'run')[-1]['train_apart']
    assert apart < 1e-4 if teacher == 1 else apart > 1e-2


def test_what_a_stage_keeps_is_of_the_networks_classes():
    stage = Stage('kept', cross_entropy, 1, extra=lambda k: {'seen': jnp.zeros(k)})
    prepared = training.Prepared(stage, models.MLP(3, widths=(4,)), frozenset(), optax.identity(), None, None)
    assert training.state_shapes(prepared, (2, 2, 1)).extra['seen'].shape == (3,)


def test_a_stage_goes_on_where_the_one_before_it_ended():
    """Weights, statistics, momentum and step; its extra state begins anew."""
    config = resolve(make_config(**{'model.name': 'resnet8'}))
    layout = parallel.Layout(tuple(jax.devices()[:1]), 'data')
    first, second = trials.make_job(config, None, run_data.load_data(config), layout).stages
    new = training.new_state(0, second, (8, 8, 1))._replace(extra={'kept': np.zeros(3)})
    earlier = jax.tree.map(lambda leaf: leaf + 1, training.new_state(0, first, (8, 8, 1)))
    begun = second.stage.start(new, [new, earlier])
    jax.tree.map(np.testing.assert_array_equal, begun._replace(extra={}), earlier._replace(extra={}))
    assert begun.extra is new.extra


@pytest.mark.parametrize('given', [
    lambda losses, parts: losses, lambda losses, parts: (losses, None), lambda losses, parts: (losses.mean(), parts),
    lambda losses, parts: (losses, {**parts, 'loss': losses}), lambda losses, parts: [losses, parts],
    lambda losses, parts: (losses, {'mine': None}), lambda losses, parts: (losses, {'mine': 'many'}),
    lambda losses, parts: (losses, {'mine': parts}), lambda losses, parts: (losses, {**parts, 3: losses}),
    lambda losses, parts: (losses.astype(int), parts), lambda losses, parts: (losses, parts, None),
    lambda losses, parts: (losses, {**parts, 'accuracy': losses}), lambda losses, parts: (losses, parts, {}, {}),
    lambda losses, parts: (losses[:-1], parts)])
def test_an_objective_that_gives_something_else_is_refused_in_a_line(given):
    batch = Batch(jnp.arange(3), jnp.eye(3), {}, None, None, None)
    losses, parts = cross_entropy(batch)
    assert training.losses_of(Stage('mine', lambda batch: (losses, parts), 1), batch) == (losses, parts, batch.extra)
    with pytest.raises(InputError, match=r"stage 'mine' must return \(losses, parts\), or") as error:
        training.losses_of(Stage('mine', lambda batch: given(losses, parts), 1), batch)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('bn', ['batch', 'running'])
@pytest.mark.parametrize('through', [True, False])
def test_a_loss_may_be_of_maps(through, bn, monkeypatch):
    """CE and the square of the true class's gradient, double backpropagation (Drucker and Le Cun 1992), for a step.

    The network moves as the derivative says of a function that knows no explainer, of a network whose convolutions
    JAX differentiates by itself; by the loss of the labels alone where maps are constants.
    """
    def smooth(batch):
        loss, parts = cross_entropy(batch)
        own = batch.explain('grad', through=through, classes=batch.labels[:, None])
        return loss + 3 * jnp.square(own).sum((1, 2, 3, 4)), parts

    monkeypatch.setitem(RECIPES, 'smooth', lambda config: [Stage('smooth', smooth, 1)])
    config = resolve(make_config(epochs=1, **{'method.name': 'smooth', 'method.bn': bn, 'method.warmup_epochs': 0,
                                              'optimizer.weight_decay': 0.0}))
    job, (state,) = states(config, (0,))
    order = np.asarray(job.stages[0].program.order(parallel.join(job.layout, [state])))[:B]
    images, labels = job.dataset.train_images[order], job.dataset.train_labels[order]
    images = normalise(images, job.dataset.mean, job.dataset.std)
    moved, _ = steps(job, 0, state, count=1)
    monkeypatch.setattr(models.layers, 'convolve', models.convolution.plain)
    model = models.create('cnn2', 10)

    def loss(params):
        variables = {'params': params, 'batch_stats': state.batch_stats}
        (logits, _), kept = model.apply(variables, images, train=True, mutable=['batch_stats', 'moments'])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        statistics = kept['moments'] if bn == 'batch' else state.batch_stats

        def true_logits(images):
            return model.apply({'params': params, 'batch_stats': statistics}, images)[0][np.arange(B), labels].sum()

        return (losses + through * 3 * jnp.square(jax.grad(true_logits)(images)).sum((1, 2, 3))).mean()

    expected = jax.jit(jax.grad(loss))(state.params)
    change = jax.tree.map(lambda old, new: (old - new) / config.optimizer.learning_rate, state.params, moved.params)
    jax.tree.map(lambda *pair: np.testing.assert_allclose(*pair, rtol=1e-3, atol=1e-5), change, expected)
    assert max(abs(leaf).max() for leaf in jax.tree.leaves(expected)) > 0.1
