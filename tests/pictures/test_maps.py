"""Figure 1 with more classes than it has room for."""
import numpy as np

from ikd.pictures.maps import colours, explanation_figure, pixels
from tests.report.readable import assert_readable


def test_what_colours_say():
    """A slope says what more of a pixel would do, which is not what it has done."""
    ends = '; each map is scaled to its own largest value'
    share = 'red: speaks for the class, blue: against it'
    slope = "red: more of it would raise the class's logit, blue: lower it"
    assert colours(['grad_cam', 'mine']) == share + ends and colours(['guided_backprop']) == slope + ends
    assert colours(['grad', 'occlusion', 'smooth_grad']) == f'{share}; of grad, smooth_grad: {slope}{ends}'


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
