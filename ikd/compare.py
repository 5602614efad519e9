"""Compare finished runs: `python -m ikd.compare RUN RUN...` prints a table of them, paired by seed with the first.

  python -m ikd.compare runs/ce_cifar-* runs/le_cifar-*
"""
import sys

from ikd.errors import InputError
from ikd.experiment import read_summary
from ikd.report.comparison import comparison, label


def main(workdirs):
    """Print the table of the runs in `workdirs`; InputError if one is not finished."""
    if not workdirs or workdirs[0].startswith('-'):
        raise InputError('give the directories of finished runs: python -m ikd.compare RUN RUN...')
    summaries = [read_summary(workdir) for workdir in workdirs]
    for workdir, summary in zip(workdirs, summaries):
        if not summary:
            raise InputError(f'{workdir} has no summary.json; give the directory of a finished run')
    print(comparison(summaries, [label(summary) for summary in summaries]), end='')


if __name__ == '__main__':
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(f'ikd: {error}')
