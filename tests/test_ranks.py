"""ikd works where JAX is told to refuse arrays of unlike rank: all broadcasting is spelt out.

JAX refuses when it traces, so most is only traced.
"""
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ikd import evaluate, models, networks, parallel, run_data, training
from ikd.evaluation.explanations import MEASURES, measures_of
from ikd.explainers import EXPLAINERS, SIMILARITIES, applicable, explain, targets
from ikd.stages import variables_of
from tests.quick import finished_run
from tests.test_recipes import METHODS, SMALL, make_config

MAPLESS = 4  # explainers that need a feature map, which an MLP has not


@pytest.fixture(autouse=True)
def refused():
    with jax.numpy_rank_promotion('raise'):
        yield


@pytest.mark.parametrize('name', ['mlp', 'cnn2'])
@pytest.mark.parametrize('classes', [None, [3, 1], [[3, 1]]], ids=['all', 'some', 'own'])
def test_explainers(name, classes):
    """Of every class, of the same ones of each image, of each image's own."""
    model = models.create(name, 10)
    variables, image = models.shapes(model, (8, 8, 3)), jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    names, _ = applicable(model, variables, (8, 8, 3))
    assert len(names) == len(EXPLAINERS) - MAPLESS * (name == 'mlp')
    for explainer in names:
        maps = jax.eval_shape(partial(explain, explainer, model, classes=classes), variables, image)
        assert maps.shape[:2] == (1, 2 if classes else 10)


def test_values_for_each_channel():
    """As docstrings have it, a baseline and what is put over a place may be of the channels alone."""
    model, colour = models.create('mlp', 10), np.array([0.1, 0.2, 0.3], np.float32)
    variables, image = models.shapes(model, (8, 8, 3)), jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    for explainer, option in ('integrated_gradients', 'baseline'), ('occlusion', 'fill'):
        jax.eval_shape(partial(explain, explainer, model, **{option: colour}), variables, image)


@pytest.mark.parametrize('similarity', SIMILARITIES)
def test_targets(similarity):
    labels = jax.ShapeDtypeStruct((2,), jnp.int32)
    for shape in (2, 10, 8, 8, 3), (2, 10, 4, 4):
        maps = jax.ShapeDtypeStruct(shape, jnp.float32)
        assert jax.eval_shape(partial(targets, similarity=similarity), maps, labels).shape == (2, 10)


@pytest.mark.parametrize('method', METHODS)
def test_every_stage_of_a_method(method):
    """A step with augmentation, what tests it, what it starts from and in which order it sees images."""
    small = {'hme': {}, 'vam': {**SMALL, 'model.name': 'resnet8'}}.get(method, SMALL)
    config = make_config(method, **{'data.augment': 'crop_flip', 'method.rate': 0.3, **small})
    dataset, layout = run_data.load_data(config), parallel.Layout(tuple(jax.devices()[:1]), 'data')
    images, labels = (jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (dataset.train_images, dataset.train_labels))
    stages = networks.prepare_stages(config, dataset, layout)
    states = [training.state_shapes(prepared, dataset.image_shape) for prepared in stages]
    for prepared, state in zip(stages, states):
        program, teacher = prepared.program, prepared.stage.teacher
        knowledge = {} if teacher is None else variables_of(states[teacher])
        order = jax.eval_shape(program.order, state)
        after, report = jax.eval_shape(program.advance(program.chunk), state, knowledge, order, images, labels)
        assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state) and report['loss'].shape[1:] == ()
        assert jax.eval_shape(program.logits, state, jnp.int32(0), images).shape[-1] == 10


@pytest.mark.parametrize('name, explainer', [('mlp', 'integrated_gradients'), ('cnn2', 'grad_cam')])
def test_a_run_and_what_is_measured_of_it(name, explainer, tmp_path, capsys, monkeypatch):
    """Every measure, of maps with colours, from an explainer that is complete, and of maps without."""
    monkeypatch.setattr(evaluate, 'keep_compiled', lambda setting: None)
    workdir = finished_run(tmp_path / 'run', **{'model.name': name, 'data.limit': 40, 'epochs': 1})
    only = ','.join((*evaluate.ROBUSTNESS, *measures_of(explainer, MEASURES)))
    evaluate.main([f'--workdir={workdir}', '--images=4', '--test-images=4', f'--only={only}',
                   f'--explainers={explainer}'])
    assert explainer in capsys.readouterr().out
