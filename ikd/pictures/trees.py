"""Pictures of a mixture of experts: who reads whom, and which classes are routed alike."""
import jax
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import pdist

from ikd.objectives.routing import relative_entropy

LEAST_SHARE = 0.02  # of a child's input, for an edge
FEW_CLASSES = 12
PALETTE = ['#4477aa', '#cc6677', '#228833', '#bb8800', '#aa4499', '#2299bb', '#882255', '#666633']
GREY, FAINT = '#bbbbbb', '#777777'
RADIUS, LEVEL_HEIGHT, SIDE = 0.17, 1.25, 1.4  # inches


def places(order):
    """Where each node of a level stands, in (0, 1), if the nodes stand in `order`: [n]."""
    return (np.argsort(order) + 0.5) / len(order)


def untangle(routings):
    """Place the nodes of every level in (0, 1), so that edges cross little: a list of arrays [nodes].

    Ten sweeps up and down the levels sort each by the mean place of the parents or children, weighted by alpha. The
    last sweep goes down, so of a tree no two edges cross.
    """
    sizes = [routings[0].shape[1], *(len(alpha) for alpha in routings)]
    found = [places(np.arange(size)) for size in sizes]
    for _ in range(10):
        for level in reversed(range(len(routings))):
            alpha = routings[level]
            weight = alpha.sum(0)
            below = np.divide(found[level + 1] @ alpha, weight, where=weight > 0, out=found[level].copy())
            found[level] = places(np.lexsort((found[level], below)))
        for level, alpha in enumerate(routings):
            found[level + 1] = places(np.lexsort((found[level + 1], np.round(alpha @ found[level], 9))))
    return found


def reached(routings):
    """Which nodes of every level some class gets something from, through edges that are drawn: bool arrays."""
    found = [np.ones(len(routings[-1]), bool)]
    for alpha in reversed(routings):
        found.insert(0, ((alpha >= LEAST_SHARE) & found[0][:, None]).any(0))
    return found


def draw_edges(axes, starts, ends, shares, colours):
    """Lines between points [n, 2], in inches, as wide and opaque as their shares [n] in [0, 1]."""
    rgba = [(*to_rgb(colour), 0.12 + 0.78 * share) for colour, share in zip(colours, shares)]
    axes.add_collection(LineCollection(np.stack([starts, ends], 1), colors=rgba, linewidths=0.3 + 2.2 * shares,
                                       capstyle='round', zorder=1))


def name_style(class_names):
    """(inches a class needs across, inches below, font size, rotation) for the names of classes."""
    longest = max(len(name) for name in class_names)
    if len(class_names) <= FEW_CLASSES and longest <= 12:
        return max(0.7, 0.085 * longest + 0.1), 0.35, 9, 0
    size, across = (9, 0.5) if len(class_names) <= FEW_CLASSES else (7, 0.135)
    return across, 0.2 + longest * size * 0.62 / 72, size, 90


