"""Corruptions of photographs: images still, the same for a seed, worse with severity, and some in closed form."""
import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_sample_image

from ikd.errors import InputError
from ikd.evaluation.corruptions import (
    KINDS,
    SEVERITIES,
    at,
    clouds,
    corrupt,
    defocus_blur,
    fog,
    gaussian_blur,
    motion_blur,
    zoom_blur,
)


@pytest.fixture(scope='module')
def photographs():
    """24 pieces of two photographs, 32x32 in colour, at a quarter of their size."""
    pieces = []
    for name in ('china.jpg', 'flower.jpg'):
        small = load_sample_image(name)[:384, :640].reshape(96, 4, 160, 4, 3).mean((1, 3))
        pieces.append(small.reshape(3, 32, 5, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)[:12])
    return np.concatenate(pieces).round().astype(np.uint8)


@pytest.mark.parametrize('kind', KINDS)
def test_worse_with_severity(photographs, kind):
    """By the mean square distance; on grey images of 28x28 too an image of the same shape."""
    found = [corrupt(photographs, kind, severity) for severity in SEVERITIES]
    assert all(one.dtype == np.uint8 and one.shape == photographs.shape for one in found)
    distances = [((one.astype(float) - photographs) ** 2).mean() for one in found]
    assert distances[0] > 0 and np.all(np.diff(distances) > 0), distances
    np.testing.assert_array_equal(found[2], corrupt(photographs, kind, 3))
    grey = photographs[:5, :28, :28, :1]
    changed = corrupt(grey, kind, 5)
    assert changed.shape == grey.shape and changed.dtype == np.uint8 and not np.array_equal(changed, grey)


@pytest.mark.parametrize('kind', KINDS)
def test_images_with_alpha(photographs, kind):
    changed = corrupt(np.concatenate([photographs[:3], photographs[3:6, ..., :1]], -1), kind, 3)
    np.testing.assert_array_equal(changed[..., 3:], photographs[3:6, ..., :1])
    np.testing.assert_array_equal(changed[..., :3], corrupt(photographs[:3], kind, 3))


@pytest.mark.parametrize('kind', ['gaussian_noise', 'shot_noise', 'impulse_noise', 'speckle_noise', 'motion_blur',
                                  'fog'])
def test_another_seed_draws_anew(photographs, kind):
    assert not np.array_equal(corrupt(photographs, kind, 3, seed=1), corrupt(photographs, kind, 3, seed=2))


@pytest.mark.parametrize('severity', [0, 6, -1])
def test_there_are_five_severities(photographs, severity):
    with pytest.raises(InputError, match=f'severity is {severity}; choose one of'):
        corrupt(photographs, 'contrast', severity)


def test_noise_is_as_large_as_it_says():
    grey = np.full((50, 32, 32, 1), 128, np.uint8)
    for kind, deviation in (('gaussian_noise', 0.1), ('shot_noise', np.sqrt(128 / 255 / 50)),
                            ('speckle_noise', 0.2 * 128 / 255)):
        assert corrupt(grey, kind, 5).std() / 255 == pytest.approx(deviation, rel=0.02)
    changed = corrupt(grey, 'impulse_noise', 5)
    assert (changed != 128).mean() == pytest.approx(0.07, rel=0.05) and {*np.unique(changed)} == {0, 128, 255}
    assert (changed == 255).sum() == pytest.approx((changed == 0).sum(), rel=0.15)


