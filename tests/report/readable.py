"""Whether what is written in a picture can be read."""
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg


def texts_of(figure):
    """[(text, its box in pixels, its rotation), ...] of all that is written, after a drawing."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = list(figure.texts)
    for axes in figure.axes:
        legend = axes.get_legend()
        texts += [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label,
                  *(legend.get_texts() if legend else [])]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer()), text.get_rotation())
            for text in texts if text.get_text()]


def assert_readable(figure):
    """Nothing is cut off, and no two texts that stand upright overlap."""
    found = texts_of(figure)
    width, height = figure.get_size_inches() * figure.dpi
    cut = [text for text, box, _ in found if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]
    assert not cut
    upright = [(text, box) for text, box, rotation in found if rotation == 0]
    edges = np.array([box.extents for _, box in upright])
    lower, upper = edges[:, None, :2], edges[:, None, 2:]
    both = np.triu((np.minimum(upper, edges[:, 2:]) - np.maximum(lower, edges[:, :2]) > 1).all(-1), 1)
    assert not both.any(), [(upright[i][0], upright[j][0]) for i, j in zip(*np.nonzero(both))]