def tree_figure(routings, class_names, title):
    """The tree of classes: from the image at the top through the experts down to the classes.

    routings: alpha [children, parents] between each two levels, first to last; the last has a row for each of the k
    class_names. An edge from parent to child is as wide and opaque as its alpha and has its parent's colour; under
    0.02 it is left out. Experts that no class gets anything from are grey. At the side: the mean relative entropy
    of each alpha. Returns a matplotlib Figure.
    """
    routings = [np.asarray(alpha, np.float64) for alpha in routings]
    across, below, size, rotation = name_style(class_names)
    width = max(4.5, across * len(class_names))
    top = below + LEVEL_HEIGHT * (len(routings) + 1)
    figure = Figure(figsize=(width + 0.4 + SIDE, top + 0.75), dpi=110)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width + 0.4 + SIDE), ylim=(0, top + 0.75), aspect='equal')
    axes.axis('off')
    axes.text(0.2, top + 0.6, title, fontsize=10, va='top')

    levels = untangle(routings)
    heights = top - LEVEL_HEIGHT * np.arange(1, len(levels) + 1)
    points = [np.column_stack([0.2 + width * x, np.full(len(x), y)]) for x, y in zip(levels, heights)]
    alive = reached(routings)
    root = np.array([0.2 + width / 2, top])
    colours = [[PALETTE[i % len(PALETTE)] if seen else GREY for i, seen in enumerate(level)] for level in alive[:-1]]

    draw_edges(axes, np.broadcast_to(root, points[0].shape), points[0], np.full(len(points[0]), 0.25),
               ['#555555' if seen else GREY for seen in alive[0]])
    axes.text(*root, 'image', fontsize=9, ha='center', va='center', zorder=3,
              bbox={'boxstyle': 'round', 'facecolor': 'white', 'edgecolor': '#555555'})
    for level, alpha in enumerate(routings):
        child, parent = np.nonzero(alpha >= LEAST_SHARE)
        edge_colours = [colours[level][j] if alive[level + 1][i] else GREY for i, j in zip(child, parent)]
        draw_edges(axes, points[level][parent], points[level + 1][child], alpha[child, parent], edge_colours)
        for i, (point, colour) in enumerate(zip(points[level], colours[level]), 1):
            axes.add_patch(Circle(point, RADIUS, facecolor=colour, edgecolor='white', linewidth=1.5, zorder=2))
            axes.text(*point, str(i), fontsize=8, color='white', ha='center', va='center_baseline', zorder=3)
        axes.text(width + 0.45, heights[level] - LEVEL_HEIGHT / 2,
                  f'entropy {relative_entropy(alpha).mean():.2f}', fontsize=8, va='center', color='#333333')
    axes.text(width + 0.45, top, 'entropy: mean of the\nrows over log(parents)', fontsize=6.5, va='center',
              color=FAINT)
    gap, anchor = (0.06, 'top') if rotation else (0.2, 'baseline')
    for (x, y), name in zip(points[-1], class_names):
        axes.text(x, y - gap, name, fontsize=size, rotation=rotation, ha='center', va=anchor, parse_math=False)
    return figure


def dendrogram_figure(routing, class_names, title):
    """Classes clustered by their rows of the heads' alpha, routing [k, parents]: average linkage.

    The distance of two classes is the Jensen-Shannon distance, the square root of the divergence in bits, in [0, 1]:
    0 for the same mixture, 1 for classes that share no expert. A name has the colour of its class's largest parent,
    whose number follows. Returns a matplotlib Figure.
    """
    routing = np.asarray(routing, np.float64)
    # of equal rows rounding can leave the root of a negative number
    distances = np.nan_to_num(pdist(routing, 'jensenshannon')) / np.sqrt(np.log(2))
    tree = dendrogram(linkage(distances, 'average', optimal_ordering=True), no_plot=True)
    k, strongest = len(class_names), routing.argmax(1)
    row, size = (0.3, 9) if k <= FEW_CLASSES else (0.135, 7)
    names = max(1.4, 0.5 + max(len(name) + 4 for name in class_names) * size * 0.62 / 72)
    width, height = 4.5 + names, row * k + 1.0
    figure = Figure(figsize=(width, height), dpi=110)
    axes = figure.add_axes((0.25 / width, 0.5 / height, 4.25 / width, row * k / height))
    figure.text(0.25 / width, 1 - 0.15 / height, title, fontsize=10, va='top')
    longest = max(np.max(tree['dcoord']), 0.01)
    axes.set(xlim=(1.02 * longest, 0), ylim=(10 * k, 0), yticks=[], xlabel='Jensen-Shannon distance')
    axes.xaxis.label.set_size(8)
    axes.tick_params(labelsize=8)
    axes.spines[['left', 'top', 'right']].set_visible(False)
    axes.add_collection(LineCollection([np.column_stack(line) for line in zip(tree['dcoord'], tree['icoord'])],
                                       colors='#555555', linewidths=1.2, clip_on=False))
    for place, leaf in enumerate(tree['leaves']):
        axes.text(-0.015 * longest, 10 * place + 5, f'{class_names[leaf]}  {strongest[leaf] + 1}', fontsize=size,
                  va='center', color=PALETTE[strongest[leaf] % len(PALETTE)], parse_math=False)
    figure.text(4.57 / width, 0.15 / height, 'class, its largest expert', fontsize=6.5, va='center', color=FAINT)
    return figure


def routings_of(model, variables, image_shape):
    """Every alpha [children, parents] of a mixture of experts, first level to last, for images [h, w, c]."""
    image = np.zeros((1, *image_shape), np.float32)
    _, written = jax.jit(lambda v, x: model.apply(v, x, mutable=['attention']))(variables, image)
    attention = jax.device_get(written['attention'])
    return [attention[name]['alpha'] for name in sorted(attention)]