def test_every_severity_is_as_strong_as_the_script_has_it():
    """On even grey of 128, and on black and white: deviations, shares, what is added, and what is left."""
    grey, sides = np.full((50, 32, 32, 1), 128, np.uint8), np.uint8(255 * (np.arange(32) < 16))
    halves = np.broadcast_to(sides[None, None, :, None], (1, 32, 32, 1))
    strength = {
        'gaussian_noise': (lambda changed: changed.std(), np.array((0.04, 0.06, 0.08, 0.09, 0.10))),
        'shot_noise': (lambda changed: changed.std(), np.sqrt(128 / 255 / np.array((500, 250, 100, 75, 50)))),
        'speckle_noise': (lambda changed: changed.std(), 128 / 255 * np.array((0.06, 0.1, 0.12, 0.16, 0.2))),
        'impulse_noise': (lambda changed: (changed != 128 / 255).mean(), np.array((0.01, 0.02, 0.03, 0.05, 0.07))),
        'brightness': (lambda changed: changed.mean() - 128 / 255, np.array((0.05, 0.1, 0.15, 0.2, 0.3)))}
    for kind, (measure, expected) in strength.items():
        found = [measure(corrupt(grey, kind, severity) / 255) for severity in SEVERITIES]
        np.testing.assert_allclose(found, expected, rtol=0.04, err_msg=kind)
    left = [np.ptp(corrupt(halves, 'contrast', severity) / 255) for severity in SEVERITIES]
    np.testing.assert_allclose(left, (0.75, 0.5, 0.4, 0.3, 0.15), atol=0.005)


def test_contrast_and_brightness_in_closed_form(photographs):
    """Contrast keeps each channel's mean; brightness adds to the largest colour and keeps the ratios."""
    found = corrupt(photographs, 'contrast', 4).astype(float)
    mean = photographs.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(found, 0.7 * mean + 0.3 * photographs, atol=0.501)
    one = np.uint8([[[[100, 50, 0]], [[0, 0, 0]], [[250, 250, 125]]]])
    np.testing.assert_array_equal(corrupt(one, 'brightness', 4), [[[[151, 76, 0]], [[51] * 3], [[255, 255, 128]]]])


@pytest.mark.parametrize('kind', ['defocus_blur', 'gaussian_blur', 'motion_blur', 'zoom_blur'])
def test_blurs_leave_what_is_even(kind):
    even = np.full((3, 32, 32, 3), (10, 200, 90), np.uint8)
    np.testing.assert_array_equal(corrupt(even, kind, 5), even)


@pytest.mark.parametrize('level, end', [*enumerate((1.06, 1.11, 1.16, 1.21, 1.26))])
def test_zoom_of_a_ramp(level, end):
    """About the middle: enlarged z times, a ramp rises as 1 / z. The zooms are written as in the authors' script."""
    places = np.arange(32) - 15.5
    ramp = 0.5 + (places[:, None] + 2 * places)[None, ..., None] / 200
    zooms = np.arange(1, end, 0.01)
    expected = 0.5 + (ramp - 0.5) * (1 + (1 / zooms).sum()) / (len(zooms) + 1)
    np.testing.assert_allclose(zoom_blur(ramp, level, None), expected, atol=1e-12)


@pytest.mark.parametrize('level, reach, deviation', [(0, 6, 1), (1, 6, 1.5), (2, 6, 2), (3, 8, 2), (4, 9, 2.5)])
def test_motion_of_a_ramp(level, reach, deviation):
    """A ramp moves back by the mean of the way, along the angle that is drawn: rows by its sine."""
    rows, columns = np.mgrid[:32, :32] / 100
    ramp = np.stack([rows + 2 * columns] * 3)[..., None]
    angle = np.random.default_rng(0).uniform(-np.pi / 4, np.pi / 4, (3, 1))[..., None, None]
    way = np.arange(reach + 1)
    weights = np.exp(-way ** 2 / 2 / deviation ** 2)
    expected = ramp - way @ weights / weights.sum() * (np.sin(angle) + 2 * np.cos(angle)) / 100
    found = motion_blur(ramp, level, np.random.default_rng(0))
    inner = slice(reach + 1, -reach - 1)
    np.testing.assert_allclose(found[:, inner, inner], expected[:, inner, inner], atol=1e-12)


