"""Image files of every mode as the arrays a network is fed with."""
import io
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from ikd.data.images import MOST_PIXELS, decode, opened, resize


def saved(picture, kind='PNG', **options):
    """The picture as a binary file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    return file


@pytest.fixture(scope='session')
def scene(colour):
    """A picture of 40x32 pixels, two digits beside each other, each channel different."""
    return Image.fromarray(np.concatenate([colour[0][0], colour[0][1][:, :8]], axis=1))


@pytest.mark.parametrize('kind', ['PNG', 'BMP', 'TIFF', 'WEBP'])
def test_colour_as_it_is(scene, kind):
    found = decode(saved(scene, kind, **({'lossless': True} if kind == 'WEBP' else {})), 3)
    np.testing.assert_array_equal(found, np.asarray(scene))
    assert found.dtype == np.uint8


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'RGB', 'RGBA', 'LA', 'CMYK', 'YCbCr', 'I;16'])
def test_modes(scene, mode, channels):
    """Each mode, opaque, is what Pillow makes of it in grey or colour."""
    kind = 'TIFF' if mode in ('CMYK', 'YCbCr') else 'PNG'
    if mode == 'I;16':
        picture = Image.fromarray(np.asarray(scene.convert('L')).astype(np.uint16) * 256 + 77)
        assert picture.mode == mode
        plain = scene.convert('L')
    else:
        plain = picture = scene.convert(mode)
    expected = plain.convert('RGB').convert('L' if channels == 1 else 'RGB')
    found = decode(saved(picture, kind), channels)
    assert found.shape == (32, 40, channels)
    np.testing.assert_allclose(found.squeeze().astype(int), np.asarray(expected), atol=1)


@pytest.mark.parametrize('size', [None, 8])
@pytest.mark.parametrize('channels', [1, 3])
def test_transparent_pixels_are_white(scene, channels, size):
    """Alpha of a half between grey 100 and white; of a palette's and a PNG's transparent colour too."""
    half = scene.convert('L').point(lambda _: 100).convert('LA')
    half.putalpha(128)
    assert set(decode(saved(half), channels, size).flat) <= {177, 178}  # 255 - 155 * 128 / 255
    palette = Image.new('P', (16, 16), 3)
    palette.putpalette(list(range(48)))
    for kind in ('PNG', 'GIF'):
        assert set(decode(saved(palette, kind, transparency=3), channels, size).flat) == {255}
    grey = Image.new('L', (16, 16), 7)
    assert set(decode(saved(grey, transparency=7), channels, size).flat) == {255}
    assert set(decode(saved(grey, transparency=8), channels, size).flat) == {7}


def test_transparency_has_a_channel_where_there_are_four(scene):
    """As in a prepared set whose networks are given images of that kind."""
    half = scene.convert('RGBA')
    half.putalpha(128)
    np.testing.assert_array_equal(decode(saved(half), 4), np.asarray(half))
    assert {*decode(saved(scene), 4)[..., 3].flat} == {255}


def test_colour_under_full_transparency_does_not_bleed():
    """Left half opaque black, right half transparent red: black to white, no red, at any size."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :32, 3] = 255
    pixels[:, 32:, 0] = 255
    found = decode(saved(Image.fromarray(pixels)), 3, 12)
    np.testing.assert_allclose(found[..., 0], found[..., 1], atol=1)
    assert found[0, 0, 0] == 0 and found[0, -1, 1] == 255


