"""Curves over epochs as SVG: every trial thin, the mean of a run's trials thick, all runs in one plot."""
import json
import math
from collections import defaultdict
from itertools import groupby

import numpy as np

from ikd.report.html import element, join

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 8, 22
LOG_FROM = 50  # the ratio of largest to smallest from which an axis is logarithmic


def values_of(records, field):
    """{seed: {epoch: (stage, value)}} of a field of a run's records, where it is a finite number."""
    found = defaultdict(dict)
    for record in records:
        value = record.get(field)
        if isinstance(value, int | float) and math.isfinite(value):
            found[record['seed']][record['epoch']] = (record.get('stage'), float(value))
    return dict(found)


def mean_over_trials(trials):
    """{epoch: (stage, mean)} of `values_of`, for the epochs that all trials have."""
    if not trials:
        return {}
    first, *others = trials.values()
    epochs = [epoch for epoch in first if all(epoch in other for other in others)]
    return {epoch: (first[epoch][0], float(np.mean([trial[epoch][1] for trial in trials.values()])))
            for epoch in epochs}


def pieces(curve):
    """A curve {epoch: (stage, value)} as lists of (epoch, value): it begins anew with every stage.

    Not every epoch has a value, as `test_every` may be larger than 1.
    """
    stages = groupby(sorted(curve.items()), key=lambda point: point[1][0])
    return [[(epoch, value) for epoch, (_, value) in points] for _, points in stages]


def round_steps(low, high, most=5):
    """At most so many round numbers in [low, high], 1, 2 or 5 times a power of ten apart."""
    span = (high - low) or 1
    for exponent in range(math.floor(math.log10(span / most)) - 1, math.ceil(math.log10(span)) + 2):
        for factor in (1, 2, 5):
            step = factor * 10.0 ** exponent
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            if last - first < most:
                return [float(f'{i * step:.12g}') for i in range(first, last + 1)]


def powers(low, high):
    """Powers of ten in [low, high], at most five, evenly apart."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0 ** i for i in range(first, last + 1, math.ceil((last - first + 1) / 5) or 1)]


def scale(values, percent=False):
    """(transform of a value to [0, 1], marks of the axis, whether it is logarithmic) for values to be shown."""
    low, high = min(values), max(values)
    if low > 0 and high / low >= LOG_FROM and not percent:
        low, high = math.log10(low), math.log10(high)
        low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
        return (lambda value: (math.log10(value) - low) / (high - low)), powers(10 ** low, 10 ** high), True
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1
    marks = [low] if low == high else None
    low, high = low - room, min(high + room, 100) if percent and high <= 100 else high + room
    return (lambda value: (value - low) / (high - low)), marks or round_steps(low, high), False


def short(value, digits=4):
    """A number for an axis or a readout."""
    return f'{value:.{digits}g}'.replace('e-0', 'e-').replace('e+0', 'e')


def apart(marks):
    """The marks of an axis with as many digits, four at least, as tell them apart."""
    texts = ([short(mark, digits) for mark in marks] for digits in range(4, 18))
    return next(text for text in texts if len({*text}) == len({*marks}))


def draw(curve, x, y):
    """Polylines, and a point for a piece of one epoch."""
    drawn = []
    for piece in pieces(curve):
        points = [(f'{x(epoch):.1f}', f'{y(value):.1f}') for epoch, value in piece]
        drawn.append(element('polyline', points=' '.join(map(','.join, points))) if len(points) > 1 else
                     element('circle', cx=points[0][0], cy=points[0][1], r=2))
    return join(*drawn)


def plot(title, runs, names, last, percent=False):
    """A plot with its numbers: a <figure>, or None if no run has a value.

    runs: `values_of` of each run, {} for one without the field; names: what they are called; last: the epoch at the
    axis's end. Below the plot are the means at each run's last epoch, or at the one under the pointer.
    """
    every = [point for trials in runs for curve in trials.values() for point in curve.items()]
    if not every:
        return None
    epochs = sorted({epoch for epoch, _ in every})
    place, marks, logarithmic = scale([value for _, (_, value) in every], percent)
    x = lambda epoch: LEFT + (WIDTH - LEFT - RIGHT) * (epoch - 1) / max(last - 1, 1)
    y = lambda value: TOP + (HEIGHT - TOP - BOTTOM) * (1 - place(value))
    axes = [join(element('line', x1=LEFT, x2=WIDTH - RIGHT, y1=f'{y(mark):.1f}', y2=f'{y(mark):.1f}', class_='grid'),
                 element('text', shown, x=LEFT - 6, y=f'{y(mark) + 3.5:.1f}', text_anchor='end'))
            for mark, shown in zip(marks, apart(marks))]
    axes += [element('text', short(mark), x=f'{x(mark):.1f}', y=HEIGHT - 6, text_anchor='middle')
             for mark in round_steps(1, last, 7) if mark == int(mark)]
    drawn, means = [], [mean_over_trials(trials) for trials in runs]
    for i, (trials, mean) in enumerate(zip(runs, means)):
        thin = [element('g', draw(curve, x, y), class_='trial') for curve in trials.values()]
        drawn.append(element('g', *(thin if len(thin) > 1 else []), draw(mean, x, y), class_=f'run{i}'))
    cursor = element('line', x1=0, x2=0, y1=TOP, y2=HEIGHT - BOTTOM, class_='cursor')
    heading = f'{title}, logarithmic' if logarithmic else title
    svg = element('svg', *axes, *reversed(drawn), cursor, viewBox=f'0 0 {WIDTH} {HEIGHT}', role='img',
                  aria_label=heading)
    texts = [[short(mean[epoch][1]) if epoch in mean else '\N{EN DASH}' for epoch in epochs] for mean in means]
    ends = [short(mean[max(mean)][1]) if mean else '\N{EN DASH}' for mean in means]
    reached = {max(mean) for mean in means if mean}
    readout = [element('span', 'epoch ', element('b', *reached if len(reached) == 1 else ['last']))]
    readout += [element('span', f'{name} ', element('b', value), class_=f'run run{i}')
                for i, (name, value) in enumerate(zip(names, ends))]
    data = json.dumps({'places': [round(x(epoch), 1) for epoch in epochs], 'epochs': epochs, 'values': texts})
    below = element('p', *(join(one, ' ') for one in readout), class_='readout')
    return element('figure', element('h4', heading), svg, below, class_='curve', data_values=data)
