"""Write the report of a run, one HTML file: `python -m ikd.report --workdir=RUN` writes RUN/report.html.

  python -m ikd.report --workdir=runs/le_digits-0a1b2c3d
  python -m ikd.report --workdir=RUN --compare=RUN2,RUN3     beside other runs, paired by seed; or --compare RUN2 RUN3
  python -m ikd.report --workdir=RUN --data=DIR              the data is in DIR now

Results with intervals, curves, Figures 1 and 2, evaluation, what the configs differ in, and how it was run. The file
needs nothing else and loads nothing. An unfinished run has a report, too.
"""
import argparse
import os
import pathlib
import sys
from os.path import expanduser

from ikd.errors import ending_in_a_line
from ikd.files import replace_text
from ikd.modules import run_config, shipped, take_config
from ikd.words import in_parts


def parse(argv):
    """The command line's options; argparse exits with 2 for what it doesn't know."""
    parser = argparse.ArgumentParser(prog='python -m ikd.report', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--workdir', required=True, type=expanduser, help='the directory of the run')
    take_config(parser)
    parser.add_argument('--compare', nargs='+', action='extend', default=[], metavar='RUN',
                        help='directories of other runs, several words or separated by commas')
    parser.add_argument('--data', type=expanduser,
                        help='where the data is, for Figure 2, if no longer where the runs found it')
    return parser.parse_args(argv)


def is_another(folder, workdir):
    """Whether a folder is to be compared with the run in workdir: not itself, nor one that is no run, as runs/store.

    What is there and no run is named on stderr; what is not there is left for `report` to refuse.
    """
    if os.path.isdir(folder) and not os.path.exists(os.path.join(folder, 'config.json')):
        print(f'ikd: {folder} has no config.json and is left out', file=sys.stderr)
        return False
    return os.path.realpath(folder) != os.path.realpath(workdir)


def main(argv):
    """Write the report and say where it is."""
    options = parse(argv)
    from ikd.report.page import report, size_of  # JAX is loaded after the flags have been read

    run_config(options)
    path = pathlib.Path(options.workdir) / 'report.html'
    others = [*map(expanduser, in_parts(options.compare, os.path.isdir))]
    others = [other for other in others if is_another(other, options.workdir)]
    replace_text(path, report(options.workdir, others, options.data, options.config))
    print(f'written to {path} ({size_of(path)})')


def cli():
    """The command line. One line and exit code 2 for bad input, 1 for a file that can't be written."""
    sys.path.append(str(shipped()))  # configs/, for the command that makes a run again, from wherever this is called
    with ending_in_a_line():
        main(sys.argv[1:])


if __name__ == '__main__':
    cli()
