"""The pictures of trees: every class named inside the figure, nothing on anything else, grey where nobody reads."""
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.patches import Circle

from ikd.objectives.routing import relative_entropy
from ikd.pictures.trees import GREY, PALETTE, dendrogram_figure, reached, tree_figure, untangle

TEN = 'airplane automobile bird cat deer dog frog horse ship truck'.split()
NAMES = {10: TEN, 100: [f'class_number_{i}' for i in range(100)], 3: ['a', 'b', 'a rather long name of a class']}
SIZES = {'tree': (2, 4, 8), 'resnet': (4, 4, 4)}


def alphas(kind, *sizes):
    """Random soft, hard or uniform alpha between each two sizes."""
    draw, pairs = np.random.default_rng(len(sizes) + sizes[-1]), list(zip(sizes[1:], sizes))
    if kind == 'hard':
        return [np.eye(parents)[draw.integers(parents, size=children)] for children, parents in pairs]
    if kind == 'uniform':
        return [np.full((children, parents), 1 / parents, np.float32) for children, parents in pairs]
    return [draw.dirichlet(np.full(parents, 0.4), children).astype(np.float32) for children, parents in pairs]


def drawn_texts(figure):
    """(text, its box in pixels) of all that is written, after a drawing."""
    canvas, axes = FigureCanvasAgg(figure), figure.axes[0]
    canvas.draw()
    low, high = sorted(axes.get_xlim())
    ticks = [label for label in axes.get_xticklabels() if axes.axison and low <= label.get_position()[0] <= high]
    texts = [text for text in (*figure.texts, *axes.texts, axes.xaxis.label, *ticks) if text.get_text()]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]


def assert_readable(figure, names):
    """All names are there; nothing is cut off; no two texts overlap."""
    found = drawn_texts(figure)
    written = [text.split('  ')[0] for text, _ in found]
    assert all(written.count(name) == 1 for name in names)
    width, height = figure.get_size_inches() * figure.dpi
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for _, box in found)
    edges = np.array([box.extents for _, box in found])
    lower, upper = edges[:, None, :2], edges[:, None, 2:]
    both = (np.minimum(upper, edges[:, 2:]) - np.maximum(lower, edges[:, :2]) > 1).all(-1)
    assert not np.triu(both, 1).any()


def circles(figure):
    return [artist for artist in figure.axes[0].patches if isinstance(artist, Circle)]


@pytest.mark.parametrize('kind', ['soft', 'hard', 'uniform'])
@pytest.mark.parametrize('network', SIZES)
@pytest.mark.parametrize('k', NAMES)
def test_trees_are_readable(network, kind, k):
    routings = alphas(kind, *SIZES[network], k)
    figure = tree_figure(routings, NAMES[k], 'A title')
    assert_readable(figure, NAMES[k])
    assert len(circles(figure)) == sum(SIZES[network])
    texts = [text for text, _ in drawn_texts(figure)]
    for alpha in routings:
        assert f'entropy {relative_entropy(alpha).mean():.2f}' in texts


@pytest.mark.parametrize('kind', ['soft', 'hard', 'uniform'])
@pytest.mark.parametrize('k', NAMES)
def test_dendrograms_are_readable(kind, k):
    figure = dendrogram_figure(alphas(kind, 8, k)[0], NAMES[k], 'A title')
    assert_readable(figure, NAMES[k])


# Classes read experts 1 and 3 of level 2 only; those read expert 2 of level 1.
LAST = np.eye(4)[[0, 2, 2]]
FIRST = np.eye(2)[[1, 0, 1, 0]]


def test_experts_that_no_class_reaches_are_grey():
    first, middle, last = reached([FIRST, LAST])
    np.testing.assert_array_equal(first, [False, True])
    np.testing.assert_array_equal(middle, [True, False, True, False])
    assert last.all()
    figure = tree_figure([FIRST, LAST], ['a', 'b', 'c'], '')
    grey = [to_hex(circle.get_facecolor()) == GREY for circle in circles(figure)]
    assert grey == [True, False, False, True, False, True]
    nearly = LAST + np.array([-0.01, 0.01, 0, 0])  # too small a share for an edge
    assert reached([FIRST, np.abs(nearly)])[1].tolist() == [True, False, True, False]
    assert all(level.all() for level in reached(alphas('uniform', 2, 4, 8, 10)))


