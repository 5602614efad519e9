"""Finished runs side by side."""
import json

import pytest

from ikd import compare
from ikd.errors import InputError
from ikd.tables.comparison import comparison, labels_of, told_apart
from tests.small_grid import SUMMARY


def summary(method, accuracies, explainer=None, first=0, model='mlp'):
    named = {'method': method, 'explainer': explainer, 'vam': False, 'model': model, 'data_checksum': None}
    return {**SUMMARY, **named, 'trials': [
        {'seed': first + i, 'test_accuracy': value, 'test_nll': 0.5, 'test_ece': 0.1, 'train_seconds': 10.0 + i}
        for i, value in enumerate(accuracies)]}


def test_cells():
    """Differences over common seeds only: 1 and 2 here, 92 - 91 and 93 - 91."""
    runs = summary('ce', [90, 91, 91]), summary('le', [92, 93], 'grad', first=1)
    table = comparison(runs, ['`ce`', '`le`, grad'], [{}] * 2)
    head, _, ce, le = table.splitlines()
    assert 'minus `ce`' in head
    assert ce == '| `ce` | 90.67 +- 0.58 |  | 0.500 +- 0.000 | 0.100 +- 0.000 | 11 | 3 |'
    assert le.startswith('| `le`, grad | 92.50 +- 0.71 | +1.50 +- 6.35 | 0.500')  # 12.706 x 0.7071 / sqrt 2
    one = comparison([summary('ce', [90]), runs[1], summary('le', [93, 91])], ['`ce`', 'a', 'b'], [{}] * 3)
    assert [line.split(' | ')[2] for line in one.splitlines()[2:]] == ['', '', '+3.00 (one seed)']


def test_runs_that_differ_in_more_than_the_method():
    """Another network is named; accuracies on other images, or learnt from other images, are not subtracted."""
    runs = summary('ce', [90, 91]), summary('ce', [92, 93], model='cnn2'), summary('ce', [70, 72])
    names = labels_of(runs, ['runs/a/', 'b', 'runs/c'], [{}] * 3)
    assert names == ['`ce`, mlp (runs/a)', '`ce`, cnn2', '`ce`, mlp (runs/c)']
    assert labels_of(runs[::2], ['a', 'c'], [{}] * 2) == ['`ce` (a)', '`ce` (c)']
    assert labels_of(runs[:1], ['a'], [{}]) == ['`ce`']
    assert labels_of([{**summary('le', [90], 'grad'), 'vam': True}], ['a'], [{}]) == ['`le`, grad, vam']
    others = {'name': 'cifar10', 'fingerprint': 'f00', 'holdout': 9, 'limit': 9, 'train_images': 9, 'train_skip': 9}
    for field, value in others.items():
        other = {'data.name': 'mnist', f'data.{field}': value}
        settings = [{'data.name': 'mnist'}, {'data.name': 'mnist', 'data.dir': 'there'}, other]
        cells = [line.split(' | ')[2] for line in comparison(runs, names, settings).splitlines()[2:]]
        assert cells == ['', '+2.00 (alike on 2 seeds)', 'other data']


def test_accuracies_on_images_of_another_checksum_are_not_subtracted():
    """Unless they were resized to another size, or a run is from before there were checksums."""
    runs = [{**summary('ce', [90]), 'data_checksum': 'a'}, {**summary('le', [91]), 'data_checksum': 'b'},
            {**summary('le', [92]), 'data_checksum': 'b'}, summary('le', [93])]
    settings = [{'data.size': 8}, {'data.size': 8}, {'data.size': 16}, {'data.size': 8}]
    cells = [line.split(' | ')[2] for line in comparison(runs, [*'abcd'], settings).splitlines()[2:]]
    assert cells == ['', 'other data', '+2.00 (one seed)', '+3.00 (one seed)']


def test_a_sweep_is_told_apart_by_what_was_swept():
    """By directories only where that is nothing, or much; what differs from runs of another name does not count."""
    def named(*settings):
        return told_apart(['le', *['kd'] * len(settings)], ['z', *'abcd'], [{'lam': 9}, *settings])[1:]

    assert named({'lam': 0.1, 'epochs': 5}, {'lam': 1.0, 'epochs': 5}) == ['kd (lam=0.1)', 'kd (lam=1.0)']
    assert named({'lam': 0.1}, {'lam': 0.1}, {'lam': 1.0}) == ['kd (a)', 'kd (b)', 'kd (c)']
    assert named(dict.fromkeys('xyz', 1), dict.fromkeys('xyz', 2)) == ['kd (x=1, y=1, z=1)', 'kd (x=2, y=2, z=2)']
    assert named(dict.fromkeys('wxyz', 1), dict.fromkeys('wxyz', 2)) == ['kd (a)', 'kd (b)']
    assert named({'lam': 0.1}) == ['kd']


