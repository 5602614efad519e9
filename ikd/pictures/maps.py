"""Pictures of explanations: Figure 1 of 2009.09140."""
import numpy as np
from matplotlib.figure import Figure

from ikd.data.images import visible
from ikd.explainers.catalogue import SLOPES
from ikd.pictures import in_lines
from ikd.words import number

MOST_CLASSES = 10
LONGEST = 14  # characters of a class's name that have room


def short(text, most):
    """The text, cut in the middle to `most` characters."""
    return text if len(text) <= most else f'{text[:most - most // 2 - 1]}…{text[len(text) - most // 2:]}'


def flat_map(values):
    """A map [h, w] or [h, w, c] as [h, w], signed: colour channels added up."""
    return values.sum(-1) if values.ndim == 3 else values


def colours(explainers):
    """What red and blue say in maps of these explainers, and how strong they are: for a picture's caption.

    A slope says what more of a pixel would do, not what the pixel has done.
    """
    slopes = [name for name in explainers if name in SLOPES]
    says = 'red: speaks for the class, blue: against it' if len(slopes) < len(explainers) else ''
    if slopes:
        whose = f"; of {', '.join(slopes)}: " if says else ''
        says += f"{whose}red: more of it would raise the class's logit, blue: lower it"
    return f'{says}; each map is scaled to its own largest value'


def legend(explainers, similarity='cosine', which='true'):
    """How to read a picture of these explainers' maps: colours, numbers, and whose map is framed."""
    how = '' if similarity == 'cosine' else f' ({similarity})'
    return f"{colours(explainers)}; the number: a map's similarity{how} to that of the {which} class, which is framed"


def draw_image(axes, image):
    """An image, uint8 [h, w, c], grey or in colour."""
    axes.imshow(visible(image), cmap='gray', vmin=0, vmax=255)


def frame(axes):
    """The green frame of the class that others are compared with."""
    for spine in axes.spines.values():
        spine.set(color='green', linewidth=2.5)


def draw_map(axes, image, values):
    """One class's map on the faded image, positive red, negative blue (`colours`); scaled to its own maximum.

    Nothing where it is no number.
    """
    values = flat_map(values)
    values = np.where(np.isfinite(values), values, 0)
    top = np.abs(values).max() or 1
    h, w = image.shape[:2]
    extent = (0, w, h, 0)
    axes.imshow(255 - (255 - visible(image).mean(-1)) * 0.35, cmap='gray', vmin=0, vmax=255, extent=extent)
    coarse = values.shape != (h, w)
    axes.imshow(values, cmap='RdBu_r', vmin=-top, vmax=top, extent=extent, interpolation='bilinear' if coarse else
                'nearest', alpha=np.minimum(1, 1.2 * np.abs(values) / top) ** 0.7)


def below(values, similarity):
    """What stands below a map: its similarity to another, or that it is zero, of which no number says much."""
    return number(similarity) if np.any(values) else 'zero map'


def explanation_figure(images, maps, similarities, labels, probabilities, class_names, title, note=''):
    """Figure 1: a row an image; the image, then a map for every class with its similarity to the true class under it.

    images uint8 [n, h, w, c]; maps [n, k, h', w'] or [n, k, h', w', c]; similarities [n, k] in [-1, 1]; labels int
    [n]; probabilities [n, k]; class_names k strings; note: what stands at the bottom. The true class is framed. Of
    more than ten classes each row shows the true class and the most alike, ten in all, each with its name. Returns a
    matplotlib Figure.
    """
    n, k = similarities.shape
    columns = min(k, MOST_CLASSES)
    width = 1.1 * (columns + 1) + 0.2
    title = in_lines(title + (f'; the {columns} most alike of {k} classes' if columns < k else ''), 12 * width)
    above, note = 0.6 + 0.17 * title.count('\n'), in_lines(note, 16 * width)
    under = 0.2 + (0.1 + 0.15 * len(note.splitlines()) if note else 0)
    height = 1.4 * n + above + under - 0.2
    figure = Figure(figsize=(width, height), dpi=110)
    grid = figure.subplots(n, columns + 1, squeeze=False)
    figure.subplots_adjust(0.01, under / height, 0.99, 1 - above / height, wspace=0.06, hspace=0.42)
    figure.suptitle(title, y=1 - 0.1 / height, va='top', fontsize=10)
    figure.text(0.1 / width, 0.05 / height, note, va='bottom', fontsize=7.5, color='#333333', parse_math=False)
    for row, image in enumerate(images):
        true, predicted = labels[row], probabilities[row].argmax()
        shown = np.arange(k) if k == columns else np.argsort(-similarities[row], kind='stable')[:columns]
        if true not in shown:  # its map is zero, and no more like itself than like others
            shown[-1] = true
        first = grid[row, 0]
        draw_image(first, image)
        first.set_title(short(class_names[true], LONGEST), fontsize=8, fontweight='bold', parse_math=False)
        first.set_xlabel(f'{short(class_names[predicted], LONGEST)} {probabilities[row, predicted]:.2f}', fontsize=7,
                         color='black' if predicted == true else 'firebrick', parse_math=False)
        for axes, label in zip(grid[row, 1:], shown):
            draw_map(axes, image, maps[row, label])
            axes.set_xlabel(below(maps[row, label], similarities[row, label]), fontsize=7)
            if row == 0 or k > columns:
                axes.set_title(short(class_names[label], LONGEST), fontsize=8, parse_math=False)
            if label == true:
                frame(axes)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    return figure
