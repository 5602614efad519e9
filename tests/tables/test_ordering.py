"""Agreement of orders by hand, and the picture of both."""
import numpy as np
import pytest

from ikd.tables.ordering import agreement, ordering_figure
from tests.report.readable import assert_readable, texts_of

NAMES = ('Grad*Input', 'GuidedBP', 'Grad', 'Grad-CAM')


@pytest.mark.parametrize('second, spearman, kendall, p', [
    ([0.1, 0.2, 0.3, 0.4], 1, 1, 2 / 24), ([4, 3, 2, 1], -1, -1, 2 / 24),
    ([1, 2, 4, 3], 0.8, 4 / 6, 8 / 24),  # one of six pairs turned: 1 - 6 x 2 / 60; 1 order has none turned, 3 one
])
def test_agreement_of_four(second, spearman, kendall, p):
    found = agreement([1, 2, 3, 4], second)
    assert found == pytest.approx({'spearman': spearman, 'kendall': kendall, 'kendall_p': p, 'best_p': 1 / 12})


def test_agreement_with_a_tie():
    """Five of six pairs alike and one tied, which counts on its own side only: 5 / sqrt(6 x 5)."""
    assert agreement([1, 2, 3, 4], [1, 2, 2, 3])['kendall'] == pytest.approx(5 / 30 ** 0.5)


def test_nothing_agrees_with_what_does_not_differ():
    found = agreement([1, 2, 3], [5, 5, 5])
    assert np.isnan(found['spearman']) and np.isnan(found['kendall']) and found['best_p'] == pytest.approx(1 / 3)


def panels(seeds, scored=NAMES):
    draw = np.random.default_rng(0)
    accuracies = {name: list(90 + i / 3 + 0.2 * draw.normal(size=seeds)) for i, name in enumerate(NAMES)}
    scores = {reading: {name: (0.2 * i + 0.1, 0.2 * i + 0.08, 0.2 * i + 0.13) for i, name in enumerate(scored)}
              for reading in ('absolute; Grad-CAM as it is', 'signed; Grad-CAM upsampled')}
    return accuracies, scores


@pytest.mark.parametrize('seeds, rows', [(5, 2), (1, 1)])
def test_it_is_readable(seeds, rows):
    accuracies, scores = panels(seeds)
    note = 'A note of some length, as the note of a figure is, that says what the bars are\nand of what'
    figure = ordering_figure([(f'ResNet{i}', accuracies, ('cross-entropy', 89.9), scores) for i in range(rows)],
                             'A title of more words than fit into a line ' * rows * 2, note)
    assert_readable(figure)
    written = [text for text, _, _ in texts_of(figure)]
    assert all(written.count(name) == 2 * rows for name in NAMES)
    assert all(written.count(reading) == rows for reading in scores)


def test_points_stand_where_their_values_are():
    """In the order of the accuracies on both sides; what is missing keeps its place, and says so."""
    accuracies, scores = panels(3, scored=('Grad-CAM', 'GuidedBP'))
    accuracies['Grad'] = []
    left, right = ordering_figure([('', accuracies, None, scores)], '').axes
    assert [(text.get_text(), text.get_position()[0]) for text in left.texts] == [('not run', 2)]
    means = [bar.lines[0].get_xydata()[0] for bar in left.containers]
    np.testing.assert_allclose(means, [(i, np.mean(accuracies[NAMES[i]])) for i in (0, 1, 3)])
    seeds = np.concatenate([line.get_xydata() for line in left.lines if line.get_color() == '#999999'])
    np.testing.assert_allclose(seeds, [(i, value) for i in (0, 1, 3) for value in accuracies[NAMES[i]]])
    (bar,) = left.containers[0].lines[2]
    spread = np.std(accuracies['Grad*Input'], ddof=1)
    np.testing.assert_allclose(np.diff(bar.get_segments()[0][:, 1]), 2 * spread)
    places = [bar.lines[0].get_xydata()[0] for bar in right.containers]
    np.testing.assert_allclose(places, [(2.94, 0.1), (0.94, 0.3), (3.06, 0.1), (1.06, 0.3)])
    assert [label.get_text() for label in right.get_xticklabels()] == list(NAMES)
    assert right.get_ylim()[0] < 0 and right.get_ylim()[1] > 1  # all that a score may be, whatever these are


def test_bars_of_scores_reach_from_their_low_to_their_high_end():
    accuracies, scores = panels(1)
    _, right = ordering_figure([('', accuracies, None, scores)], '').axes
    ends = [bar.lines[2][0].get_segments()[0][:, 1] for bar in right.containers]
    np.testing.assert_allclose(ends, [values[1:] for found in scores.values() for values in found.values()])


def test_the_line_of_what_explains_nothing_is_at_its_accuracy():
    accuracies, scores = panels(1)
    left, _ = ordering_figure([('', accuracies, ('cross-entropy', 89.9), scores)], '').axes
    (line,) = [line for line in left.lines if line.get_label() == 'cross-entropy (mean)']
    assert {*line.get_ydata()} == {89.9}


def test_a_score_without_an_interval_is_a_point():
    accuracies, _ = panels(1)
    _, right = ordering_figure([('', accuracies, None, {'signed': {'Grad': (0.5, None, None)}})], '').axes
    (bar,) = right.containers
    assert bar.lines[0].get_xydata().tolist() == [[2, 0.5]] and not bar.has_yerr


def test_accuracies_have_no_scale_before_any_is_run():
    accuracies, scores = panels(1)
    none = dict.fromkeys(accuracies, ())
    empty, one = (ordering_figure([('', found, None, scores)], '').axes[0]
                  for found in (none, {**none, 'Grad': accuracies['Grad']}))
    assert not len(empty.get_yticks()) and len(one.get_yticks())
    assert [text.get_text() for text in empty.texts] == ['not run'] * len(accuracies)
