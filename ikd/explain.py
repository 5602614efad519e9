"""Why a trained network says so: `python -m ikd.explain --workdir=RUN`, for images of yours or of the test set.

  python -m ikd.explain --workdir=RUN                                  a test image of each class, ten at most
  python -m ikd.explain --workdir=RUN --images a.png b.jpg             yours
  python -m ikd.explain --workdir=RUN --images=photos/ --explainers=all --out=seen/

RUN is the directory of a finished run of `python -m ikd.main`. For each image it prints the likeliest classes and
writes a picture with a map of every class, of more than twenty the likeliest; `explanations.npz` has the numbers.
Images may have any size and mode; the middle is resized to what the network takes. Those in a folder called like a
class are taken to be of that class.
"""
import argparse
import sys
from os.path import expanduser

from ikd.errors import ending_in_a_line
from ikd.host_memory import keep_memory
from ikd.modules import take_config


def parse(argv):
    """The command line's options; argparse exits with 2 for what it doesn't know."""
    parser = argparse.ArgumentParser(prog='python -m ikd.explain', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--workdir', required=True, type=expanduser, help='the directory of a finished run')
    take_config(parser)
    parser.add_argument('--images', nargs='+', action='extend', metavar='FILE',
                        help='files and folders; without it some test images')
    parser.add_argument('--explainers', metavar='A,B', help="names, or all that apply; by default the run's own")
    parser.add_argument('--out', type=expanduser, help='where pictures and numbers go; by default '
                        'RUN/explained, with --seed=S RUN/explained/seedS')
    parser.add_argument('--seed', type=int, help="which of the run's trials; by default the first")
    parser.add_argument('--data', type=expanduser,
                        help='where the data is now, if test images are shown and it has moved')
    return parser.parse_args(argv)


def main(argv):
    """Explain, draw, write."""
    options = parse(argv)
    from ikd.explained import explain_run  # JAX is loaded after the flags have been read

    explain_run(options)


def cli():
    """The command line. A line and exit code 2 for bad input, 1 for a file that can't be written, 130 for Ctrl-C."""
    keep_memory()
    with ending_in_a_line('; make room, or choose another --out'):
        main(sys.argv[1:])


if __name__ == '__main__':
    cli()
