"""Networks of finished runs: the very ones that were tested, and nothing is written."""
import re
import shutil

import jax
import numpy as np
import pytest

from ikd import data, metrics
from ikd import trained as trained_networks
from ikd.errors import InputError
from ikd.evaluation.sanity import cascade
from ikd.files import read_json, write_json
from ikd.models import MODELS
from ikd.trained import image_batches, load
from tests.quick import finished_run


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """The directory of a finished run of two trials with BatchNorm, small enough to be quick."""
    return finished_run(tmp_path_factory.mktemp('finished') / 'run', **{
        'model.name': 'cnn2', 'trials': 2, 'seed': 3, 'epochs': 1, 'method.warmup_epochs': 0,
        'optimizer.learning_rate': 0.02})


@pytest.mark.parametrize('seed', [None, 3, 4])
def test_it_predicts_what_the_run_was_tested_with(finished, seed):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob('*')}
    trained = load(finished, seed)
    assert trained.seed == (seed or 3) and trained.class_names == tuple('0123456789')
    assert f'{trained}' == repr(trained) == f'Trained(cnn2 after ce on digits, seed {seed or 3})'
    assert trained.config.method.tap == 'conv2'
    apply = jax.jit(lambda images: trained.model.apply(trained.variables, images, train=False)[0])
    found = [(apply(images)[real], labels[real]) for images, labels, real in image_batches(trained, size=100)]
    logits, labels = (np.concatenate(parts) for parts in zip(*found))
    expected = next(t for t in read_json(finished / 'summary.json')['trials'] if t['seed'] == trained.seed)
    ours = metrics.evaluate(logits, labels)
    assert ours['test_accuracy'] == expected['test_accuracy']
    assert ours['test_nll'] == pytest.approx(expected['test_nll'], rel=1e-5)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob('*')} == before


@pytest.mark.parametrize('method, fields', [
    ('dml', {}), pytest.param('hint', {'teacher.model': 'cnn2', 'features.epochs': 0, 'features.regressor': True,
                                       'features.tap': 'conv1'}, marks=pytest.mark.slow)])
def test_what_a_stage_had_added_is_left_out(method, fields, tmp_path):
    """A peer, a regressor: the network is the first of both, and it can be looked at, and teach, as any other."""
    workdir = finished_run(tmp_path / 'run', **{
        'method.name': method, 'model.name': 'cnn2', 'optimizer.learning_rate': 0.02, **fields})
    trained = load(workdir)
    own = trained.model.init(jax.random.key(0), trained.inputs(trained.dataset.test_images[:1]), train=False)
    for name in ('params', 'batch_stats'):
        assert jax.tree.map(np.shape, trained.variables[name]) == jax.tree.map(np.shape, own.get(name, {}))
    (trial,) = read_json(workdir / 'summary.json')['trials']
    tested = trial.get('networks', [trial])[0]
    logits = trained.model.apply(trained.variables, trained.inputs(trained.dataset.test_images), train=False)[0]
    found = metrics.evaluate(logits, trained.dataset.test_labels)
    assert found['test_nll'] == pytest.approx(tested['test_nll'], rel=1e-4)
    assert {step['part'] for step in cascade(trained, 'grad', most=10)} == {None, *own['params']}
    taught = finished_run(tmp_path / 'taught', **{
        'method.name': 'kd', 'model.name': 'cnn2', 'optimizer.learning_rate': 0.02,
        'teacher.model': 'cnn2', 'teacher.checkpoint': str(workdir)})
    (student,) = read_json(taught / 'summary.json')['trials']
    assert student['teachers'] == {'teacher': tested['test_accuracy']}


def test_data_that_has_changed_is_refused(finished, monkeypatch):
    """Pixels alone, too; what needs no images is there all the same."""
    numbers = list(data.READERS['digits']())
    numbers[2] = numbers[2] ^ 1
    monkeypatch.setitem(data.READERS, 'digits', lambda: tuple(numbers))
    with pytest.raises(InputError, match='is not what .* was trained on: its images, labels or their order') as error:
        load(finished)
    assert '\n' not in str(error.value) and load(finished, images=False).class_names == tuple('0123456789')


@pytest.mark.parametrize('precision, said', [('float32', 'HIGHEST'), ('tf32', 'HIGH')])
def test_what_is_measured_is_computed_at_the_runs_precision(finished, precision, said):
    """Also where it is measured by itself, long after the run; a CPU shows no difference, the program does."""
    trained = load(finished)
    trained.config.precision = precision
    square = jax.jit(trained_networks.at_precision(trained, lambda x: x @ x)).lower(np.eye(2, dtype=np.float32))
    assert f'precision = [{said}, {said}]' in square.as_text()
    explain = jax.jit(trained_networks.explain_function(trained, 'grad_cam'))
    text = explain.lower(trained.variables, trained.inputs(trained.dataset.test_images[:1])).as_text()
    assert {*re.findall(r'precision = \[(\w+), ', text)} == {said}


