"""The command on a finished run: what it writes is what the report reads; what can't be done is one line."""
import json
import shutil
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from matplotlib.image import imread

from ikd import evaluate, metrics
from ikd.errors import InputError
from ikd.evaluation.corruptions import KINDS
from ikd.evaluation.explanations import MEASURES
from ikd.evaluation.likeness import likeness
from ikd.evaluation.measure import rounded
from ikd.evaluation.network import corrupted, of_pixels, predict
from ikd.explainers import EXPLAINERS
from ikd.files import read_json, write_json
from ikd.trained import load
from tests.quick import finished_run


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """The directory of a finished run of two MLPs on digits of 8x8, two epochs."""
    return finished_run(tmp_path_factory.mktemp('finished') / 'run', **{
        'model.name': 'mlp', 'seed': 3, 'trials': 2, 'optimizer.learning_rate': 0.05})


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(evaluate, 'keep_compiled', lambda setting: None)
    evaluate.main([*map(str, arguments)])
    return capsys.readouterr()


def test_the_command(finished, monkeypatch, capsys):
    """Everything, of two explainers, one of which an MLP can't have."""
    said = run(monkeypatch, capsys, f'--workdir={finished}', '--images=60', '--test-images=40', '--epsilons=1,60',
               '--explainers=grad_cam,grad_input')
    folder = finished / 'evaluation'
    found = json.loads((folder / 'evaluation.json').read_text())
    assert [*found] == ['run', 'network', 'explainers', 'curves', 'not_applicable']
    assert {'seed': 3, 'images': 60, 'test_images': 256, 'model': 'mlp'}.items() <= found['run'].items()
    assert {'commit', 'versions', 'device', 'date', 'seconds'} <= {*found['run']}
    assert found['run']['explainer_options'] == {'class_chunk': None}
    assert (found['run']['changed_options'], found['run']['similarity']) == ([], 'cosine')

    network, summary = found['network'], read_json(finished / 'summary.json')['trials'][0]
    assert network['accuracy'] == pytest.approx(summary['test_accuracy'], abs=1e-5)
    assert network['nll'] == pytest.approx(summary['test_nll'], abs=1e-4)
    assert network['ece'] == pytest.approx(summary['test_ece'], abs=1e-4)
    confusion = np.array(network['confusion'])
    assert network['class_names'] == list('0123456789')
    assert confusion.dtype == int and confusion.sum() == 256 == sum(one['count'] for one in network['reliability'])
    trained = load(finished)
    predicted = predict(trained, jax.jit(of_pixels(trained)), trained.dataset.test_images).argmax(-1)
    for label, row in enumerate(confusion):
        of_class = predicted[trained.dataset.test_labels == label]
        assert [*row] == [(of_class == other).sum() for other in range(10)]
    bins = [one for one in network['reliability'] if one['count']]
    gaps = [one['count'] / 256 * abs(one['accuracy'] - one['confidence']) for one in bins]
    assert sum(gaps) == pytest.approx(network['ece'], abs=1e-4)
    first, labels = trained.inputs(trained.dataset.test_images[:40]), trained.dataset.test_labels[:40]
    right = trained.model.apply(trained.variables, first, train=False)[0].argmax(-1) == labels
    assert network['robustness_accuracy'] == 100 * right.mean() != network['accuracy']
    attacks = {(one['attack'], one['epsilon']): one['accuracy'] for one in network['adversarial']}
    assert {*attacks} == {('fgsm', 1), ('fgsm', 60), ('pgd', 1), ('pgd', 60)}
    assert attacks['pgd', 60] <= attacks['fgsm', 60] < attacks['fgsm', 1]
    assert {*network['corruptions']} == {*KINDS} and {len(one) for one in network['corruptions'].values()} == {5}

    assert [*found['explainers']] == ['grad_input'] == [*found['curves']]
    assert {*found['explainers']['grad_input']} == {*MEASURES} - {'completeness'}
    assert all({'value', 'low', 'high'} == {*one} for one in found['explainers']['grad_input'].values())
    curve = found['curves']['grad_input']
    assert curve['fractions'] == [i / 16 for i in range(17)] and curve['deletion'][0] == curve['insertion'][-1]
    assert [*found['not_applicable']] == ['grad_cam']

    assert {path.name for path in folder.iterdir()} == {'evaluation.json', 'reliability.png', 'confusion.png',
                                                        'faithfulness.png'}
    assert all(imread(path).ndim == 3 for path in folder.glob('*.png'))
    assert '| grad_input |' in said.out and 'grad_cam does not apply' in said.out
    assert '100 %  grad_input' in said.err


