"""The figures' files, from made-up cells."""
import json

import numpy as np
import pytest
from matplotlib.image import imread

from configs.figures import figure1, figure2, figure3
from configs.tables import table2, table3, table6
from ikd.evaluation.class_cosines import EXPECTED
from ikd.explainers.catalogue import NAMES
from ikd.grid import cell_name
from ikd.tables import paper_figures
from ikd.validation import resolve
from tests.tables.cell_file import RECORD


def test_the_networks_of_the_tables_are_not_trained_again():
    """All but LE with the two explainers that no table has."""
    tables = {cell_name(cell.config) for table in (table2, table3, table6) for cell in table.grid().cells}
    others = {cell.row for figure in (figure1, figure2, figure3) for cell in figure.grid().cells
              if cell_name(cell.config) not in tables}
    assert others == {'LE(Grad*Input)', 'LE(GuidedBP)'}
    of_resnet8 = {cell_name(cell.config) for cell in table2.grid('model=resnet8').cells}
    for figure in figure1, figure2:
        assert [(cell.row, cell_name(cell.config) in of_resnet8) for cell in figure.grid('model=resnet8').cells] == [
            ('CIFAR-10', True)]


def cosines(class_names, pairs, first):
    """Matrices whose most alike pairs are `pairs`, at first, first - 0.1, ..., all others 0."""
    matrix = np.eye(10)
    for i, pair in enumerate(pairs):
        a, b = (class_names.index(name) for name in pair)
        matrix[a, b] = matrix[b, a] = first - 0.1 * i
    return {'by_true_class': matrix.tolist(), 'all_images': (-matrix).tolist(), 'zero_maps': 0.25}


def test_figure2_ranks_the_expected_pairs_of_the_mean_matrix(tmp_path):
    """Two trials of MNIST, at 0.9 and 0.7; what CIFAR-10's trial lacks is not shown, nor are its hour and seed."""
    grid = figure2.grid()
    mnist, cifar = (cell_name(cell.config) for cell in grid.cells)
    names, pairs = list('0123456789'), EXPECTED['mnist']
    found = {mnist: {seed: {**RECORD, 'measured': {
        'class_names': names, 'class_cosines': {'grad': cosines(names, pairs, first)}}}
        for seed, first in enumerate((0.9, 0.7))}, cifar: {5: {**RECORD, 'seed': 5}}}
    text = grid.report(grid, found, tmp_path)
    assert text == (tmp_path / 'figure2.md').read_text() and 'Not run yet: CIFAR-10.' in text
    assert '- Seeds: 0\n' in text and '; 1.0 hours of training' in text
    assert '| MNIST | Grad | by true class | 4/9 1 (0.80), 3/5 2 (0.70), 1/7 3 (0.60), 0/6 4 (0.50) |' in text
    assert '| all images | 4/9 45 (-0.80), 3/5 44 (-0.70), 1/7 43 (-0.60), 0/6 42 (-0.50) |' in text
    numbers = json.loads((tmp_path / 'figure2.json').read_text())['MNIST']['grad']['by_true_class']
    assert numbers['most_alike'][:4] == ['4/9', '3/5', '1/7', '0/6'] and numbers['matrix'][4][9] == 0.8
    assert imread(tmp_path / 'figure2-mnist.png').shape[1] > 1000
    assert not (tmp_path / 'figure2-cifar10.png').exists()


def test_figure2_has_the_mean_share_of_zero_maps(tmp_path):
    grid = figure2.grid()
    mnist, cifar = (cell_name(cell.config) for cell in grid.cells)
    names = list('0123456789')
    found = {mnist: {seed: {**RECORD, 'measured': {'class_names': names, 'class_cosines': {
        'grad': {**cosines(names, EXPECTED['mnist'], 0.9), 'zero_maps': share}}}}
        for seed, share in enumerate((0.25, 0.75))}, cifar: {}}
    grid.report(grid, found, tmp_path)
    numbers = json.loads((tmp_path / 'figure2.json').read_text())['MNIST']['grad']
    assert {kind: of['zero_maps'] for kind, of in numbers.items()} == {'by_true_class': 0.5, 'all_images': 0.5}


def scores(apart):
    one = {'score': apart, 'low': apart - 0.01, 'high': apart + 0.02, 'rho': 0.1, 'images': 100, 'undefined': 3}
    return {reading: dict.fromkeys(('all', 'correct', 'runner_up'), one)
            for reading in ('absolute', 'signed', 'as_is', 'upsampled')}


