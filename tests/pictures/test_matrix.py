"""The heat map: every class named on both axes, every number in its field."""
import numpy as np
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from ikd.pictures.matrix import matrix_figure
from tests.report.readable import assert_readable, texts_of

TEN = tuple('airplane automobile bird cat deer dog frog horse ship truck'.split())
NAMES = {'cifar10': TEN, 'few': ('a', 'b', 'a rather long name'),
         'many': tuple(f'class_number_{i}' for i in range(30))}


@pytest.mark.parametrize('names', ['cifar10', 'few', 'many'])
def test_it_is_readable(names):
    class_names = NAMES[names]
    k = len(class_names)
    matrix = np.random.default_rng(0).uniform(-1, 1, (k, k))
    figure = matrix_figure({'one': (matrix, 'true class'), 'other': (matrix, 'class')}, class_names, 'A title',
                           note='A note\nof two lines, the second of which is not a short one either')
    assert_readable(figure)
    written = [text for text, _, _ in texts_of(figure)]
    assert all(written.count(name) >= 4 for name in class_names)  # on both axes of both
    assert {'A title', 'one', 'other', 'true class', 'class'} <= {*written}
    assert all(text.get_fontsize() <= 11 for text in figure.findobj(Text) if text.get_text())
    numbers = [f'{round(value, 2) + 0:.2f}' for value in matrix.flat]
    if k < 30:
        assert [text for text in written if '.' in text] == numbers * 2
    else:  # a bar of colours beside each
        assert [axes.get_title('left') for axes in figure.axes] == ['one', '', 'other', '']


def test_what_is_framed_coloured_and_left_out():
    """Pairs on both sides; zero is white, the largest value off the diagonal has the end of the scale."""
    matrix = np.array([[1, 0, -0.2], [0.1, 1, 0.4], [np.nan] * 3])
    figure = matrix_figure({'': (matrix, 'true class')}, tuple('abc'), '', marked=[('c', 'a')])
    (axes,) = figure.axes
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert sorted(frame.get_xy() for frame in frames) == [(-0.5, 1.5), (1.5, -0.5)]
    assert axes.images[0].get_clim() == (-0.4, 0.4)
    assert [text.get_text() for text in axes.texts] == ['1.00', '0.00', '-0.20', '0.10', '1.00', '0.40']
    for text in axes.texts:
        column, row = text.get_position()
        assert float(text.get_text()) == matrix[row, column]
    shown = axes.images[0].to_rgba(axes.images[0].get_array())[..., :3]
    np.testing.assert_allclose(shown[0, 1], 1, atol=0.05)
    assert shown[1, 2][0] > shown[1, 2][2] and shown[0, 2][2] > shown[0, 2][0]  # red above, blue below


def test_what_is_most_unlike_has_the_end_of_the_scale_too():
    (axes,) = matrix_figure({'': (np.array([[1, 0.1], [-0.8, 1]]), 'class')}, ('a', 'b'), '').axes
    assert axes.images[0].get_clim() == (-0.8, 0.8)