def test_options_of_the_runs_own_explainer(finished):
    """Those are named that differ from what it would have by default."""
    trained = load(finished)
    model, method = SimpleNamespace(cam_tap='group3'), trained.config.method
    for explainer, tap, relu, changed in [('grad', 'group1', False, []), ('grad_cam', 'group3', True, []),
                                          ('layer_cam', 'group1', True, ['tap']),
                                          ('grad_cam', 'group2', False, ['tap', 'relu'])]:
        method.explainer, method.tap, method.relu = explainer, tap, relu
        assert evaluate.changed_options(trained._replace(model=model)) == changed


def test_only_some_measures(finished, tmp_path, monkeypatch, capsys):
    """Elsewhere; without curves there is no picture of them any more, and other files are not said to be written."""
    (tmp_path / 'there').mkdir()
    for name in 'faithfulness.png', 'notes.txt':
        (tmp_path / 'there' / name).write_text('of before')
    said = run(monkeypatch, capsys, f'--workdir={finished}', f'--out={tmp_path}/there', '--only=sparseness',
               '--images=20', '--explainers=grad')
    found = json.loads((tmp_path / 'there' / 'evaluation.json').read_text())
    assert found['explainers'] == {'grad': {'sparseness': found['explainers']['grad']['sparseness']}}
    assert (found['network']['adversarial'], found['network']['corruptions'], found['curves']) == ([], {}, {})
    assert not (tmp_path / 'there' / 'faithfulness.png').exists() and (tmp_path / 'there' / 'notes.txt').exists()
    assert said.out.endswith('there/: confusion.png, evaluation.json, reliability.png\n')
    assert '100 %  grad' in said.err


def test_beside_what_another_network_confuses(finished, tmp_path, monkeypatch, capsys):
    """Its likeness is another number, and the file and the terminal say whose confusions those were."""
    other = finished_run(tmp_path / 'other', **{'model.name': 'mlp', 'seed': 5, 'method.name': 'ce'})
    arguments = (f'--workdir={finished}', f'--out={tmp_path}/out', '--only=likeness', '--explainers=grad',
                 '--images=200')
    found = []
    for more in [], [f'--confused={other}']:
        said = run(monkeypatch, capsys, *arguments, *more).out
        found.append(json.loads((tmp_path / 'out' / 'evaluation.json').read_text()))
        assert ('Likeness compares maps with what mlp after ce on digits, seed 5, confuses.' in said) == bool(more)
    assert [one['run']['confused'] for one in found] == [None, 'mlp after ce on digits, seed 5']
    own, others = (one['explainers']['grad']['likeness'] for one in found)
    assert own['value'] != others['value'] and own == rounded(likeness(load(finished), 'grad', 200))
    assert others == rounded(likeness(load(finished), 'grad', 200, load(other)))
    with pytest.raises(InputError, match='no trial of seed 3, only of 5'):  # nor is another of its seeds taken
        run(monkeypatch, capsys, *arguments, '--seed=3', f'--confused={other}')
    with pytest.raises(InputError, match='--confused is for likeness alone; add likeness to --only'):
        run(monkeypatch, capsys, f'--workdir={finished}', '--only=deletion', f'--confused={other}')
    fewer = finished_run(tmp_path / 'fewer', **{'model.name': 'mlp', 'seed': 3, 'data.limit': 128})
    monkeypatch.setattr(evaluate, 'evaluate', None)  # said before anything is measured
    with pytest.raises(InputError, match='likeness: the two networks were not tested on the same images'):
        run(monkeypatch, capsys, *arguments, f'--confused={fewer}')


@pytest.mark.parametrize('asked', ['mine', 'mine,grad', 'all'])
def test_an_explainer_of_ones_own_comes_with_its_file(finished, tmp_path, monkeypatch, capsys, asked):
    """Which is run before it is looked up; without the file it is a name that means nothing."""
    (tmp_path / 'mine.py').write_text(
        'import jax.numpy as jnp\nfrom ikd.explainers import EXPLAINERS\n'
        "EXPLAINERS['mine'] = lambda model, variables, images, class_chunk=None: jnp.ones((len(images), 10, 2, 2))\n")
    monkeypatch.setitem(EXPLAINERS, 'mine', None)  # and so taken away afterwards
    for name in {*EXPLAINERS} - {'grad'}:
        monkeypatch.delitem(EXPLAINERS, name)
    arguments = (f'--workdir={finished}', f'--explainers={asked}', '--only=sparseness', '--images=5',
                 f'--out={tmp_path}/out')
    if asked != 'all':
        with pytest.raises(InputError, match="--explainers: no 'mine'; choose from grad"):
            run(monkeypatch, capsys, *arguments)
    run(monkeypatch, capsys, *arguments, f'--config={tmp_path}/mine.py')
    found = json.loads((tmp_path / 'out' / 'evaluation.json').read_text())['explainers']
    assert {*found} == {'mine'} | ({'grad'} if asked != 'mine' else set())
    assert found['mine']['sparseness'] == {'value': 0, 'low': 0, 'high': 0}  # alike everywhere