@pytest.fixture
def complete():
    """Every cell of Figure 3 with two trials: accuracies rise in the paper's order, D falls with ResNet8."""
    found = {}
    for cell in figure3.grid().cells:
        place = [*NAMES].index(resolve(cell.config).method.explainer) if cell.row != 'CE' else -1
        sign = -1 if cell.column == 'ResNet8' else 1
        apart = {name: scores(0.5 + sign * 0.1 * i) for i, name in enumerate(NAMES)}
        found[cell_name(cell.config)] = {
            seed: {**RECORD, 'test_accuracy': 90 + place + 0.1 * seed, **({} if place >= 0 else {
                'measured': {'discriminativeness': apart}})} for seed in (0, 1)}
    return found


def test_figure3_says_how_far_the_orders_agree(complete, tmp_path):
    grid = figure3.grid()
    text = grid.report(grid, complete, tmp_path)
    assert text == (tmp_path / 'figure3.md').read_text() and imread(tmp_path / 'figure3.png').shape[1] > 1000
    assert '| ResNet14 | LE(Grad-CAM) | 91.21 +- 0.07 | 93.05 +- 0.07 | 2 | 0.80 [0.79, 0.82] | 0.80' in text
    assert '| ResNet8 | LE(GuidedBP) |  | 91.05 +- 0.07 | 2 | 0.40 [0.39, 0.42] |' in text
    assert "| ResNet14 | the paper's order and accuracy | 1.00 | 1.00 | 0.08 |" in text
    assert '| ResNet14 | accuracy and D (absolute; Grad-CAM as it is) | 1.00 | 1.00 | 0.08 |' in text
    assert '| ResNet8 | accuracy and D (signed; Grad-CAM upsampled) | -1.00 | -1.00 | 0.08 |' in text
    assert '| ResNet8 | LE(GuidedBP) | +2.00 (alike on 2 seeds) | +1.00 (alike on 2 seeds) |  |  |' in text
    assert ("| ResNet14 | Grad-CAM | as is | every other | 0.80 [0.79, 0.82] | 0.10 | 100 | 3 |\n" in text
            and "| ResNet8 | Grad | signed | the runner-up | 0.30 [0.29, 0.32] | 0.10 | 100 | 3 |\n" in text)
    numbers = json.loads((tmp_path / 'figure3.json').read_text())
    assert numbers['ResNet14']['accuracies']['grad'] == [92, 92.1] and numbers['ResNet8']['ce'] == [89, 89.1]


def test_figure3_reads_maps_in_both_ways(complete, tmp_path):
    """Those of the pixels without and with their signs, Grad-CAM's as they are and enlarged."""
    apart = {'absolute': 0.1, 'signed': 0.2, 'as_is': 0.3, 'upsampled': 0.4}
    for trials in complete.values():
        for record in trials.values():
            for of in record.get('measured', {}).get('discriminativeness', {}).values():
                for reading, score in apart.items():
                    of[reading] = scores(score)[reading]
    grid = figure3.grid()
    grid.report(grid, complete, tmp_path)
    numbers = json.loads((tmp_path / 'figure3.json').read_text())['ResNet14']['scores']
    found = {reading: [of[name]['all']['score'] for name in ('grad', 'grad_cam')] for reading, of in numbers.items()}
    assert found == {'absolute; Grad-CAM as it is': [0.1, 0.3], 'signed; Grad-CAM upsampled': [0.2, 0.4]}


def test_figure3_has_the_means_of_what_was_measured(complete, tmp_path):
    """Of two trials, at 0.2 and 0.6, with their intervals and counts."""
    for trials in complete.values():
        for seed, record in trials.items():
            if 'measured' in record:
                record['measured'] = {'discriminativeness': dict.fromkeys(NAMES, scores((0.2, 0.6)[seed]))}
    grid = figure3.grid()
    grid.report(grid, complete, tmp_path)
    numbers = json.loads((tmp_path / 'figure3.json').read_text())['ResNet14']['scores']
    for of in numbers.values():
        assert (of['grad']['all']['score'], of['grad']['all']['low']) == (0.4, 0.39)


