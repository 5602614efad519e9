"""Run what a table still lacks, and write the table: `python -m ikd.reproduce --config=FILE --workdir=DIR`.

  python -m ikd.reproduce --config=configs/tables/table3.py --workdir=runs/table3 --data=DIR
  python -m ikd.reproduce --config=configs/tables/table3.py --render                     only write the table
  python -m ikd.reproduce --config=configs/tables/table2.py:model=resnet8,epochs=40 ...  one network, fewer epochs
  python -m ikd.reproduce --config=configs/tables/table3.py --cells=2/3 ...              the second of three parts

Each finished trial is a file in <results>/cells/; what has one is not run again. Cut at any moment, by Ctrl-C,
SIGTERM or worse, the same command goes on.
"""
import argparse
import pathlib
import statistics
import sys
from os.path import expanduser
from time import monotonic as now

from absl import logging

from ikd import experiment
from ikd import grid as grids
from ikd.compiled import keep_compiled
from ikd.errors import Apart, Diverged, InputError, OutOfMemory, RunError, Stopped, ending_in_a_line
from ikd.grid_words import on_data
from ikd.host_memory import keep_memory
from ikd.modules import mistakes_in_a_line, module_of
from ikd.parallel import seeds_at_once
from ikd.pictures.drawn import save_figure
from ikd.provenance import provenance
from ikd.run_files import open_folder
from ikd.signals import same_command, stopping
from ikd.stage_names import own_code
from ikd.tables import table
from ikd.validation import resolve
from ikd.words import named

POINTS = 16  # of a trial, at which it is saved and tested


def parse(argv):
    """The command line's options; argparse exits with 2 for what it doesn't know."""
    parser = argparse.ArgumentParser(prog='python -m ikd.reproduce', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', required=True, type=expanduser,
                        help='a file of configs/tables/, configs/figures/ or configs/searches/, and after a colon '
                        'smoke, epochs=N, images=N, precision=NAME, model=NAME')
    parser.add_argument('--workdir', type=expanduser,
                        help='where runs, checkpoints and shared teachers go; keep it to go on with')
    parser.add_argument('--results', type=expanduser, default='results',
                        help='where finished cells and the table go (%(default)s)')
    parser.add_argument('--data', type=expanduser, help='the folder of the official files or a prepared TFDS set; or '
                        'of folders called mnist and cifar10')
    parser.add_argument('--cells', default='1/1', help='i/n: the i-th of n parts; relatives stay together')
    parser.add_argument('--rows', help='train only these methods, separated by commas')
    parser.add_argument('--columns', help='train only these networks, or searches, separated by commas')
    parser.add_argument('--trials', type=int, help='seeds 0, 1, ... of each cell; by default as many as the paper')
    parser.add_argument('--minutes', type=float, help='stop, everything saved, when so many have gone')
    parser.add_argument('--together', type=int, help='seeds of a cell trained side by side; by default five on '
                        'each GPU, one on each TPU core, on a CPU one')
    parser.add_argument('--render', action='store_true', help='train nothing, only write the table')
    return parser.parse_args(argv)


def load(config):
    """The Grid of `FILE:ARGUMENT`; InputError if there is none, and for a mistake in the file."""
    path, _, argument = config.partition(':')
    module = module_of(path)
    if not hasattr(module, 'grid'):
        raise InputError(f'{path} has no function grid(argument); python -m ikd.main runs single experiments')
    with mistakes_in_a_line(path):
        grid = module.grid(argument)
    if not isinstance(grid, grids.Grid) or not grid.cells:
        raise InputError(f'{path}: grid(argument) must return a Grid of ikd.grid, with cells')
    return grid