def test_the_command(tmp_path, capsys):
    for name in ('ce', 'le'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'config.json').write_text(json.dumps({'data': {'name': 'mnist'}}))
        (tmp_path / name / 'summary.json').write_text(json.dumps(summary(name, [90, 91])))
    ce, le = str(tmp_path / 'ce'), str(tmp_path / 'le')
    compare.main([ce, le])
    table, legend = capsys.readouterr().out.split('\n\n')
    assert len(table.splitlines()) == 4 and legend == f'{compare.LEGEND}\n'
    compare.main([ce, *map(str, sorted(tmp_path.iterdir())), f'{le}/'])  # as ce and a star name it
    assert capsys.readouterr().out.partition('\n\n')[0] == table
    (tmp_path / 'le' / 'summary.json').write_text(json.dumps(summary('le', [90])))
    compare.main([le])  # one seed, and nothing that a legend could be about
    assert capsys.readouterr().out.count('\n') == 3
    (tmp_path / 'le' / 'summary.json').write_text(json.dumps(summary('le', [90, 91])))
    (tmp_path / 'le' / 'config.json').write_text(json.dumps({'data': {'name': 'mnist', 'train_skip': 7}}))
    compare.main([ce, le])
    assert '| other data |' in capsys.readouterr().out
    (tmp_path / 'le' / 'config.json').write_text(json.dumps({'data': {'name': 'mnist'}}))
    (tmp_path / 'store').mkdir()
    compare.main([ce, *map(str, sorted(tmp_path.iterdir()))])
    told = capsys.readouterr()
    assert told.out.partition('\n\n')[0] == table
    assert told.err == f'ikd: {tmp_path}/store has no summary.json and is left out\n'
    (tmp_path / 'empty').mkdir()
    for names, said in ((['missing'],) * 2, (['store'],) * 2, (['ce', 'missing'], ['missing']),
                        (['store', 'missing'], ['store']), (['store', 'empty'], ['store'])):
        with pytest.raises(InputError, match=f'{said[0]} has no summary.json; give the directory'):
            compare.main([str(tmp_path / name) for name in names])
    for name, epochs in ('ce', 2), ('le', 3):
        fields = {'data': {'name': 'mnist'}, 'epochs': epochs, 'batch_size': 8, 'method': {'name': name}}
        (tmp_path / name / 'config.json').write_text(json.dumps(fields))
    compare.main([ce, le])
    assert capsys.readouterr().out.endswith('\nNot all runs have the same epochs.\n')
    with pytest.raises(InputError, match='give the directories'):
        compare.main([])
    (tmp_path / 'empty' / 'config.json').write_text(json.dumps({'trials': 3, 'method': {'name': 'kd'}}))
    with pytest.raises(InputError, match='empty, with which the others are compared, has finished no trial yet'):
        compare.main([str(tmp_path / 'empty'), ce, le])
    for name in 'ce', 'le':
        fields = {'data': {'name': 'mnist'}, 'trials': 3 if name == 'le' else 2}
        (tmp_path / name / 'config.json').write_text(json.dumps(fields))
    compare.main([ce, str(tmp_path / 'empty'), le])
    assert capsys.readouterr().out.endswith(f'\n{le} has finished 2 of 3 trials.\n')


def test_how_else_networks_were_trained_is_said(tmp_path, capsys):
    """What may make up the difference: not the method's own fields, nor where the data was."""
    first = {'epochs': 2, 'batch_size': 8, 'precision': 'tf32', 'data': {
        'name': 'mnist', 'dir': 'a', 'size': 8, 'augment': 'none'}, 'optimizer': {'learning_rate': 1.0, 'decay': 0}}
    second = {'epochs': 3, 'batch_size': 9, 'precision': 'float32', 'data': {
        'name': 'mnist', 'dir': 'b', 'size': 9, 'augment': 'crop'}, 'optimizer': {'learning_rate': 2.0, 'decay': 0}}
    for name, fields in ('ce', first), ('le', {**second, 'method': {'lam': 1}}):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'config.json').write_text(json.dumps({'method': {'lam': 0}, **fields}))
        (tmp_path / name / 'summary.json').write_text(json.dumps(summary(name, [90, 91])))
    compare.main([f'{tmp_path}/ce', f'{tmp_path}/le'])
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith('Not all runs')]
    named = said.removeprefix('Not all runs have the same ').removesuffix('.').split(', ')
    assert sorted(named) == ['batch_size', 'data.augment', 'data.size', 'epochs', 'optimizer.learning_rate',
                             'precision']