def test_of_a_seed_that_is_named(finished, monkeypatch, capsys):
    """Its folder is its own, that of the report is left; of many classes the file has one line; Ctrl-C, too."""
    monkeypatch.setattr(evaluate, 'MOST_NAMED', 9)
    before = {path: path.read_bytes() for path in (finished / 'evaluation').glob('*.*')}
    said = run(monkeypatch, capsys, f'--workdir={finished}', '--seed=4', '--only=sparseness', '--images=5',
               '--explainers=grad')
    text = (finished / 'evaluation' / 'seed4' / 'evaluation.json').read_text()
    assert text.count('\n') == 1 and json.loads(text)['run']['seed'] == 4
    assert said.out.startswith('mlp after ce on digits, seed 4: accuracy')
    assert {path: path.read_bytes() for path in (finished / 'evaluation').glob('*.*')} == before

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, 'save_figure', interrupted)
    monkeypatch.setattr('sys.argv', ['evaluate', f'--workdir={finished}', '--seed=4', '--only=adversarial',
                                     '--epsilons=1', '--test-images=5'])
    with pytest.raises(SystemExit) as ended:
        evaluate.cli()
    assert ended.value.code == 130 and capsys.readouterr().err.endswith('ikd: stopped\n')


def test_corrupted_accuracy_is_that_of_corrupted_images(finished):
    trained = load(finished)
    apply = jax.jit(of_pixels(trained))
    images, labels = trained.dataset.test_images[:100], trained.dataset.test_labels[:100]
    values = corrupted(trained, apply, 100)['contrast']
    assert len(values) == 5 and values[4] < values[0]
    mean = images.mean((1, 2), keepdims=True)
    faint = np.round(mean + 0.15 * (images - mean)).astype(np.uint8)
    assert values[4] == metrics.evaluate(predict(trained, apply, faint), labels)['test_accuracy']


def test_by_default_the_papers_explainers_and_the_runs_own(finished, tmp_path, monkeypatch, capsys):
    """Of more images than the test set has, as many as it has; of an MLP, all but Grad-CAM."""
    own = tmp_path / 'run'
    shutil.copytree(finished, own)
    config = read_json(own / 'config.json')
    config['method']['explainer'] = 'lrp_epsilon'
    write_json(own / 'config.json', config)
    run(monkeypatch, capsys, f'--workdir={own}', '--only=sparseness', '--images=999', '--test-images=998')
    found = json.loads((own / 'evaluation' / 'evaluation.json').read_text())
    assert {*found['explainers']} == {'grad_input', 'guided_backprop', 'grad', 'lrp_epsilon'}
    assert [*found['not_applicable']] == ['grad_cam']
    assert (found['run']['images'], found['run']['robustness_images']) == (256, 256)


def test_attacks_go_as_far_as_there_are_pixels():
    parse = lambda word: evaluate.parse(['--workdir=run', f'--epsilons={word}']).epsilons
    assert parse('255,0.5') == [255, 0.5]
    for word in '0', '8,0', '255.5':
        with pytest.raises(InputError, match='give numbers above 0, up to 255'):
            parse(word)


def test_completeness_is_of_integrated_gradients(finished, tmp_path, monkeypatch, capsys):
    """Asked for by itself it brings the explainer that it is of; of others there is nothing to measure."""
    arguments = f'--workdir={finished}', '--only=completeness', '--images=5', f'--out={tmp_path}'
    run(monkeypatch, capsys, *arguments)
    found = json.loads((tmp_path / 'evaluation.json').read_text())['explainers']
    assert {*found} == {'integrated_gradients'} and 0 <= found['integrated_gradients']['completeness']['value'] < 1
    with pytest.raises(InputError, match='completeness is measured of integrated_gradients alone; add it'):
        run(monkeypatch, capsys, *arguments, '--explainers=grad')


def test_mistakes_are_one_line(finished, tmp_path, monkeypatch, capsys):
    for arguments, message in [(['--only=fast'], "--only: no 'fast'; choose from adversarial"),
                               (['--explainers=gard'], "--explainers: no 'gard'; choose from grad"),
                               (['--images=0'], '--images=0: give at least 1'),
                               (['--epsilons=much'], '--epsilons=much: give numbers'),
                               (['--epsilons=-1'], 'give numbers above 0'),
                               (['--seed=9'], 'no trial of seed 9'),
                               ([f'--data={tmp_path}/nowhere'], 'nowhere does not exist'),
                               (['--config=nowhere.py'], 'there is no file nowhere.py')]:
        with pytest.raises(InputError, match=message):
            run(monkeypatch, capsys, f'--workdir={finished}', *arguments)
    monkeypatch.setattr('sys.argv', ['evaluate', f'--workdir={tmp_path}'])
    with pytest.raises(SystemExit) as ended:
        evaluate.cli()
    assert ended.value.code == 2
    assert 'is not the directory of a finished run' in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        evaluate.main(['--help'])
    assert ended.value.code == 0 and '--only=deletion,insertion' in capsys.readouterr().out
