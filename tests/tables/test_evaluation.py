"""Pictures and tables of an evaluation can be read and show its numbers."""
import numpy as np
import pytest

from ikd.evaluation.calibration import reliability
from ikd.pictures.matrix import matrix_figure
from ikd.tables.evaluation import confusion_figure, curves_figure, reliability_figure, text
from tests.report.readable import assert_readable, texts_of


@pytest.fixture
def result():
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet(np.full(3, 0.2), 200)
    shares = np.arange(17) / 16
    names = ('grad', 'guided_backprop', 'grad_cam')
    return {
        'run': {'images': 100, 'robustness_images': 500, 'test_images': 1234, 'changed_options': [],
                'confused': None},
        'network': {'accuracy': 91.254, 'nll': 0.3, 'ece': 0.01234, 'robustness_accuracy': 95.0,
                    'confusion': [[50, 0, 1], [0, 1234, 0], [7, 0, 9]],
                    'class_names': ['cat', 'automobile', 'x'],
                    'reliability': reliability(probabilities, probabilities.argmax(1)),
                    'adversarial': [{'attack': attack, 'epsilon': epsilon, 'accuracy': 50 + epsilon, 'images': 500}
                                    for epsilon in (2.0, 8.0) for attack in ('fgsm', 'pgd')],
                    'corruptions': {'fog': [90, 80, 70, 60, 50.5]}},
        'explainers': {name: {'deletion': {'value': 0.25, 'low': 0.2, 'high': 0.3},
                              'sanity': {'value': None, 'low': None, 'high': None}} for name in names},
        'curves': {name: {'deletion': list(1 - shares), 'insertion': list(shares), 'fractions': list(shares)}
                   for name in names},
        'not_applicable': {'lrp': 'it needs ReLUs'}}


def test_reliability(result):
    figure = reliability_figure(result['network'], 'a title')
    assert_readable(figure)
    (upper, lower), bins = figure.axes, [one for one in result['network']['reliability'] if one['count']]
    assert [bar.get_height() for bar in upper.patches] == [one['accuracy'] for one in bins]
    assert sum(bar.get_height() for bar in lower.patches) == 200
    for axes in upper, lower:
        edges = [[bar.get_x(), bar.get_x() + bar.get_width()] for bar in axes.patches]
        np.testing.assert_allclose(edges, [[one['low'], one['high']] for one in bins])
    points = upper.lines[1].get_xydata().tolist()
    assert points == [[one['confidence'], one['accuracy']] for one in bins]


def test_confusion(result):
    figure = confusion_figure(result['network'], 'a title')
    assert_readable(figure)
    written = [found for found, _, _ in texts_of(figure)]
    assert all(f'{count}' in written for count in (50, 1, 1234, 7, 9)) and '0' not in written
    (axes,) = figure.axes
    fields = {text.get_text(): text.get_position() for text in axes.texts}  # across: what it is taken for
    assert fields == {'50': (0, 0), '1': (2, 0), '1234': (1, 1), '7': (0, 2), '9': (2, 2)}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ('predicted', 'true class')
    (image,) = figure.axes[0].images
    np.testing.assert_allclose(image.norm(image.get_array()[2]), np.sqrt([7 / 16, 0, 9 / 16]))
    many = {'confusion': np.eye(100, dtype=int), 'class_names': [f'class {i}' for i in range(100)]}
    axes, bar = confusion_figure(many, 'many').axes
    assert bar.get_ylabel() == 'share of the true class'
    assert len(axes.texts) == 0 and len(axes.get_xticklabels()) == 100 == len(axes.get_yticklabels())
    more = {'confusion': np.eye(101, dtype=int), 'class_names': [f'class {i}' for i in range(101)]}
    axes = confusion_figure(more, 'more').axes[0]
    assert len(axes.get_xticklabels()) == 0 == len(axes.get_yticklabels())


def test_curves(result):
    for found in result['explainers'].values():
        found['insertion'] = {'value': 0.5, 'low': 0.4, 'high': 0.6}
    figure = curves_figure(result, 'a title')
    assert_readable(figure)
    deletion, insertion = figure.axes
    assert 'deleted' in deletion.get_xlabel() and 'inserted' in insertion.get_xlabel()
    np.testing.assert_array_equal(insertion.lines[0].get_ydata(), np.arange(17) / 16)
    assert [one.get_text() for one in deletion.get_legend().get_texts()][1] == 'guided_backprop 0.250'
    for curve in result['curves'].values():
        del curve['insertion']
    assert len(curves_figure(result, 'a title').axes) == 1


def test_tables(result):
    lines = text(result, 'mlp on digits').splitlines()
    assert lines[0] == ('mlp on digits: accuracy 91.25 %, NLL 0.300 nats, ECE 0.0123 (1,234 test images)')
    assert '| PGD | 95.00 | 52.00 | 58.00 |' in lines
    assert '| fog | 95.00 | 90.00 | 80.00 | 70.00 | 60.00 | 50.50 | 70.10 |' in lines
    few = '| accuracy (%) of the first 500 test images'
    assert f'{few}, attacked | none | 2/255 | 8/255 |' in lines
    assert f'{few}, corrupted, severity | none | 1 | 2 | 3 | 4 | 5 | mean |' in lines
    assert '| explainer | deletion | sanity |' in lines and '| grad_cam | 0.250 |  |' in lines
    assert lines[-3] == 'Better: deletion low, sanity near 0. 100 test images; intervals are in evaluation.json.'
    result['run'] |= {'explainer': 'grad_cam', 'changed_options': ['relu'],
                      'explainer_options': {'class_chunk': None, 'tap': 'group3', 'relu': False}}
    assert "evaluation.json. grad_cam has the run's options: relu False.\n" in text(result, 'mlp on digits')
    result['run']['explainer'] = 'layer_cam'  # which was not measured
    assert text(result, 'mlp on digits').splitlines() == lines
    assert lines[-1] == 'lrp does not apply: it needs ReLUs'


def test_a_long_title_of_few_classes(result):
    title = 'resnet110 after le_frozen_turned (grad_cam_plus_plus) on fashion_mnist, seed 0'
    two = {'confusion': [[5, 1], [0, 5]], 'class_names': ['cat', 'dog']}
    assert_readable(confusion_figure(two, title))
    assert_readable(reliability_figure(result['network'], title))
    for curve in result['curves'].values():
        del curve['insertion']
    assert_readable(curves_figure(result, title))
    assert_readable(matrix_figure({'by true class': (np.eye(2), 'true class')}, ['cat', 'dog'], title))