@pytest.mark.parametrize('most, size', [(None, 100), (7, 3), (6, 3), (5, 100), (1000, 500)])
def test_batches_hold_each_image_once(finished, most, size):
    """In order, in [0, 1], in batches of one size; 256 test images in smoke mode."""
    trained = load(finished)
    batches = list(image_batches(trained, most, size))
    assert len({images.shape for images, _, _ in batches}) == 1
    images, labels = (np.concatenate([batch[i][batch[2]] for batch in batches]) for i in (0, 1))
    n = min(most or 256, 256)
    np.testing.assert_allclose(images, trained.dataset.test_images[:n] / 255, rtol=1e-6)
    np.testing.assert_array_equal(labels, trained.dataset.test_labels[:n])


def test_what_is_not_there_is_said_in_one_line(finished, tmp_path, monkeypatch):
    cut = tmp_path / 'cut'
    shutil.copytree(finished, cut)
    shutil.rmtree(cut / 'checkpoints' / 'seed4')
    for arguments, message in [((tmp_path,), 'is not the directory of a finished run'),
                               ((tmp_path / 'nowhere',), 'is not the directory of a finished run'),
                               ((finished, 5), 'no trial of seed 5, only of 3, 4'),
                               ((cut, 4), 'no checkpoint of seed 4 any more'),
                               ((finished, 3, tmp_path / 'nowhere'), 'data directory .*nowhere does not exist')]:
        with pytest.raises(InputError, match=message) as error:
            load(*arguments)
        assert '\n' not in str(error.value)
    assert load(cut, 3).seed == 3
    monkeypatch.delitem(MODELS, 'cnn2')  # as where it was a user's own
    with pytest.raises(InputError, match="the network 'cnn2', which is not known here; name the file") as error:
        load(finished)
    assert '\n' not in str(error.value)


def test_as_many_images_go_together_as_fit(finished, monkeypatch):
    """One where not even its maps do, by classes or by copies; images are of 8 x 8, classes ten."""
    trained = load(finished)
    for most, copies, floats, expected in ((250, 0, 640 * 7, 7), (250, 0, 640 * 7 - 1, 6), (5, 0, 640 * 7, 5),
                                           (250, 0, 639, 1), (250, 50, 64 * 99, 1), (250, 50, 64 * 100, 2),
                                           (250, 50, 1, 1)):
        monkeypatch.setattr(trained_networks, 'MOST_FLOATS', floats)
        assert trained_networks.fitting(trained, most, copies) == expected


def test_whether_an_explainer_applies_depends_on_the_runs_options(finished):
    """Of its own explainer alone: a tap that the network has not is nothing to another one of the kind."""
    trained = load(finished)
    trained.config.method.tap = 'conv9'
    names, reasons = trained_networks.explainers_for(trained)
    assert 'conv9' in reasons['grad_cam'] and 'layer_cam' in names


def test_every_explainer_has_the_runs_class_chunk(finished, monkeypatch):
    """Which bounds the memory; the tap is for the run's own alone."""
    told = {}
    monkeypatch.setattr(trained_networks, 'explain', lambda name, *_, **options: told.update({name: options}))
    trained = load(finished)
    trained.config.class_chunk = 3
    for name in None, 'grad', 'layer_cam':
        trained_networks.explain_function(trained, name)(trained.variables, None)
    every = {'class_chunk': 3, 'classes': None}
    assert told.pop('grad_cam') == {**every, 'tap': 'conv2', 'relu': trained.config.method.relu}
    assert told == dict.fromkeys(('grad', 'layer_cam'), every)


@pytest.mark.parametrize('field, value', [('epochs', 'many'), ('method', 'le')])
def test_a_config_that_is_none_is_said_in_one_line(finished, tmp_path, field, value):
    shutil.copytree(finished, tmp_path / 'run')
    write_json(tmp_path / 'run/config.json', {**read_json(finished / 'config.json'), field: value})
    with pytest.raises(InputError, match=r'run/config.json is no config of a run \(.*\); put back a copy') as error:
        load(tmp_path / 'run')
    assert '\n' not in str(error.value)


def test_what_a_network_takes_is_checked(finished):
    """Pixels of 255 of its own form; floats up to 1 would be nearly black, and all the same give an answer."""
    trained = load(finished)
    pixels = trained.dataset.test_images[:3]
    np.testing.assert_array_equal(trained.inputs(pixels), trained.inputs(pixels.astype(np.float32)))
    assert not np.any(trained.inputs(np.zeros((1, 8, 8, 1), np.float32)))
    for images, message in ((pixels[0], r'images are \[8, 8, 1\]; the network takes \[b, 8, 8, 1\]'),
                            (pixels[:, ::2], r'images are \[3, 4, 8, 1\]'),
                            (np.repeat(pixels, 3, -1), r'images are \[3, 8, 8, 3\]'),
                            (pixels / 255, r'pixels are 0 to 1; give them in \[0, 255\]'),
                            (jax.numpy.asarray(pixels / 510), r'pixels are 0 to 0.5; give them in \[0, 255\]')):
        with pytest.raises(InputError, match=message):
            trained.inputs(images)
    for images in (pixels > 99).astype(np.uint8), (pixels > 99).astype(np.float32):  # black, and nearly so
        np.testing.assert_allclose(np.asarray(trained.inputs(images)).max(), 1 / 255, rtol=1e-6)


def test_a_data_set_is_shown_in_a_line(finished):
    """A notebook shows what stands in the last line of a cell."""
    assert repr(load(finished).dataset) == 'Dataset(256 images to train on, 256 to test, 8x8x1, 10 classes)'
