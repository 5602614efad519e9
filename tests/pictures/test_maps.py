"""Figure 1 with more classes than it has room for, or with few."""
import jax
import numpy as np
import pytest

from ikd import models, networks, run_data
from ikd.pictures.drawn import pixels
from ikd.pictures.explanations import draw, explanations
from ikd.pictures.maps import colours, explanation_figure, legend
from ikd.validation import resolve
from tests.report.readable import assert_readable
from tests.small_run import make_config


def test_what_colours_say():
    """A slope says what more of a pixel would do, which is not what it has done."""
    ends = '; each map is scaled to its own largest value'
    share = 'red: speaks for the class, blue: against it'
    slope = "red: more of it would raise the class's logit, blue: lower it"
    assert colours(['grad_cam', 'mine']) == share + ends and colours(['guided_backprop']) == slope + ends
    assert colours(['grad', 'occlusion', 'smooth_grad']) == f'{share}; of grad, smooth_grad: {slope}{ends}'


def test_maps_that_are_no_numbers_leave_the_image_bare():
    """A run whose explainer has failed on an image is finished, and its picture shows on which."""
    draw = np.random.default_rng(0)
    maps, similarities = draw.normal(size=(1, 3, 8, 8)), np.array([[1, np.nan, 0.5]])
    maps[0, 1], maps[0, 2, 4, 4] = np.nan, np.inf
    images = draw.integers(0, 255, (1, 8, 8, 1), np.uint8)
    figure = explanation_figure(images, maps, similarities, np.array([0]), np.eye(3)[:1], ['a', 'b', 'c'], '')
    shown = [axes.images[1] for axes in figure.axes[1:]]
    assert [axes.get_xlabel() for axes in figure.axes[1:]] == ['1.00', 'nan', '0.50']
    assert [np.count_nonzero(one.get_array()) for one in shown] == [64, 0, 63] and not np.any(shown[1].get_alpha())
    assert pixels(figure).std() > 0


def test_whose_map_and_number_stand_below_a_name():
    """Of three images, each of another class, the second is mistaken; colour channels are added up, red above 0."""
    draw, labels, names = np.random.default_rng(0), np.array([2, 0, 1]), ['a', 'b', 'c']
    maps, similarities = draw.normal(size=(3, 3, 8, 8, 3)), draw.uniform(-1, 1, (3, 3))
    images = draw.integers(0, 255, (3, 8, 8, 3), np.uint8)
    figure = explanation_figure(images, maps, similarities, labels, np.eye(3)[[2, 1, 1]], names, '')
    for row, (first, *others) in enumerate(np.reshape(figure.axes, (3, 4))):
        np.testing.assert_array_equal(first.images[0].get_array(), images[row])
        assert first.get_title() == names[labels[row]] and first.get_xlabel() == f'{names[[2, 1, 1][row]]} 1.00'
        assert first.xaxis.label.get_color() == ('firebrick' if row == 1 else 'black')
        for label, axes in enumerate(others):
            drawn, values = axes.images[1], maps[row, label].sum(-1)
            np.testing.assert_array_equal(drawn.get_array(), values)
            assert drawn.get_clim() == (-np.abs(values).max(), np.abs(values).max())
            assert float(axes.get_xlabel()) == round(similarities[row, label], 2)
            assert axes.get_title() == (names[label] if row == 0 else '')
            red, _, blue, _ = np.moveaxis(drawn.to_rgba(values), -1, 0)
            np.testing.assert_array_equal(red > blue, values > 0)


@pytest.mark.parametrize('size, way', [((6, 4), 'nearest'), ((3, 2), 'bilinear'), ((4, 6), 'bilinear')])
def test_a_map_of_any_size_covers_the_image(size, way):
    """Of 6 x 4 pixels, and what says most is against the class: the scale reaches as far to both sides."""
    values = np.linspace(-2, 1, size[0] * size[1]).reshape(size)
    figure = explanation_figure(np.zeros((1, 6, 4, 1), np.uint8), np.stack([values] * 2)[None], np.zeros((1, 2)),
                                np.zeros(1, int), np.ones((1, 2)) / 2, ['a', 'b'], '')
    for axes in figure.axes[1:]:
        assert [[*image.get_extent()] for image in axes.images] == [[0, 4, 6, 0]] * 2
        assert axes.images[1].get_interpolation() == way and axes.images[1].get_clim() == (-2, 2)


