"""Image files of any kind as uint8 arrays of one kind, and resizing."""
import contextlib
import struct
import warnings

import numpy as np
from PIL import ExifTags, Image

# Pillow's other readers start programs (EPS), or are so seldom used that their faults stay unseen.
FORMATS = ('PNG', 'JPEG', 'BMP', 'GIF', 'WEBP', 'TIFF')
SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.gif', '.webp', '.tif', '.tiff')
MODES = {1: 'L', 3: 'RGB', 4: 'RGBA'}  # of so many channels: grey, colour, colour and opacity
MOST_PIXELS = 2**26  # 8192 x 8192; 256 MB once decoded

GREY = ('1', 'L', 'LA', 'I;16', 'I;16L', 'I;16B')
TURN = Image.Transpose
TURNS = {2: TURN.FLIP_LEFT_RIGHT, 3: TURN.ROTATE_180, 4: TURN.FLIP_TOP_BOTTOM, 5: TURN.TRANSPOSE,
         6: TURN.ROTATE_270, 7: TURN.TRANSVERSE, 8: TURN.ROTATE_90}
SIDEWAYS = (TURN.TRANSPOSE, TURN.ROTATE_270, TURN.TRANSVERSE, TURN.ROTATE_90)


def resize(image, size):
    """Returns the uint8 image [h, w, c] as uint8 [size, size, c], bicubically.

    Four channels are colours and opacity, so that what can't be seen does not bleed; others, also two, are by
    themselves.
    """
    parts = [image] if image.shape[-1] in (3, 4) else np.moveaxis(image, -1, 0)
    return np.dstack([Image.fromarray(part).resize((size, size), Image.Resampling.BICUBIC) for part in parts])


def visible(images):
    """The grey [..., 1] or the colours [..., 3] of images [..., c], without what is beside them, as opacity."""
    return images[..., :3 if images.shape[-1] >= 3 else 1]


@contextlib.contextmanager
def quiet():
    """Without Pillow's warnings: of metadata that do not matter, and of sizes that `opened` refuses anyhow."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', module='PIL')
        yield


@contextlib.contextmanager
def opened(file):
    """Yields the Pillow image in a file (a path or a binary file), of which only the header has been read.

    Raises whatever Pillow makes of a file that is none of FORMATS or is damaged; ValueError for an image without
    pixels or with more than MOST_PIXELS, before any is decoded.
    """
    with Image.open(file, formats=FORMATS) as picture:
        w, h = picture.size
        if not 0 < w * h <= MOST_PIXELS:
            raise ValueError(f'{w}x{h} pixels, not 1 to {MOST_PIXELS:,}')
        yield picture


def decode(file, channels, size=None):
    """The image in a file (a path or a binary file) as uint8 [h, w, channels]; channels: one of MODES.

    With a size, pixels a side or (h, w): the largest square, or rectangle of that shape, in the middle, resized
    bicubically. So nothing is distorted, but the ends of the longer side are lost. Whatever the size: the first frame
    of an animation, transparent pixels over white unless there is a channel for them, the upper 8 of 16 bits, turned
    as EXIF says. Raises what `opened` raises, whatever Pillow makes of damaged pixels, and ValueError for 32-bit
    pixels, whose range is unknown, and for other numbers of channels than 1, 3 and 4.
    """
    if channels not in MODES:
        raise ValueError(f'no picture has {channels} channels')
    with opened(file) as picture:
        if size is not None:
            h, w = (size, size) if np.ndim(size) == 0 else size
            picture.draft(None, (2 * max(h, w),) * 2)  # decodes a large JPEG at a fraction of its size
        picture.load()  # a TIFF is turned by Pillow here, and says no more that it should be
        turn = _turn(picture)
        picture = _plain(picture)
        if size is not None:
            picture = _middle(picture, *((w, h) if turn in SIDEWAYS else (h, w)))
        if picture.mode == 'RGBA' and channels < 4:
            picture = Image.alpha_composite(Image.new('RGBA', picture.size, 'white'), picture)
        if turn is not None:
            picture = picture.transpose(turn)
        picture = picture.convert(MODES[channels])
    return np.asarray(picture).reshape(picture.height, picture.width, channels)


def _plain(picture):
    """The pixels in mode L, RGB or RGBA."""
    if picture.mode.startswith('I;16'):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ('I', 'F'):
        raise ValueError('pixels of 32 bits, whose range is unknown')
    if picture.has_transparency_data:
        return picture.convert('RGBA')
    return picture.convert('L' if picture.mode in GREY else 'RGB')


def _middle(picture, h, w):
    across, down = min(picture.width, picture.height * w / h), min(picture.height, picture.width * h / w)
    x, y = (picture.width - across) / 2, (picture.height - down) / 2
    return picture.resize((w, h), Image.Resampling.BICUBIC, (x, y, x + across, y + down), reducing_gap=2)


def _turn(picture):
    """The transposition that EXIF asks for, or None, also where EXIF is damaged, which harms no pixel."""
    try:
        return TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))
    except (SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error):
        return None