@pytest.mark.parametrize('h, w, pixel', [(32, 32, 1), (64, 48, 1.5)])
def test_gaussian_blur_of_a_point(h, w, pixel):
    """A normal distribution whose deviation grows with the shorter side."""
    point = np.zeros((1, h, w, 1))
    point[0, h // 2, w // 2] = 1
    for level, deviation in enumerate((0.4, 0.6, 0.7, 0.8, 1)):
        down, across = (np.exp(-(np.arange(side) - side // 2) ** 2 / 2 / (deviation * pixel) ** 2) for side in (h, w))
        expected = np.outer(down / down.sum(), across / across.sum())
        np.testing.assert_allclose(gaussian_blur(point, level, None)[0, ..., 0], expected, atol=1e-4)


@pytest.mark.parametrize('kind', ['defocus_blur', 'gaussian_blur', 'zoom_blur', 'brightness', 'contrast', 'pixelate',
                                  'jpeg_compression'])
def test_images_that_are_not_square(kind):
    """Rows that are even stay so, and brighter from top to bottom."""
    rows = np.broadcast_to(np.linspace(20, 230, 24)[None, :, None, None], (2, 24, 40, 1)).astype(np.uint8)
    changed = corrupt(rows, kind, 5).astype(int)
    assert changed.shape == rows.shape and np.ptp(changed, axis=2).max() <= 2
    assert np.all(np.diff(changed[0, 4:-4:4, 0, 0]) > 0)


def test_defocus_is_a_disk():
    """Of radius 1.605: full in the middle 3x3 but for its corners, part beyond, symmetric, and adds up to all."""
    point = np.zeros((1, 33, 33, 1), np.uint8)
    point[0, 16, 16] = 255
    disk = corrupt(point, 'defocus_blur', 5)[0, 13:20, 13:20, 0].astype(int)
    np.testing.assert_array_equal(disk, disk.T)
    np.testing.assert_array_equal(disk, disk[::-1])
    area = np.pi * (1.605 * 33 / 32) ** 2
    assert disk[3, 3] == disk[2, 3] == pytest.approx(255 / area, abs=1.5) and 0 < disk[1, 3] < disk[2, 3]
    assert disk[0].max() == 0 and disk.sum() == pytest.approx(255, abs=6)


def test_defocus_spreads_as_the_script_does():
    """The authors blur a disk of whole pixels by 3x3 of a normal distribution; the mean square distance is theirs."""
    point, places = np.zeros((1, 32, 32, 1)), np.arange(32) - 16
    point[0, 16, 16] = 1
    distance = places[:, None] ** 2 + places ** 2
    for severity, (radius, deviation) in enumerate([(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)]):
        disk = distance <= radius ** 2
        edge = np.exp(-1 / (2 * deviation ** 2))
        theirs = (distance * disk).sum() / disk.sum() + 4 * edge / (1 + 2 * edge)
        ours = (distance * defocus_blur(point, severity, None)[0, ..., 0]).sum()
        assert ours == pytest.approx(theirs, abs=0.025)


def test_clouds_point_by_point():
    """Each middle of a square between its corners, then each middle of a side between its four neighbours."""
    side, decay = 8, 1.75
    expected, draw = np.zeros((2, side, side)), np.random.default_rng(0)
    point = lambda image, row, column: expected[image, row % side, column % side]
    for step, size in ((8, 1), (4, decay ** -2), (2, decay ** -4)):
        half, places = step // 2, range(0, side, step)
        noise = size * draw.uniform(-1, 1, (3, 2, side // step, side // step))
        squares = [(n, row, column) for n in range(2) for row in places for column in places]
        for n, row, column in squares:
            near = [point(n, row + a, column + b) for a in (0, step) for b in (0, step)]
            expected[n, row + half, column + half] = sum(near) / 4 + noise[0, n, row // step, column // step]
        for kind, (down, across) in enumerate(((half, 0), (0, half)), 1):
            for n, row, column in squares:
                y, x = row + down, column + across
                near = [point(n, y + a, x + b) for a, b in ((half, 0), (-half, 0), (0, half), (0, -half))]
                expected[n, y, x] = sum(near) / 4 + noise[kind, n, row // step, column // step]
    np.testing.assert_allclose(clouds(2, side, decay, np.random.default_rng(0)), expected, atol=1e-12)


def test_fog_of_white_is_a_cloud_from_nothing_to_its_amount():
    white = np.ones((4, 24, 40, 3))
    for severity, amount in (0, 0.2), (4, 1.5):
        found = fog(white, severity, np.random.default_rng(0))
        np.testing.assert_allclose(found.min((1, 2, 3)), 1 / (1 + amount))
        np.testing.assert_allclose(found.max((1, 2, 3)), 1)


def test_fog_hides_a_dark_image_no_less_than_a_bright_one():
    """Each image keeps its own brightest value, each cloud goes from 0 to 1; the script's amounts and decays."""
    values, h, w = np.array([1, 0.25]), 24, 40
    for level, (amount, decay) in enumerate([(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)]):
        found = fog(np.ones((2, h, w, 3)) * values[:, None, None, None], level, np.random.default_rng(0))
        for value, image, cloud in zip(values, found, clouds(2, 64, decay, np.random.default_rng(0))[:, :h, :w]):
            cloud = (cloud - cloud.min()) / np.ptp(cloud)
            expected = value * (value + amount * cloud) / (value + amount)
            np.testing.assert_allclose(image, np.stack([expected] * 3, -1), atol=1e-12)


def test_pixelate_leaves_so_many_rows_and_columns():
    """Of ramps of 24 x 40 pixels: the share of each side, rounded down."""
    for severity, share in zip(SEVERITIES, (0.95, 0.9, 0.85, 0.75, 0.65)):
        for axis, side in enumerate((24, 40)):
            ramp = np.moveaxis(np.broadcast_to(np.arange(side) * 6, (64 - side, side)), -1, axis)
            changed = corrupt(ramp[None, ..., None].astype(np.uint8), 'pixelate', severity)
            assert len(np.unique(changed)) == int(side * share), (severity, side)


def test_jpeg_is_pillows_of_a_known_quality(photographs):
    for severity, quality in zip(SEVERITIES, (80, 65, 58, 50, 40)):
        found = corrupt(photographs[:3], 'jpeg_compression', severity)
        for before, after in zip(photographs, found):
            file = io.BytesIO()
            Image.fromarray(before).save(file, 'JPEG', quality=quality)
            np.testing.assert_array_equal(after, np.asarray(Image.open(file)))


def test_between_pixels_is_scipys():
    """Bilinear, the edge going on beyond the edge, each image at places of its own."""
    draw = np.random.default_rng(0)
    x, rows, columns = draw.random((2, 5, 7, 3)), draw.uniform(-2, 7, (2, 4)), draw.uniform(-2, 9, (2, 6))
    found = at(x, rows, columns)
    assert found.shape == (2, 4, 6, 3)
    for i in range(2):
        places = np.meshgrid(rows[i], columns[i], indexing='ij')
        for c in range(3):
            expected = ndimage.map_coordinates(x[i, ..., c], places, order=1, mode='nearest')
            np.testing.assert_allclose(found[i, ..., c], expected, atol=1e-12)


@pytest.mark.parametrize('kind', KINDS)
def test_grey_images_with_opacity(photographs, kind):
    changed = corrupt(photographs[:3, ..., :2], kind, 3)
    np.testing.assert_array_equal(changed[..., 1:], photographs[:3, ..., 1:2])
    np.testing.assert_array_equal(changed[..., :1], corrupt(photographs[:3, ..., :1], kind, 3))


def test_what_is_random_is_the_same_at_every_severity():
    """Noise grows, and what is black or white stays so."""
    grey = np.full((4, 32, 32, 1), 128, np.uint8)
    for kind in 'gaussian_noise', 'speckle_noise':
        assert np.corrcoef(*(corrupt(grey, kind, severity).ravel() for severity in (1, 5)))[0, 1] > 0.99, kind
    few, many = (corrupt(grey, 'impulse_noise', severity) for severity in (1, 5))
    assert (many == few)[few != 128].all() and (few != 128).any()


def test_kinds_draw_each_their_own():
    grey = np.full((4, 32, 32, 1), 128, np.uint8)
    noise = [corrupt(grey, kind, 5).ravel() for kind in ('gaussian_noise', 'speckle_noise')]
    assert abs(np.corrcoef(*noise)[0, 1]) < 0.1
