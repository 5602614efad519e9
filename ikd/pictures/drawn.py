"""A matplotlib Figure, drawn: as a file, as the bytes of one, as pixels."""
import contextlib
import io
import warnings

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ikd.files import replacing


@contextlib.contextmanager
def any_script():
    """Meanwhile letters that matplotlib's font lacks are drawn as boxes without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Glyph .* missing from font')
        yield


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
