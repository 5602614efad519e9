"""The picture of one explained image: which classes it shows, and what it says of them."""
import numpy as np
import pytest

from ikd.pictures.maps import colours, flat_map, short
from ikd.pictures.overlays import overlay_figure


def test_long_names_are_shortened():
    assert short('abcdefghij', 10) == 'abcdefghij' and short('abcdefghijk', 10) == 'abcd…ghijk'
    assert len(short('x' * 50, 15)) == 15


@pytest.mark.parametrize('k, label, columns', [(2, 0, 2), (120, -1, 10), (120, 77, 10)])
def test_what_the_picture_says(k, label, columns):
    draw = np.random.default_rng(0)
    p = np.full(k, 0.4 / (k - 1))
    p[1] = 0.6
    names = [f'class {i}' for i in range(k)]
    classes = np.array([1, *range(10, 18), max(label, 18)] if k > 2 else [0, 1])
    explained = {'grad': (draw.normal(size=(columns, 6, 4, 3)), np.linspace(-1, 1, columns)),
                 'grad_cam': (draw.normal(size=(columns, 3, 2)), np.linspace(1, -1, columns))}
    image = draw.integers(0, 255, (6, 4, 3), np.uint8)
    similarity = 'cosine' if k == 2 else 'wasserstein'
    figure = overlay_figure('dog.png', image, classes, explained, p, label, names, 'title', similarity,
                            ['not for this network: lrp (too young)'])
    axes = figure.axes
    assert len(axes) == 1 + 2 * columns and axes[0].get_xlabel() == 'class 1 0.60'
    assert [a.get_ylabel() for a in axes if a.get_ylabel()] == ['grad', 'grad_cam']
    titles = {a.get_title().partition('\n')[0]: a for a in axes if a.get_title()}
    assert len(titles) == columns and titles['class 1'].get_title() == 'class 1\n0.60'
    assert titles['class 1'].title.get_color() == ('firebrick' if label >= 0 else 'black')
    assert [name for name, a in titles.items() if a.title.get_fontweight() == 'bold'] == ['class 1']
    drawn = [maps[column] for column in range(columns) for maps, _ in explained.values()]
    for a, values in zip(axes[1:], drawn, strict=True):
        np.testing.assert_array_equal(a.images[-1].get_array(), flat_map(values))
    framed = [a for a in axes if a.spines['left'].get_edgecolor()[:3] == (0, 128 / 255, 0)]
    reference = 1 if label < 0 else label
    assert len(framed) == 2 and titles[f'class {reference}'] in framed
    place = [*classes].index(reference)
    assert {float(a.get_xlabel()) for a in framed} == {round(x[place], 2) for _, x in explained.values()}
    text = ' '.join(' '.join(t.get_text().split()) for t in figure.texts)
    assert 'dog.png' in text and 'too young' in text and ('true class' in text) == (label >= 0)
    assert (f'{columns} of {k} classes' in text) == (k == 120)
    assert colours(explained) in text and ("a map's similarity (wasserstein) to that" in text) == (k == 120)


@pytest.mark.parametrize('label, said', [(9, 'the most probable'), (10, 'the most probable, and the true class')])
def test_a_true_class_that_is_not_probable_is_said_to_be_shown(label, said):
    """Of twelve, ten are drawn: that of the tenth place is among them by itself, that of the eleventh is not."""
    p = np.arange(12, 0, -1) / 78
    classes = np.array([*range(9), label])
    explained = {'grad_cam': (np.ones((10, 2, 2)), np.ones(10))}
    figure = overlay_figure('', np.zeros((4, 4, 1), np.uint8), classes, explained, p, label, [*'abcdefghijkl'])
    text = ' '.join(' '.join(t.get_text().split()) for t in figure.texts)
    assert f'10 of 12 classes: {said} red:' in text
