"""All of ikd's commands under one name: `ikd COMMAND ...` is `python -m ikd.MODULE ...`.

  ikd train --config=configs/le_digits.py                                      one configuration
  ikd explain --workdir=RUN --images=photos/ --explainers=all                  why a network says so
  ikd evaluate --workdir=RUN                                                   how good it and its explanations are
  ikd report --workdir=RUN                                                     one page about a run
  ikd compare RUN RUN...                                                       a table of runs, paired by seed
  ikd reproduce --config=configs/tables/table3.py --workdir=DIR --data=DATA    a table or figure of the paper
  ikd bench --only=le_grad_mlp                                                 what explanations cost

`ikd COMMAND --help` has the flags and more examples, `ikd --version` says which ikd this is. A file of configs/ that
is not in the current directory is the one that came with ikd.
"""
import os
import runpy
import sys

from ikd import __version__
from ikd.errors import ending_in_a_line
from ikd.modules import shipped

MODULES = {'train': 'ikd.main', 'explain': 'ikd.explain', 'evaluate': 'ikd.evaluate', 'report': 'ikd.report',
           'compare': 'ikd.compare', 'reproduce': 'ikd.reproduce', 'bench': 'ikd.bench'}


def with_own_configs(arguments):
    """The arguments, files of configs/ that `--config` names and that are not here replaced by ikd's own."""
    found = []
    for before, argument in zip([None, *arguments], arguments):
        flag = '--config=' if argument.startswith('--config=') else ''
        path, *_ = argument.removeprefix(flag).split(':')
        named = (flag or before == '--config') and path.startswith('configs/') and not os.path.exists(path)
        own = named and (shipped() / path).is_file()
        found.append(f'{flag}{shipped()}/{argument.removeprefix(flag)}' if own else argument)
    return found


@ending_in_a_line()  # also of Ctrl-C while the module is loaded, which takes seconds
def main():
    """The command line. Exit code 2 for a command that there is not; otherwise that of the command's module."""
    command, *arguments = sys.argv[1:] or ['--help']
    if command in ('--help', '-h', 'help'):
        print(__doc__.strip())
        return
    if command == '--version':
        print(f'ikd {__version__}')
        return
    if command not in MODULES:
        print(f"ikd: no command '{command}'; there are: {', '.join(MODULES)}", file=sys.stderr)
        sys.exit(2)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does, for configs that import one another
    sys.path.append(str(shipped()))
    sys.argv = [f'ikd {command}', *with_own_configs(arguments)]
    runpy.run_module(MODULES[command], run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    main()
