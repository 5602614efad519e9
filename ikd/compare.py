"""Compare finished runs: `python -m ikd.compare RUN RUN...` prints a table of them, paired by seed with the first.

  python -m ikd.compare runs/ce_cifar-* runs/le_cifar-*    the first is what the others are compared with
"""
import argparse
import os
import sys
from os.path import expanduser

from ikd.config import identity
from ikd.errors import InputError, ending_in_a_line
from ikd.run_files import read_config, read_summary
from ikd.tables.comparison import comparison, labels_of
from ikd.words import plural

SETTING = 'epochs', 'batch_size', 'precision', 'data.size', 'data.augment', 'optimizer.'
LEGEND = '+-: the standard deviation over seeds; of a difference, half of its 95 % interval, paired by seed.'


def parse(argv):
    """The command line's options; argparse exits with 2 for what it doesn't know."""
    parser = argparse.ArgumentParser(prog='python -m ikd.compare', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='*', type=expanduser, metavar='RUN', help='the directory of a finished run')
    return parser.parse_args(argv)


def main(argv):
    """Print the table of the runs named, without folders that are none.

    InputError if no finished run is left, or if the first, which the others are compared with, has finished no trial.
    """
    workdirs = [*dict.fromkeys(map(os.path.normpath, parse(argv).runs))]
    if not workdirs:
        raise InputError('give the directories of finished runs: python -m ikd.compare RUN RUN...')
    found = {workdir: read_summary(workdir) for workdir in workdirs}
    summaries = {workdir: summary for workdir, summary in found.items() if summary}
    for workdir in found:
        if not summaries or not os.path.exists(workdir):
            raise InputError(f'{workdir} has no summary.json; give the directory of a finished run')
    left_out = [workdir for workdir in found if workdir not in summaries]  # as `runs/*` names runs/store, too
    if workdirs[0] in left_out and read_config(workdirs[0]):
        raise InputError(f'{workdirs[0]}, with which the others are compared, has finished no trial yet; name a '
                         'finished run first')
    for workdir in left_out:
        print(f'ikd: {workdir} has no summary.json and is left out', file=sys.stderr)
    configs = [read_config(workdir) or {} for workdir in summaries]
    settings = [*map(identity, configs)]
    summaries, workdirs = [*summaries.values()], [*summaries]
    table = comparison(summaries, labels_of(summaries, workdirs, settings), settings)
    print(f'{table}\n{LEGEND}' if '+-' in table else table.rstrip())
    for workdir, config, summary in zip(workdirs, configs, summaries):
        done, asked = len(summary['trials']), config.get('trials', 0)
        if done < asked:
            print(f'{workdir} has finished {done} of {plural(asked, "trial")}.')
    if unlike := [field for field in settings[0] if field.startswith(SETTING)
                  and any(other.get(field) != settings[0][field] for other in settings)]:
        print(f"Not all runs have the same {', '.join(unlike)}.")


def cli():
    """The command line. One line and exit code 2 for bad input."""
    with ending_in_a_line():
        main(sys.argv[1:])


if __name__ == '__main__':
    cli()
