"""A table or a figure as data: its cells, the files of what is done, and what is left to do.

A cell is one configuration; with a seed it is one file, `<results>/cells/<cell>-<seed>.json`. Where the file is, the
work is done.
"""
import hashlib
import json
import pathlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ikd import stage_names
from ikd.config import identity
from ikd.errors import InputError, writing
from ikd.files import has_form, write_json
from ikd.provenance import now
from ikd.recipes import EXPLAINED, recipe
from ikd.run_files import DEVICE, TRIAL
from ikd.validation import resolve, usual

# What a cell's file has in any case.
TOLD = {**TRIAL, 'data': {'name': str, 'train_images': int, 'test_images': int},
        'schedule': [{'stage': str, 'epochs': int}], 'precision': str, 'finished': str, 'git_commit': str | None,
        'versions': dict, 'device': DEVICE, 'config': dict}
TRAINED_WITH = ('finished', 'git_commit', 'versions', 'device')


class Cell(NamedTuple):
    """One number of a table: a config, trained on several seeds.

    paper: what the paper has there, (mean, standard deviation) of the accuracy in percent, or None.
    measure(run directory, seed): a dict of further numbers of a finished trial, for the cell's file. picture(run
    directory, seed): a matplotlib Figure of the trial of seed 0, for `picture_path`. seeds: those that it is for, by
    default all of the grid; cells of one row and column share these between them, where each has other images.
    """
    row: str
    column: str
    config: Any
    paper: tuple | None = None
    measure: Callable | None = None
    picture: Callable | None = None
    seeds: tuple[int, ...] | None = None

    def takes(self, seed):
        """Whether the cell is for a seed."""
        return self.seeds is None or seed in self.seeds


class Grid(NamedTuple):
    """A table: its cells, and how they are read.

    name: of the files that are written. error: numbers are shown as errors, 100 - accuracy. references: rows that
    others are compared with, paired by seed. ordered: rows of which the paper says where they stand among the others.
    notes: sentences under the table, or (about, sentence), which `adapt` keeps where a cell has what it is about: a
    data set's name, or `paper` for numbers of the paper. trials: seeds 0, 1, ... of each cell. report(grid, found,
    results): writes the grid's files into the folder `results` and returns what to print; None: `table.report`.
    """
    name: str
    title: str
    cells: tuple[Cell, ...]
    notes: tuple[str | tuple[str, str], ...] = ()
    error: bool = False
    references: tuple[str, ...] = ('CE', 'LS', 'LE-Uniform')
    ordered: tuple[str, ...] = ()
    trials: int = 5
    report: Callable | None = None


def cell_name(config):
    """`mnist-mlp-le-grad-1a2b3c4d`: data, network, method, explainer, and a digest of the identity without the seed.

    The digest is of the fields that differ from their defaults, so that a new field changes no name.
    """
    config = resolve(config)
    says = {field: value for field, value in seedless(config).items() if value != usual().get(field)}
    explainer = config.method.explainer if config.method.name in EXPLAINED else ''
    data = re.sub('[/:]', '_', config.data.name)  # `set/configuration:version` of TFDS
    words = [data, config.model.name, 'vam' if config.model.vam else '', config.method.name, explainer]
    digest = hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()[:8]
    return '-'.join([*filter(None, words), digest])


def seedless(config):
    """The fields of a resolved config that say what a cell is, whatever the seed."""
    return {field: value for field, value in identity(config).items() if field != 'seed'}


def cell_path(results, name, seed):
    """Where the file of a cell and seed is."""
    return pathlib.Path(results) / 'cells' / f'{name}-{seed}.json'


def read_cell(results, cell, seed):
    """The contents of a cell's file, None if there is none.

    Raises InputError if it is damaged, or is of a config that says something else or of other code of the user's.
    """
    config = resolve(cell.config)
    path = cell_path(results, cell_name(config), seed)
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text())
        whole = (has_form(record, TOLD) and 0 <= record['test_accuracy'] <= 100 and record['seed'] == seed
                 and has_form(record.get('measured', {}), dict))
    except (OSError, ValueError):
        whole = False
    if not whole:
        raise InputError(f'{path} is damaged; remove it, and its seed is trained again')
    there = usual() | record['config']
    changed = [field for field, value in seedless(config).items() if there.get(field) != value]
    if changed:
        raise InputError(f"{path} is of another config: {', '.join(changed)} differ{'s' * (len(changed) == 1)}; "
                         'remove it, and its seed is trained again')
    began = record.get('own_code')
    if began and began != stage_names.own_code(config):
        raise InputError('your own code (recipe, objective, network, explainer, similarity or data) is not what the '
                         f'network of {path} was trained with; give another --results and --workdir, or take the '
                         'line own_code out of it if the code does the same')
    return record


