"""A matplotlib Figure, drawn: as a file, as the bytes of one, as pixels."""
import contextlib
import functools
import io
import sys
import warnings

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ikd.files import replacing


@contextlib.contextmanager
def any_script():
    """Meanwhile letters that matplotlib's font lacks are drawn as boxes, which is told once, not of each."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('default')
        yield
    for warning in told:
        if 'missing from font' in str(warning.message):
            tell_of_boxes()
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


@functools.cache
def tell_of_boxes():
    """Say on stderr, the first time, how to have pictures with all letters."""
    print("ikd: matplotlib's font has not all letters of the names here, and draws boxes; add one that has them to "
          'font.family in your matplotlibrc, as in: font.family: DejaVu Sans, Noto Sans CJK JP', file=sys.stderr)


def save_figure(figure, path):
    """Replace the file at `path` by a matplotlib Figure as PNG, whole or not at all."""
    with replacing(path) as new:
        new.write_bytes(png(figure))


def png(figure):
    """A matplotlib Figure as the bytes of a PNG."""
    written = io.BytesIO()
    with any_script():
        figure.savefig(written, format='png')
    return written.getvalue()


def pixels(figure):
    """The figure as uint8 [height, width, 3]."""
    canvas = FigureCanvasAgg(figure)
    with any_script():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
