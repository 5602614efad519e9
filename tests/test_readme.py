"""What the README tells a user to type works as it stands there."""
import pathlib
import re

import flax.linen as nn
import jax
import numpy as np
import pytest
import scipy

import ikd
from ikd import data, experiment, models
from ikd.errors import InputError, RunError
from ikd.explainers import CAMS, EXPLAINERS, ONE_PASS
from ikd.journal import read_records
from ikd.modules import module_of
from ikd.objectives import Batch
from ikd.recipes import RECIPES

README = pathlib.Path('README.md')


def block_after(heading, number=0):
    """A Python block under a heading, the first or another."""
    text = README.read_text().partition(f'\n## {heading}\n')[2].partition('\n## ')[0]
    return re.findall(r'```python\n(.*?)```', text, re.DOTALL)[number]


def test_add_your_own_method(tmp_path, request):
    """The very file: gamma 0 is cross-entropy, bit for bit; and a run does not go on with another loss."""
    request.addfinalizer(lambda: RECIPES.pop('focal', None))
    path, text = tmp_path / 'focal.py', block_after('Add your own method')
    path.write_text(text)
    small = {'data.limit': 256, 'model.name': 'cnn2', 'epochs': 2, 'data.size': 8}

    def trained(module, name, **fields):
        config = module.get_config()
        config.update_from_flattened_dict({**small, **fields})
        experiment.run(config, tmp_path / name)
        return [record['train_cross_entropy'] for record in read_records(tmp_path / name)]

    path.write_text(text.replace('** gamma, parts', '** gamma, None'))
    with pytest.raises(InputError, match="the objective of stage 'focal' must return"):
        trained(module_of(str(path)), 'two')
    assert not (tmp_path / 'two').exists()  # and so, mended, it goes on
    path.write_text(text)
    focal = module_of(str(path))
    plain = trained(focal, 'plain', **{'method.name': 'ce'})
    assert trained(focal, 'zero', **{'own.gamma': 0.0}) == plain
    assert trained(focal, 'two') != plain == trained(focal, 'zero', **{'own.gamma': 0.0})
    path.write_text(text.replace('** gamma', '** (gamma / 2)'))
    with pytest.raises(RunError, match='your own code .* is not what .*two was begun with; choose another --workdir'):
        trained(module_of(str(path)), 'two')
    (tmp_path / 'two' / 'own_code.json').unlink()
    trained(module_of(str(path)), 'two')


def test_a_method_with_a_memory(tmp_path, monkeypatch, request):
    """The very text: under 30 lines, it trains, and only the means of the classes in a batch move."""
    code = block_after('A method with a memory')
    assert len(code.splitlines()) < 30
    monkeypatch.chdir(tmp_path)
    before = dict(RECIPES)
    request.addfinalizer(lambda: [RECIPES.pop(name) for name in set(RECIPES) - set(before)])
    names = {}
    exec(code, names)
    (name,) = set(RECIPES) - set(before)
    warmup, own = read_records('runs/averaged')
    assert names['summary']['method'] == own['stage'] == name and own['train_accuracy'] > warmup['train_accuracy']
    begun, maps = names['start'](10), jax.random.normal(jax.random.key(0), (2, 10, 4, 4))
    logits, extra = jax.numpy.zeros((2, 10)), {'means': begun}
    batch = Batch(np.array([3, 3]), logits, {}, lambda name: maps, None, None, extra=extra)
    means = np.asarray(names['averaged'](batch)[2]['means'])
    assert {*np.flatnonzero((means != begun).any(1))} == {3}
    np.testing.assert_allclose(means.sum(1), 1, rtol=1e-5)


def test_a_method_that_learns_through_its_maps(tmp_path, monkeypatch, request):
    """The very text: it trains, and its loss is what its docstring says."""
    code = block_after('A method that learns through its maps')
    monkeypatch.chdir(tmp_path)
    request.addfinalizer(lambda: RECIPES.pop('smooth', None))
    exec(code, {})
    first, last = read_records('runs/smooth')
    assert last['train_accuracy'] > first['train_accuracy'] and last['train_size'] > 0
    for record in (first, last):
        np.testing.assert_allclose(record['train_loss'], record['train_cross_entropy'] + 0.01 * record['train_size'],
                                   rtol=1e-5)


def test_explainers_as_a_library():
    """The very text: maps of every class, targets that sum to 1."""
    names = {}
    exec(block_after('Explainers'), names)
    assert names['maps'].shape[:2] == names['q'].shape == (5, 10) and np.asarray(names['maps']).any()
    np.testing.assert_allclose(names['q'].sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(names['q'][np.arange(5), names['labels']], 0.9, rtol=1e-6)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(names['slopes']))
    assert np.asarray(names['slopes']['stem_conv']['kernel']).any()