def measured_of(cell, directory, seed):
    """What a cell measures of a trial of the run in a directory, a dict, or None where it measures nothing."""
    if cell.measure is None:
        return None
    measured = cell.measure(directory, seed)
    if not isinstance(measured, dict):
        raise InputError(f'measure of {cell.row} must return a dict of numbers by name, not {measured!r}; correct '
                         'it, and the same command goes on')
    return measured


def write_cell(results, cell, summary, seed, measured=None):
    """Write the file of a cell and seed from the summary of the run that trained it; returns its contents.

    What was measured of the same network before is kept.
    """
    config = resolve(cell.config)
    name = cell_name(config)
    (trial,) = [trial for trial in summary['trials'] if trial['seed'] == seed]
    known = {'finished': now(), **summary, **trial}  # summaries used to say it of all trials alone
    path, there, own = cell_path(results, name, seed), read_cell(results, cell, seed), stage_names.own_code(config)
    if there and 'measured' in there and there['test_accuracy'] == trial['test_accuracy']:
        measured = {**there['measured'], **(measured or {})}
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        'cell': name, **trial, **({} if measured is None else {'measured': measured}),
        **({'own_code': own} if own else {}),
        'data': {'name': config.data.name, 'train_images': summary['train_images'],
                 'test_images': summary['test_images'], 'checksum': summary.get('data_checksum')},
        'schedule': [{'stage': stage.name, 'epochs': stage.epochs} for stage in recipe(config)],
        'precision': config.precision, **{field: known[field] for field in TRAINED_WITH}, 'config': seedless(config)}
    write_json(path, record)
    return record


def read_cells(results, grid):
    """{cell name: {seed: the contents of its file}} of a grid's cells, for their seeds that have a file, in order."""
    found = {}
    for cell in grid.cells:
        name = cell_name(cell.config)
        paths = (pathlib.Path(results) / 'cells').glob(f'{name}-*.json')
        seeds = sorted(int(seed) for path in paths if (seed := path.stem.removeprefix(f'{name}-')).isdecimal())
        found[name] = {seed: read_cell(results, cell, seed) for seed in seeds if cell.takes(seed)}
    return found


def picture_path(results, grid, cell):
    """Where the picture of a cell is."""
    return pathlib.Path(results) / f'{grid.name}-{cell.config.data.name}.png'


def drawn(results, grid, found):
    """What `read_cells` has found without the trials whose picture is not there, so that they are done again."""
    absent = {cell_name(cell.config) for cell in grid.cells
              if cell.picture and not picture_path(results, grid, cell).exists()}
    return {name: {seed: record for seed, record in records.items() if seed or name not in absent}
            for name, records in found.items()}


def families(grid):
    """The grid's cells, each once, in lists: those that share a teacher or a warm-up are in the same list."""
    lists = []
    for name, cell in {cell_name(cell.config): cell for cell in grid.cells}.items():
        config = resolve(cell.config)
        stages = recipe(config)
        shared = {stage_names.stage_name(config, stages, i) for i, stage in enumerate(stages[:-1]) if not stage.given}
        relatives = [family for family in lists if family[0] & shared]
        cells = [old for family in relatives for old in family[1]]
        joined = shared.union(*(family[0] for family in relatives)), [*cells, (name, cell)]
        lists = [family for family in lists if family not in relatives] + [joined]
    return [cells for _, cells in lists]


def share(lists, i, n):
    """The i-th of n parts (i from 1) of a list of lists, nearly alike in size, no list divided."""
    parts = [[] for _ in range(n)]
    for cells in sorted(lists, key=len, reverse=True):
        min(parts, key=lambda part: sum(map(len, part))).append(cells)
    return parts[i - 1]


def missing(grid, found, i=1, n=1, together=1):
    """[(name, cell, seeds), ...] without a file yet, in the order to train them, of the i-th of n parts.

    All cells of a seed (of `together` seeds) before the next, in the grid's order, so that what is done is paired.
    """
    order = [cell_name(cell.config) for cell in grid.cells]
    cells = sorted(sum(share(families(grid), i, n), []), key=lambda pair: order.index(pair[0]))
    todo = []
    for first in range(0, grid.trials, together):
        for name, cell in cells:
            seeds = [seed for seed in range(first, min(first + together, grid.trials))
                     if cell.takes(seed) and not is_done(cell, found[name].get(seed))]
            if seeds:
                todo.append((name, cell, seeds))
    return todo


def is_done(cell, record):
    """Whether the contents of a file, or None, are all that a cell asks of a trial."""
    return record is not None and (cell.measure is None or 'measured' in record)