@pytest.mark.parametrize('size', [None, 6, (4, 8)])
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_turned_as_exif_says(scene, orientation, kind, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {'quality': 100, 'subsampling': 0} if kind == 'JPEG' else {}
    file = saved(scene, kind, exif=exif, **options)
    turned = ImageOps.exif_transpose(Image.open(file))
    assert turned.size == ((32, 40) if orientation > 4 else (40, 32))
    expected = decode(saved(turned), 3, size)
    file.seek(0)
    np.testing.assert_allclose(decode(file, 3, size).astype(int), expected, atol=8 if size else 2)


def test_damaged_exif_does_not_matter(scene):
    file = saved(scene, 'PNG', exif=b'Exif\0\0MM\0*garbage')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        np.testing.assert_array_equal(decode(file, 3), np.asarray(scene))


@pytest.mark.parametrize('size, box', [
    ((16, 8), (12, 0, 28, 32)), ((4, 20), (0, 12, 40, 20)), ((8, 10), (0, 0, 40, 32)),
    ((15, 40), (0, 8.5, 40, 23.5)), ((32, 15), (12.5, 0, 27.5, 32))])
def test_the_middle_rectangle_is_kept(scene, size, box):
    """Of 32x40 pixels what has the shape asked for, as large as can be."""
    expected = scene.resize(size[::-1], Image.Resampling.BICUBIC, box, reducing_gap=2)
    np.testing.assert_array_equal(decode(saved(scene), 3, size), np.asarray(expected))


@pytest.mark.parametrize('wide', [True, False])
def test_the_middle_square_is_kept(wide):
    """Thirds of a long picture: black, a gradient, black. The gradient remains, not squeezed; its ends see a little
    of what was cut off."""
    pixels = np.zeros((30, 90), np.uint8)
    pixels[:, 30:60] = np.linspace(50, 250, 30)
    picture = Image.fromarray(pixels if wide else pixels.T)
    found = decode(saved(picture), 1, 15)[..., 0].astype(float)
    found = found if wide else found.T
    expected = np.broadcast_to(np.linspace(50, 250, 30).reshape(15, 2).mean(1), (15, 15))
    np.testing.assert_allclose(found[:, 1:-1], expected[:, 1:-1], atol=4)
    np.testing.assert_allclose(found, expected, atol=20)


def test_a_large_jpeg_is_much_the_same_as_the_whole_of_it(scene):
    """JPEG is decoded at a fraction of its size: close to what the same pixels in a PNG give."""
    large = scene.resize((1200, 960), Image.Resampling.BICUBIC)
    jpeg = saved(large, 'JPEG', quality=95)
    exact = decode(saved(Image.open(jpeg)), 3, 20)
    jpeg.seek(0)
    assert np.abs(decode(jpeg, 3, 20).astype(int) - exact).mean() < 2


def test_an_animation_is_its_first_frame(scene):
    frames = [Image.new('L', (8, 8), value) for value in (10, 200)]
    for kind in ('GIF', 'TIFF', 'WEBP'):
        file = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        np.testing.assert_allclose(decode(file, 1), 10, atol=2)


def test_what_is_refused(scene, tmp_path):
    with pytest.raises(ValueError, match='no picture has 2 channels'):
        decode(saved(scene), 2)
    for mode in ('I', 'F'):
        with pytest.raises(ValueError, match='32 bits'):
            decode(saved(scene.convert('L').convert(mode), 'TIFF'), 1)
    postscript = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) print\n%%EOF\n'
    for file in (postscript, b'', b'P5 2 2 255 abcd'):
        with pytest.raises(OSError, match='cannot identify'):
            decode(io.BytesIO(file), 3)


def test_bombs_are_refused_by_their_headers(monkeypatch):
    """A file of 8 kB that would be 67 million pixels, and one that claims more than its bytes could say.

    A row less is no bomb.
    """
    bomb = saved(Image.new('1', (8193, 8192)))
    assert len(bomb.getvalue()) < 20_000 and 8193 * 8192 > MOST_PIXELS
    header = bytearray(saved(Image.new('L', (8, 8)), 'BMP').getvalue())
    header[18:26] = (30000).to_bytes(4, 'little') * 2
    largest = saved(Image.new('1', (8192, 8192)))
    monkeypatch.setattr(Image.Image, 'load', None)
    with opened(largest) as picture:
        assert picture.width * picture.height == MOST_PIXELS
    with pytest.raises(ValueError, match='8193x8192 pixels, not 1 to 67,108,864'):
        decode(bomb, 1, 8)
    with warnings.catch_warnings(), pytest.raises((ValueError, Image.DecompressionBombError)):
        warnings.simplefilter('ignore')
        with opened(io.BytesIO(header)):
            pass


@pytest.mark.parametrize('channels', [1, 2, 3, 5])
@pytest.mark.parametrize('size', [5, 50])
def test_channels_that_are_no_opacity_are_resized_by_themselves(scene, channels, size):
    """A channel that is 0 in places, as the last of two, takes nothing from the others."""
    image = np.concatenate([np.asarray(scene)] * 2, -1)[..., :channels].copy()
    image[:10, :, -1] = 0
    found = resize(image, size)
    assert found.shape == (size, size, channels) and found.dtype == np.uint8
    for channel in range(channels):
        alone = Image.fromarray(image[..., channel]).resize((size, size), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(found[..., channel], np.asarray(alone))


def test_colours_under_opacity_do_not_bleed_when_resized():
    image = np.zeros((8, 8, 4), np.uint8)
    image[:, :4] = 100, 100, 100, 255
    image[:, 4:, 0] = 255  # which is not seen
    assert resize(image, 16)[..., 0].max() < 110