def test_your_own_network(tmp_path, monkeypatch):
    """The very text: it trains by its own explanations, and every explainer goes with it."""
    code = block_after('Your own network')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(models.MODELS, 'mine', None)  # and so taken away afterwards
    names = {'__name__': 'readme'}
    exec(code, names)
    assert names['names'] == tuple(EXPLAINERS) and not names['reasons']
    assert names['maps'].shape == (5, 10, 4, 4) and np.asarray(names['maps']).any()
    assert [record['stage'] for record in read_records('runs/mine')] == ['warmup', 'introspective', 'introspective']
    assert names['summary']['explainer'] == 'grad_cam' and names['summary']['test_accuracy_mean'] > 80


class Old(nn.Module):
    """A network that knows nothing of ikd: no `train`, no taps."""
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(4, (3, 3), name='first')(x))
        return nn.Dense(3, name='last')(x.mean((1, 2)))


class Flat(nn.Module):
    """A linear network that knows nothing of ikd."""
    @nn.compact
    def __call__(self, x):
        return nn.Dense(10, name='last')(x.reshape(len(x), -1))


def test_a_network_from_elsewhere():
    """The very text: its maps are slopes of its own logits, its variables as they were; what needs a tap says so."""
    network, inputs = Old(), np.random.default_rng(0).normal(size=(2, 6, 6, 1)).astype(np.float32)
    variables = network.init(jax.random.key(0), inputs)
    names = {'nn': nn, 'ikd': ikd, 'network': network, 'variables': variables, 'inputs': inputs}
    exec(block_after('Your own network', 1), names)
    expected = jax.jacrev(lambda x: network.apply(variables, x).sum(0))(inputs)
    np.testing.assert_allclose(names['maps'], np.moveaxis(expected, 0, 1), rtol=1e-5, atol=1e-7)
    _, reasons = ikd.explainers.applicable(names['Adapter'](network), variables, (6, 6, 1))
    assert {*reasons} == {*CAMS, 'guided_backprop'}


def test_a_network_from_elsewhere_is_measured():
    """The very text: a linear network's maps are the same for all images, and unlike those of other classes."""
    dataset, network = data.load('digits'), Flat()
    variables = network.init(jax.random.key(0), np.zeros((1, *dataset.image_shape)))
    names = {'nn': nn, 'ikd': ikd, 'network': network, 'variables': variables, 'inputs': np.zeros((1, 8, 8, 1)),
             'dataset': dataset}
    exec(block_after('Your own network', 1), names)
    exec(block_after('Your own network', 2), names)
    found = names['discriminativeness'](names['mine'], 'grad', 20)['signed']['all']
    rho = np.asarray(scipy.stats.spearmanr(variables['params']['last']['kernel']).statistic)
    assert found['images'] == 20 and found['score'] == pytest.approx(
        np.mean([1 - np.mean(abs(np.delete(rho[y], y))) for y in dataset.test_labels[:20]]), abs=1e-5)


def test_your_own_explainer_and_data(tmp_path, monkeypatch):
    """The very text: the network learns from the explainer, what it says is learnt, and its maps are drawn."""
    code = block_after('Your own explainer, your own data')
    monkeypatch.chdir(tmp_path)
    for names, name in (EXPLAINERS, 'strength'), (ONE_PASS, 'strength'), (data.READERS, 'stripes'):
        monkeypatch.setitem(names, name, None)  # and so taken away afterwards
    names = {'__name__': 'readme'}
    exec(code, names)
    assert names['summary']['test_accuracy_mean'] > 90 and names['summary']['explainer'] == 'strength'
    records = read_records('runs/stripes')
    assert [record['stage'] for record in records] == ['warmup'] + 3 * ['introspective']
    assert np.isfinite(records[-1]['train_distillation']) and (tmp_path / 'runs/stripes/explanations.png').is_file()


@pytest.mark.parametrize('method', RECIPES)
def test_every_method_is_in_the_table(method):
    table = README.read_text().partition('\n## Methods\n')[2].partition('\n## ')[0]
    assert re.search(rf'^\|[^|]*`{method}`', table, re.MULTILINE), f'{method} has no row'


PAGES = [README, *(page for folder in ('results', 'launch') for page in sorted(pathlib.Path(folder).rglob('*.md')))]


def headings(page):
    """What GitHub calls the headings of a page: `How good are they?` is `how-good-are-they`."""
    found = re.findall(r'^#+ (.*)$', page.read_text(), re.MULTILINE)
    return {re.sub(r'[^\w -]', '', heading).lower().replace(' ', '-') for heading in found}


@pytest.mark.parametrize('page', PAGES, ids=str)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
        if not target.startswith('https://'):
            path, _, heading = target.partition('#')
            there = page.parent / path if path else page
            assert there.exists(), f'{page}: {target} is not there'
            assert not heading or heading in headings(there), f'{page}: {target} names no heading'