def part(text):
    """(i, n) of `i/n`; InputError for anything else."""
    i, slash, n = text.partition('/')
    if not (slash and i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise InputError(f'--cells={text}: give i/n, such as 2/3 for the second of three parts')
    return int(i), int(n)


def run(grid, options):
    """Train what has no file yet; a list of lines about cells that could not be."""
    if not options.workdir:
        raise InputError('no --workdir; give a folder for runs and checkpoints, or --render')
    options.together = options.together or seeds_at_once()
    started, workdir = now(), pathlib.Path(options.workdir)
    late = lambda: options.minutes is not None and now() - started >= 60 * options.minutes
    open_results(options.results)
    logging.set_verbosity(logging.FATAL)  # Orbax tells of every step of every save, and of what it then raises
    keep_compiled(grid.cells[0].config.cache_dir)
    for cell in grid.cells:
        own_code(resolve(cell.config))  # now, as the files of it may change while this runs
    found, failed = grids.read_cells(options.results, grid), []
    todo = grids.missing(chosen(grid, options.rows, options.columns), grids.drawn(options.results, grid, found),
                         *part(options.cells), options.together)
    if not todo:
        say(f'nothing to train: every trial that was asked for has its file in {options.results}/cells, or is of '
            'another part; to train them anew, give another --results')
    with stopping() as asked:
        stop = lambda: asked() or late()
        why = lambda: 'asked to stop' if asked() else 'time is up'
        for place, (name, cell, seeds) in enumerate(todo, 1):  # todo may grow
            if stop():
                say(f'{why()}, {len(todo) - place + 1} of {len(todo)} left; go on with: {same_command()}')
                break
            numbers = ', '.join(map(str, seeds))
            say(f'[{place}/{len(todo)}] {name}, seed {numbers}{time_left(todo[place - 1:], found)}')
            try:
                train(grid, cell, seeds, workdir, options, found[name], stop)
            except (Diverged, Apart, OutOfMemory) as error:
                if len(seeds) > 1:  # one by one, as there may be room, the others may end, or a cut command began to
                    todo[place:place] = [(name, cell, [seed]) for seed in seeds]
                else:
                    failed.append(f'{name}: {error}')
            except RunError as error:  # damaged, or trained by another table's command, as tables share cells
                failed.append(f'{name}: {error}')
            except Stopped as error:
                say(f'{why()}: {name} {error}, all saved; go on with: {same_command()}')
                break
    return failed


def train(grid, cell, seeds, workdir, options, found, stop):
    """Train seeds of a cell in `workdir/<cell>/`; each has its file, and its place in `found`, when it is done."""
    config = cell.config.copy_and_resolve_references()
    config.store, config.together = str(workdir / 'store'), options.together
    config.parallel = 'trials' if options.together > 1 else 'data'
    # An epoch may be shorter than a save or a test; --minutes and signals save anyhow.
    config.checkpoint_every = config.test_every = max(1, config.epochs // POINTS)
    directory = workdir / grids.cell_name(config)

    def finished(summary):
        for seed in {trial['seed'] for trial in summary['trials']} & {*seeds}:
            if not grids.is_done(cell, found.get(seed)):
                measured = grids.measured_of(cell, directory, seed)
                there = grids.read_cell(options.results, cell, seed)  # perhaps of another table's command by now
                found[seed] = grids.write_cell(options.results, cell, summary, seed, measured)
                if there and there['test_accuracy'] != found[seed]['test_accuracy']:
                    say(f"{cell.row}, seed {seed}: trained anew, as {directory} did not hold its network; its file "
                        f"now says {found[seed]['test_accuracy']:.2f} % in the place of {there['test_accuracy']:.2f}")
            if cell.picture and seed == 0:
                save_figure(cell.picture(directory, seed), grids.picture_path(options.results, grid, cell))

    experiment.run(config, directory, seeds=seeds, finished=finished, stop=stop)


def chosen(grid, rows, columns):
    """The grid with only the rows and columns asked for, names separated by commas, or None for all.

    InputError for a name that is not there.
    """
    cells = grid.cells
    for field, wanted in ('row', rows), ('column', columns):
        there = dict.fromkeys(getattr(cell, field) for cell in grid.cells)
        names = named(f'{field}s', wanted, there)
        cells = tuple(cell for cell in cells if getattr(cell, field) in names)
    return grid._replace(cells=cells)


def open_results(results):
    """Create the folder of finished cells; InputError if that, or what is written beside it, can't be done."""
    for folder in pathlib.Path(results), pathlib.Path(results) / 'cells':
        open_folder(folder, '--results')


def say(text):
    """A line for people, on stderr, at once."""
    print(text, file=sys.stderr, flush=True)


def time_left(todo, found):
    """`, about 2.5 h left`, judged by trials that are done; '' where there are none.

    By those that were trained on such a platform: the same cell's, or else any.
    """
    here = provenance()['device']['platform']
    trials = {name: [record['train_seconds'] for record in records.values() if record['device']['platform'] == here]
              for name, records in found.items()}
    seconds = {name: statistics.fmean(times) for name, times in trials.items() if times}
    if not seconds:
        return ''
    usual = statistics.fmean(seconds.values())
    left = sum(seconds.get(name, usual) * len(seeds) for name, _, seeds in todo)
    return f', about {left / 3600:.1f} h left' if left >= 3600 else f', about {left / 60:.0f} min left'


def render(grid, results):
    """Write the grid's files into the folder `results` and return what to print.

    InputError or Unwritable where that can't be.
    """
    open_results(results)
    return (grid.report or table.report)(grid, grids.read_cells(results, grid), results)


def main(argv):
    """Run, write, print. Returns the exit code: 1 if a cell could not be trained."""
    options = parse(argv)
    for flag in 'trials', 'together':
        value = getattr(options, flag)
        if value is not None and value < 1:
            raise InputError(f'--{flag}={value}: give at least 1')
    if options.minutes is not None and not 0 <= options.minutes < float('inf'):
        raise InputError(f'--minutes={options.minutes}: give a number that is not negative')
    grid = load(options.config)
    if options.data:
        grid = on_data(grid, options.data)
    if options.trials:
        grid = grid._replace(trials=options.trials)
    most = max((seed + 1 for cell in grid.cells for seed in cell.seeds or ()), default=grid.trials)
    if grid.trials > most:
        raise InputError(f'--trials={grid.trials}: this grid has seeds 0 to {most - 1} only')
    failed = [] if options.render else run(grid, options)
    print(render(grid, options.results), end='')
    for line in failed:
        say(f'ikd: {line}')
    return 1 if failed else 0


def cli():
    """The command line. One line and exit code 2 for bad input, 1 for a file that can't be written."""
    keep_memory()
    with ending_in_a_line(f'; the last checkpoint is whole: make room, then go on with: {same_command()}'):
        sys.exit(main(sys.argv[1:]))


if __name__ == '__main__':
    cli()
