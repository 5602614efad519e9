"""Curves: where their points stand, and what is written beside them."""
import json
import math
from html import unescape
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ikd.report.curves import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    apart,
    mean_over_trials,
    pieces,
    plot,
    powers,
    round_steps,
    scale,
    values_of,
)


def record(seed, epoch, stage='ce', **fields):
    return {'seed': seed, 'epoch': epoch, 'stage': stage, **fields}


RECORDS = [record(0, 1, 'warmup', x=4.0), record(0, 2, x=2), record(0, 3, x=1.0), record(1, 1, 'warmup', x=2.0),
           record(1, 2, x=4.0), record(2, 1, x=None), record(2, 2, x='<b>'), record(2, 3, x=math.nan)]


def test_values_and_means():
    """What is no finite number is left out; the mean is of epochs that every trial has."""
    values = values_of(RECORDS, 'x')
    assert values == {0: {1: ('warmup', 4), 2: ('ce', 2), 3: ('ce', 1)}, 1: {1: ('warmup', 2), 2: ('ce', 4)}}
    assert mean_over_trials(values) == {1: ('warmup', 3), 2: ('ce', 3)}
    assert mean_over_trials({}) == {} == values_of(RECORDS, 'y')


def test_a_curve_begins_anew_with_a_stage():
    """And goes on over epochs that were not tested."""
    curve = {1: ('a', 10.0), 2: ('a', 20.0), 3: ('b', 30.0), 5: ('b', 50.0), 6: ('b', 60.0)}
    assert pieces(curve) == [[(1, 10), (2, 20)], [(3, 30), (5, 50), (6, 60)]]


@settings(deadline=None, derandomize=True, database=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_marks_are_round_few_and_inside(low, span):
    marks = round_steps(low, low + span)
    assert 1 <= len(marks) <= 5
    assert all(low - 1e-6 * span <= mark <= low + 1.000001 * span for mark in marks)
    steps = np.diff(marks)
    if len(steps):
        mantissa = 10 ** (math.log10(steps[0]) % 1)
        np.testing.assert_allclose(steps, steps[0], rtol=1e-3)
        assert min(abs(mantissa - round_one) for round_one in (1, 2, 5, 10)) < 0.02


def test_marks_of_known_axes():
    assert round_steps(0, 100) == [0, 50, 100]
    assert round_steps(1, 10, 7) == [2, 4, 6, 8, 10] and round_steps(0.03, 0.31) == [0.1, 0.2, 0.3]
    np.testing.assert_allclose(powers(1e-4, 20), [1e-4, 1e-3, 1e-2, 0.1, 1, 10][::2])
    np.testing.assert_allclose(powers(0.02, 3), [0.1, 1])


def test_marks_close_together_are_told_apart():
    assert apart([0.39176, 0.39178, 0.3918]) == ['0.39176', '0.39178', '0.3918']
    assert apart([0.0, 0.5, 1.0]) == ['0', '0.5', '1'] and apart([12345.0]) == ['1.234e4']


@pytest.mark.parametrize('values, percent, logarithmic', [
    ([1, 50], False, True), ([1, 49], False, False), ([0, 50], False, False), ([1, 99], True, False),
    ([3, 3], False, False), ([0, 0], False, False)])
def test_the_axis(values, percent, logarithmic):
    """Everything stands in [0, 1], in order; an axis of accuracies does not go beyond 100."""
    place, marks, found = scale(values, percent)
    assert found == logarithmic and marks
    places = [place(value) for value in values]
    assert 0 <= places[0] <= places[1] <= 1 and (values[0] == values[1]) == (places[0] == places[1])
    assert all(-1e-9 <= place(mark) <= 1 + 1e-9 for mark in marks)
    assert values[0] < values[1] or marks == values[:1]
    if percent:
        assert place(100) == pytest.approx(1)


def test_where_the_points_stand():
    """Of two runs: epochs from the left edge to the right, the larger value above, a lone point a circle."""
    first = values_of(RECORDS, 'x')
    second = {0: {1: ('ce', 1.0), 2: ('ce', 5.0)}}
    found = plot('Title <', [first, second, {}], ['one', 'two <', 'three'], last=3)
    figure = ElementTree.fromstring(found)
    assert figure.find('h4').text == 'Title <'
    svg = figure.find('svg')
    runs = {group.get('class'): group for group in svg.findall('g')}
    assert [*runs] == ['run2', 'run1', 'run0']  # the first on top
    (line,) = runs['run1'].findall('polyline')
    assert not runs['run1'].findall('g') and not list(runs['run2'])
    (x1, y1), (x2, y2) = (map(float, point.split(',')) for point in line.get('points').split())
    assert x1 == LEFT and x2 == pytest.approx((LEFT + WIDTH - RIGHT) / 2, abs=0.1)
    room = HEIGHT - TOP - BOTTOM
    assert y1 == pytest.approx(TOP + room * (1 - 0.2 / 4.4), abs=0.1)  # 5 % of the range 1 to 5 above and below
    assert y2 == pytest.approx(TOP + room * 0.2 / 4.4, abs=0.1)
    assert len(runs['run0'].findall('g')) == 2 and len(runs['run0'].findall('circle')) == 2
    assert ''.join(figure.find('p').itertext()).split() == 'epoch 2 one 3 two < 5 three –'.split()
    data = json.loads(unescape(figure.get('data-values')))
    assert data['epochs'] == [1, 2, 3] and data['places'] == [40.0, 176.0, 312.0]
    assert data['values'] == [['3', '3', '–'], ['1', '5', '–'], ['–'] * 3]
    assert plot('', [{}, {}], ['a', 'b'], last=3) is None
