"""Pictures of what a network sees in an image: a map for every class on it, explainers one below the other."""
import textwrap

from matplotlib.figure import Figure

from ikd.pictures.maps import below, draw_image, draw_map, frame, legend, short

CELL, LEFT, HEAD, BELOW, GAP, NARROWEST = 1.15, 0.55, 0.95, 0.3, 0.08, 6.5  # inches


def overlay_figure(name, image, classes, explained, probabilities, label, class_names, title='',
                   similarity='cosine', notes=()):
    """A row an explainer, a column a class: its map on the image, under it its similarity to the map of one class.

    That is the true class, which is framed, or the predicted one where the true one is not known. name: what the
    image is called. image: uint8 [h, w, c] as the network sees it. classes: int [m], those to draw, in this order.
    explained: explainer -> their (maps [m, h', w'] or [m, h', w', c], similarities [m] in [-1, 1]). probabilities
    [k]; the class they favour is bold, and red where it is wrong. label: the true class, -1 where it is not known.
    title: what network it is. similarity: what the numbers are, a key of `SIMILARITIES`. notes: lines below, besides
    those that say how to read the picture. Returns a matplotlib Figure.
    """
    k, predicted = len(class_names), int(probabilities.argmax())
    reference, which = (label, 'true') if label >= 0 else (predicted, 'predicted')
    notes = [legend(explained, similarity, which), *notes]
    if len(classes) < k:
        unlikely = (probabilities > probabilities[reference]).sum() >= len(classes)
        notes.insert(0, f'{len(classes)} of {k} classes: the most probable'
                        + (', and the true class' if unlikely else ''))
    width = max(LEFT + CELL + len(classes) * (CELL + GAP), NARROWEST)
    lines = [line for note in notes for line in textwrap.wrap(note, int(17 * width))]
    height = HEAD + len(explained) * (CELL + BELOW) + 0.1 + 0.17 * len(lines)
    figure = Figure(figsize=(width, height), dpi=110)

    def place(x, row):
        top = HEAD + row * (CELL + BELOW)
        axes = figure.add_axes((x / width, 1 - (top + CELL) / height, CELL / width, CELL / height))
        axes.set(xticks=[], yticks=[])
        return axes

    def write(y, text, **style):
        figure.text(0.1 / width, y / height, text, parse_math=False, **style)

    write(height - 0.1, short(name, int(9 * width)), va='top', fontsize=11, fontweight='bold')
    write(height - 0.31, short(title, int(15 * width)), va='top', fontsize=8.5, color='#333333')
    write(0.08, '\n'.join(lines), va='bottom', fontsize=7.5, color='#333333')
    axes = place(0.1, 0)
    draw_image(axes, image)
    axes.set_xlabel(f'{short(class_names[predicted], 16)} {probabilities[predicted]:.2f}', fontsize=8,
                    parse_math=False)
    for column, one in enumerate(classes):
        for row, (explainer, (maps, similarities)) in enumerate(explained.items()):
            axes = place(LEFT + CELL + column * (CELL + GAP), row)
            draw_map(axes, image, maps[column])
            axes.set_xlabel(below(maps[column], similarities[column]), fontsize=8, labelpad=2)
            if column == 0:
                axes.set_ylabel(explainer, fontsize=8, labelpad=3)
            if row == 0:
                axes.set_title(f'{short(class_names[one], 15)}\n{probabilities[one]:.2f}', fontsize=8, pad=3,
                               parse_math=False, fontweight='bold' if one == predicted else 'normal',
                               color='firebrick' if one == predicted != reference else 'black')
            if one == reference:
                frame(axes)
    return figure
