"""The picture of one explained image: which classes it shows, and what it says of them."""
import numpy as np
import pytest

from ikd.report.figures import short
from ikd.report.overlays import overlay_figure, shown_classes


def test_of_many_classes_the_likeliest_are_shown():
    p = np.linspace(1, 2, 21) / 31.5
    assert shown_classes(p[:20], 3).tolist() == [*range(20)]
    assert shown_classes(p, 15).tolist() == [*range(20, 10, -1)]
    assert shown_classes(p, 3).tolist() == [*range(20, 10, -1), 3]
    assert short('abcdefghij', 10) == 'abcdefghij' and short('abcdefghijk', 10) == 'abcd…ghijk'
    assert len(short('x' * 50, 15)) == 15


@pytest.mark.parametrize('k, label, columns', [(2, 0, 2), (120, -1, 10), (120, 77, 11)])
def test_what_the_picture_says(k, label, columns):
    draw = np.random.default_rng(0)
    p = np.full(k, 0.4 / (k - 1))
    p[1] = 0.6
    names = [f'class {i}' for i in range(k)]
    explained = {'grad': (draw.normal(size=(k, 6, 4, 3)), np.linspace(-1, 1, k)),
                 'grad_cam': (draw.normal(size=(k, 3, 2)), np.linspace(1, -1, k))}
    image = draw.integers(0, 255, (6, 4, 3), np.uint8)
    figure = overlay_figure('dog.png', image, explained, p, label, names, 'title',
                            ['not for this network: lrp (too young)'])
    axes = figure.axes
    assert len(axes) == 1 + 2 * columns and axes[0].get_xlabel() == 'class 1 0.60'
    assert [a.get_ylabel() for a in axes if a.get_ylabel()] == ['grad', 'grad_cam']
    titles = {a.get_title().partition('\n')[0]: a for a in axes if a.get_title()}
    assert len(titles) == columns and titles['class 1'].get_title() == 'class 1\n0.60'
    assert titles['class 1'].title.get_color() == ('firebrick' if label >= 0 else 'black')
    framed = [a for a in axes if a.spines['left'].get_edgecolor()[:3] == (0, 128 / 255, 0)]
    reference = 1 if label < 0 else label
    assert len(framed) == 2 and titles[f'class {reference}'] in framed
    assert {float(a.get_xlabel()) for a in framed} == {round(x[reference], 2) for _, x in explained.values()}
    text = ' '.join(' '.join(t.get_text().split()) for t in figure.texts)
    assert 'dog.png' in text and 'too young' in text and ('true class' in text) == (label >= 0)
    assert (f'{columns} of {k} classes' in text) == (k == 120)