def test_the_true_class_is_shown_also_with_a_zero_map():
    """Its similarities are all 0 then; it takes the place of the last of ten. Long names are cut."""
    k, n, true = 12, 2, 11
    names = [f'American Staffordshire terrier {i}' for i in range(k)]
    maps = np.random.default_rng(0).normal(size=(n, k, 4, 4))
    maps[0, true] = 0
    similarities = np.zeros((n, k))
    similarities[1, true] = 1
    figure = explanation_figure(np.zeros((n, 8, 8, 1), np.uint8), maps, similarities, np.full(n, true),
                                np.full((n, k), 1 / k), names, '')
    assert_readable(figure)
    titles = [axes.get_title() for axes in figure.axes]
    cut = [f'Americ\N{HORIZONTAL ELLIPSIS}{name[-7:]}' for name in names]
    assert titles == [cut[true], *cut[:9], cut[true], cut[true], cut[true], *cut[:9]]
    framed = [i for i, axes in enumerate(figure.axes) if axes.spines['left'].get_linewidth() > 2]
    assert framed == [10, 12]
    assert [axes.get_xlabel() for axes in figure.axes[9:13]] == ['0.00', 'zero map', f'{cut[0]} 0.08', '1.00']


@pytest.mark.parametrize('k', [2, 10])
def test_the_legend_is_readable(k):
    """It says what is coloured, what the numbers are, and what is framed; it has room of its own."""
    draw = np.random.default_rng(0)
    note = legend(['grad', 'grad_cam'], 'wasserstein')
    figure = explanation_figure(np.zeros((3, 8, 8, 1), np.uint8), draw.normal(size=(3, k, 4, 4)), np.ones((3, k)),
                                np.zeros(3, int), np.full((3, k), 1 / k), list('abcdefghij')[:k], 'a title', note)
    assert_readable(figure)
    (said,) = [text.get_text() for text in figure.texts if 'framed' in text.get_text()]
    assert ' '.join(said.split()) == note and "similarity (wasserstein) to that of the true class, which is" in note


def test_what_a_run_draws():
    """The first test image of each class, in the network's scale; the true class is as like itself as can be.

    All are explained, however few are drawn, so that one program is enough.
    """
    config, seen = resolve(make_config(**{'model.name': 'mlp', 'method.explainer': 'grad'})), []
    dataset = run_data.load_data(config)._replace(mean=(0.3,), std=(0.5,))
    model = networks.final_model(config, dataset)
    explain = lambda *args: seen.append(args) or explanations(config, model, *args)
    variables = models.init(model, jax.random.key(0), dataset.image_shape)
    figure = draw(explain, dataset, variables, '', most=3)
    (_, inputs, labels), = seen
    first = [dataset.test_images[[*dataset.test_labels].index(label)] for label in range(10)]
    assert [*labels] == [*range(10)]
    np.testing.assert_allclose(inputs, (np.array(first) / 255 - 0.3) / 0.5, rtol=1e-5, atol=1e-6)
    for label, row in enumerate(np.reshape(figure.axes, (3, 11))):
        np.testing.assert_array_equal(row[0].images[0].get_array(), first[label][..., 0])
        numbers = [float(axes.get_xlabel()) for axes in row[1:]]
        assert numbers[label] == max(numbers) == 1 and min(numbers) >= -1


def test_opacity_is_no_colour():
    """An opaque image looks as it does without the channel that says so."""
    image = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    opaque = np.full((8, 8, 1), 255, np.uint8)

    def drawn(image):
        figure = explanation_figure(image[None], np.zeros((1, 2, 8, 8)), np.zeros((1, 2)), np.zeros(1, int),
                                    np.ones((1, 2)) / 2, ['a', 'b'], '')
        return pixels(figure)

    for plain in image, image[..., :1]:
        np.testing.assert_array_equal(drawn(np.concatenate([plain, opaque], -1)), drawn(plain))


def test_a_long_title_of_two_classes_has_lines():
    maps, images = np.random.default_rng(0).normal(size=(2, 2, 4, 4)), np.zeros((2, 8, 8, 3), np.uint8)
    for title in 'mlp after le: grad', 'resnet14 after confidence_penalty on photos: integrated_gradients':
        assert_readable(explanation_figure(images, maps, np.ones((2, 2)), np.arange(2), np.full((2, 2), 0.5),
                                           ['cat', 'dog'], title))