def test_edges_are_as_strong_as_their_share():
    figure = tree_figure([np.array([[0.7, 0.29, 0.01], [0.3, 0.3, 0.4]])], ['a', 'b'], '')
    _, edges = figure.axes[0].findobj(LineCollection)
    assert len(edges.get_segments()) == 5  # not that of 0.01
    shares = np.array([0.7, 0.29, 0.3, 0.3, 0.4])
    for values in (edges.get_linewidths(), np.asarray(edges.get_colors())[:, 3]):
        np.testing.assert_array_equal(np.argsort(values, kind='stable'), np.argsort(shares, kind='stable'))


def test_edges_go_from_an_expert_to_those_who_read_it():
    """Wherever they stand: experts 1 to 3 of the second level read 2, 1, 2, classes a to d 3, 1, 2 and 1."""
    figure = tree_figure([np.eye(2)[[1, 0, 1]], np.eye(3)[[2, 0, 1, 0]]], list('abcd'), '')
    level, names = figure.axes[0].findobj(LineCollection)[1:]
    x = {text.get_text(): text.get_position()[0] for text in figure.axes[0].texts}
    places = np.array([circle.center for circle in circles(figure)])
    first, second = places[:2, 0], places[2:, 0]
    for edges, parents, starts, ends in ((level, first, first[[1, 0, 1]], second),
                                         (names, second, second[[2, 0, 1, 0]], [x[name] for name in 'abcd'])):
        found = [(start[0], end[0]) for start, end in edges.get_segments()]
        np.testing.assert_allclose(sorted(found), sorted(zip(starts, ends)))
        parent_of = {start: PALETTE[[*parents].index(start)] for start, _ in found}
        assert [to_hex(colour) for colour in edges.get_colors()] == [parent_of[start] for start, _ in found]


@pytest.mark.parametrize('seed', range(5))
def test_edges_of_a_tree_do_not_cross(seed):
    draw = np.random.default_rng(seed)
    routings = [np.eye(p)[draw.integers(p, size=c)] for p, c in ((2, 4), (4, 8), (8, 30))]
    levels = untangle(routings)
    for places, size in zip(levels, (2, 4, 8, 30)):
        np.testing.assert_allclose(np.sort(places), (np.arange(size) + 0.5) / size)
    for parents, children, alpha in zip(levels, levels[1:], routings):
        read = parents[alpha.argmax(1)]
        assert (np.diff(read[np.argsort(children)]) >= 0).all()


def test_dendrogram_joins_classes_that_are_routed_alike():
    """Equal rows at 0, rows without a common expert at 1, the largest Jensen-Shannon distance."""
    figure = dendrogram_figure(np.eye(8)[[0, 5, 0, 5]], ['a', 'b', 'c', 'd'], '')
    segments = figure.axes[0].findobj(LineCollection)[0].get_segments()
    np.testing.assert_allclose(sorted(segment[1, 0] for segment in segments), [0, 0, 1], atol=1e-7)
    height = {text[0]: (box.y0, text[3:]) for text, box in drawn_texts(figure) if text[:1] in 'abcd' and '  ' in text}
    order = sorted(height, key=height.get)
    assert set(order[:2]) in ({'a', 'c'}, {'b', 'd'})
    assert {name: expert for name, (_, expert) in height.items()} == {'a': '1', 'b': '6', 'c': '1', 'd': '6'}
    colours = {text.get_text()[0]: text.get_color() for text in figure.axes[0].texts}
    assert colours == {'a': PALETTE[0], 'b': PALETTE[5], 'c': PALETTE[0], 'd': PALETTE[5]}
