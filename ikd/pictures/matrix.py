"""Picture of a matrix over classes: Figure 2 of 2009.09140."""
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ikd.pictures import in_lines
from ikd.words import number

FIELD = 0.44  # inches, with a number in it
MOST_NUMBERED = 20  # classes


def draw_matrix(figure, corner, side, size, matrix, class_names, title, marked, rows):
    """One heat map of `side` inches whose lower left corner is at `corner`, inches; class names of `size` points."""
    k, (width, height) = len(class_names), figure.get_size_inches()
    axes = figure.add_axes((corner[0] / width, corner[1] / height, side / width, side / height))
    off = matrix[~np.eye(k, dtype=bool)]
    top = np.nanmax(np.abs(off)) or 1
    drawn = axes.imshow(np.ma.masked_where(np.eye(k, dtype=bool), matrix), cmap='RdBu_r', vmin=-top, vmax=top)
    axes.set_facecolor('#dddddd')
    turn = 0 if max(map(len, class_names)) < 4 else 45 if k <= MOST_NUMBERED else 90
    axes.set_xticks(range(k), class_names, rotation=turn, ha='right' if turn else 'center', fontsize=size,
                    rotation_mode='anchor', parse_math=False)
    axes.set_yticks(range(k), class_names, fontsize=size, parse_math=False)
    axes.tick_params(length=2, pad=2)
    axes.set_title(title, fontsize=10, loc='left')
    axes.set_xlabel('class', fontsize=9)
    axes.set_ylabel(rows, fontsize=9)
    if k <= MOST_NUMBERED:
        for (row, column), value in np.ndenumerate(matrix):
            if not np.isnan(value):
                dark = row != column and abs(value) > 0.65 * top
                axes.text(column, row, number(value), fontsize=7.5, ha='center',
                          va='center', color='white' if dark else 'black')
    else:
        bar = figure.add_axes(((corner[0] + side + 0.1) / width, corner[1] / height, 0.15 / width, side / height))
        figure.colorbar(drawn, cax=bar).ax.tick_params(labelsize=8)
    for names in marked:
        i, j = (class_names.index(name) for name in names)
        for row, column in ((i, j), (j, i)):
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor='black', linewidth=2,
                                     clip_on=False))


def matrix_figure(matrices, class_names, title, marked=(), note=''):
    """Heat maps side by side, the classes on both axes, the number in each field.

    matrices: title -> (matrix [k, k], what its rows are); NaN: no value. Colours go from blue through white at 0 to
    red, up to the largest value off the diagonal, which is grey. marked: pairs of class names that are framed. note:
    lines below. Over 20 classes the fields are small, and a bar of colours has the numbers. A matplotlib Figure.
    """
    k, longest = len(class_names), max(map(len, class_names))
    side = FIELD * min(k, MOST_NUMBERED)
    size = min(9, max(3, 60 * side / k))
    left, below = 0.45 + longest * size * 0.6 / 72, 0.5 + longest * size * 0.5 / 72
    below += 0.22 * (note.count('\n') + 1) if note else 0
    across = left + side + (0.2 if k <= MOST_NUMBERED else 0.8)
    width = max(across * len(matrices), 3.5)
    title = in_lines(title, 11 * width)
    height = below + side + 0.75 + 0.18 * title.count('\n')
    figure = Figure(figsize=(width, height), dpi=110)
    figure.text(0.15 / width, 1 - 0.12 / height, title, fontsize=11, va='top')
    for i, (name, (matrix, rows)) in enumerate(matrices.items()):
        draw_matrix(figure, (i * across + left, below), side, size, np.asarray(matrix, float), tuple(class_names),
                    name, marked, rows)
    figure.text(0.15 / width, 0.1 / height, note, fontsize=8, va='bottom', color='#333333')
    return figure
