"""A grid made of another: by the words after the colon of `--config=FILE:WORDS`, or for data that lies elsewhere."""
from ikd.config import smoke
from ikd.errors import InputError

FASTER = 'tf32', 'bfloat16'  # than float32, on accelerators


def adapt(grid, argument):
    """The grid as the comma-separated list after the colon of `--config=FILE:LIST` wants it.

    `smoke`: two epochs of few images. `epochs=N`: a shorter schedule, of N epochs where the longest cells have most;
    milestones and warm-ups keep their shares. `images=N`: only the first N training images. For none of these has the
    paper numbers. `precision=tf32` or `bfloat16`: instead of float32. `model=NAME`: only the cells of that network.
    Title (but for the network) and files are named so, cells by themselves.
    Raises InputError for a word that means nothing, or a kind that is given twice.
    """
    words = [*filter(None, argument.split(','))]
    kinds = [word.partition('=')[0] for word in words]
    if twice := [kind for kind in kinds if kinds.count(kind) > 1]:
        raise InputError(f"'{twice[0]}' is given twice after the colon of --config; leave one of them out")
    # One order of names, and the network first, as the schedule is that of its longest cell.
    for word in sorted(words, key=lambda word: (not word.startswith('model='), word)):
        kind, _, value = word.partition('=')
        longest = max(cell.config.epochs for cell in grid.cells)
        if word == 'smoke':
            grid = _each(grid, smoke, 'smoke', 'two epochs of 256 images: a test of the machinery')
        elif kind == 'epochs' and value.isdecimal() and int(value) > 1:
            grid = _each(grid, lambda config: rescale(config, int(value) / longest), f'epochs{value}',
                         f'{value} epochs instead of {longest}; milestones, warm-ups and shorter runs in proportion')
        elif kind == 'images' and value.isdecimal() and int(value) > 0:
            grid = _each(grid, lambda config: config.data.update(train_images=int(value)), f'images{value}',
                         f'the first {int(value):,} training images')
        elif kind == 'precision' and value in FASTER:
            grid = _renamed(_changed(grid, lambda config: config.update(precision=value)), value, value)
        elif kind == 'model' and value in (there := sorted({cell.config.model.name for cell in grid.cells})):
            cells = tuple(cell for cell in grid.cells if cell.config.model.name == value)
            grid = grid._replace(cells=cells, name=f'{grid.name}-{value}')
        elif kind in ('epochs', 'images') and value:
            least = 2 if kind == 'epochs' else 1
            raise InputError(f"'{word}' after the colon of --config: give a whole number of at least {least}")
        else:
            models = f"; the networks are {', '.join(there)}" if kind == 'model' else ''
            raise InputError(f"unknown argument '{word}' after the colon of --config; choose from: smoke, epochs=N, "
                             f"images=N, precision={' or '.join(FASTER)}, model=NAME{models}")
    there = {'', *(cell.config.data.name for cell in grid.cells), *('paper' for cell in grid.cells if cell.paper)}
    notes = [('', note) if isinstance(note, str) else note for note in grid.notes]
    return grid._replace(notes=tuple(note for about, note in notes if about in there))


def _each(grid, change, suffix, words):
    """The grid with `change` made to a copy of every config, without the paper's numbers; names and title say so."""
    cells = tuple(cell._replace(paper=None) for cell in _changed(grid, change).cells)
    return _renamed(grid._replace(cells=cells), suffix, words)


def _renamed(grid, suffix, words):
    return grid._replace(name=f'{grid.name}-{suffix}', title=f'{grid.title} ({words})')


def _changed(grid, change):
    configs = [cell.config.copy_and_resolve_references() for cell in grid.cells]
    for config in configs:
        change(config)
    return grid._replace(cells=tuple(cell._replace(config=config) for cell, config in zip(grid.cells, configs)))


def on_data(grid, directory):
    """The grid with the data of its cells in a directory: official files, folders of them, or prepared TFDS sets."""
    return _changed(grid, lambda config: config.data.update(dir=str(directory)))


def rescale(config, factor):
    """Make a config's schedule so many times as long: its epochs, and those that its parts give as numbers."""
    config.epochs = max(2, round(factor * config.epochs))
    for part, field in (config.method, 'warmup_epochs'), (config.features, 'epochs'):
        if part[field]:
            part[field] = max(1, round(factor * part[field]))