def test_figure3_takes_the_means_of_trials_that_have_a_score(complete, tmp_path):
    """One has no defined correlation, another was not measured with this explainer."""
    (of_ce,) = [complete[cell_name(cell.config)] for cell in figure3.grid('model=resnet8').cells if cell.row == 'CE']
    measured = of_ce[0]['measured']['discriminativeness']
    undefined = {reading: {against: dict.fromkeys(one) for against, one in of.items()}
                 for reading, of in measured['grad'].items()}
    of_ce[0]['measured'] = {'discriminativeness': {**measured, 'grad': undefined}}
    of_ce[1]['measured'] = {'discriminativeness': {name: of for name, of in measured.items() if name != 'grad_input'}}
    grid = figure3.grid('model=resnet8')
    text = grid.report(grid, complete, tmp_path)
    for row, score in (('LE(Grad) | 88.27 +- 0.05 | 92', '0.30 [0.29, 0.32]'),
                       ('LE(Grad*Input) |  | 90', '0.50 [0.49, 0.52]')):
        assert f'| ResNet8 | {row}.05 +- 0.07 | 2 | {score} | {score} |' in text


def test_figure3_draws_scores_against_every_other_class():
    """Not against the runner-up, nor of the images that are classified correctly alone."""
    of = {against: {'score': apart, 'low': apart - 0.1, 'high': apart + 0.2}
          for against, apart in (('all', 0.5), ('correct', 0.25), ('runner_up', 0.75))}
    shown = paper_figures.panel('ResNet8', {
        'accuracies': {'grad': [90.0, 91.0]}, 'ce': [88.0, 89.0],
        'scores': {'signed': {'grad': of, 'grad_cam': {**of, 'all': None}}, 'absolute': {'grad': {'all': None}}}})
    points = {'signed': {'Grad': (0.5, 0.4, 0.7)}}
    assert shown == ('ResNet8', {'Grad': [90.0, 91.0]}, ('cross-entropy', 88.5), points)


def test_figure3_of_little(complete, tmp_path):
    """A cell without trials and a network that nothing was measured of: their orders are left out."""
    grid = figure3.grid('model=resnet8')
    found = {cell_name(cell.config): complete[cell_name(cell.config)] for cell in grid.cells}
    for cell in grid.cells:
        if cell.row == 'CE':
            found[cell_name(cell.config)] = {0: RECORD}
        if cell.row == 'LE(Grad)':
            found[cell_name(cell.config)] = {}
    text = grid.report(grid, found, tmp_path)
    assert '| ResNet8 | LE(Grad) | 88.27 +- 0.05 | not run | 0 |  |  |' in text
    assert 'and accuracy' not in text and 'ResNet14' not in text.partition('## Notes')[0]
    assert (tmp_path / 'figure3-resnet8.png').exists()
    nothing = {name: {} for name in found}
    (tmp_path / 'new').mkdir()
    assert grid.report(grid, nothing, tmp_path / 'new').count('not run') == 5


def test_figure3_of_single_images(complete, tmp_path):
    """Scores of one image in one of two trials: their mean is shown without an interval."""
    alone = {'low': None, 'high': None, 'images': 1}
    for trials in complete.values():
        for of in trials[0].get('measured', {}).get('discriminativeness', {}).values():
            of.update({reading: {against: {**one, **alone} for against, one in parts.items()}
                       for reading, parts in of.items()})
    grid = figure3.grid()
    text = grid.report(grid, complete, tmp_path)
    assert '| ResNet14 | LE(Grad-CAM) | 91.21 +- 0.07 | 93.05 +- 0.07 | 2 | 0.80 | 0.80 |' in text
    numbers = json.loads((tmp_path / 'figure3.json').read_text())['ResNet14']['scores']
    assert all(of['grad']['all']['low'] is None for of in numbers.values())


def test_figure1_names_the_pictures_that_there_are(tmp_path):
    grid = figure1.grid()
    (tmp_path / 'figure1-mnist.png').touch()
    text = grid.report(grid, {cell_name(cell.config): {} for cell in grid.cells}, tmp_path)
    assert '- MNIST, mlp after le (Grad) on mnist: [figure1-mnist.png](figure1-mnist.png)' in text
    assert '- CIFAR-10, resnet14 after le (Grad-CAM) on cifar10: not drawn yet' in text


def test_figure1_is_of_the_first_seed_alone(tmp_path):
    """So its sources are that seed's, and none of what is not drawn."""
    grid = figure1.grid()
    (tmp_path / 'figure1-mnist.png').touch()
    found = {cell_name(cell.config): {seed: {**RECORD, 'seed': seed} for seed in (0, 1)} for cell in grid.cells}
    assert '- Seeds: 0\n' in grid.report(grid, found, tmp_path)
