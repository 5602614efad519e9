"""Train one configuration: `python -m ikd.main --config=configs/le_digits.py`.

  python -m ikd.main --config=configs/le_cifar.py:smoke                  seconds instead of hours
  python -m ikd.main --config=configs/le_cifar.py --config.trials=5      five seeds, mean and deviation
  python -m ikd.main --config=configs/le_cifar.py --config.data.dir=DIR  official files or a prepared TFDS set in DIR

`--config` comes first, then what overrides it. Started again, a run goes on where it stopped; a finished one
prints its summary. Ctrl-C or SIGTERM stop a run after its step, everything saved. With --multihost the same command,
started once on every host, is one run: see launch/.
"""
import contextlib
import os
import pathlib
import sys
import time
import types

from absl import app, flags, logging
from ml_collections import config_flags

from ikd.compiled import keep_compiled
from ikd.config import default, did_you_mean, flatten, no_field
from ikd.errors import Diverged, InputError, OutOfMemory, Stopped, Unmet, Unwritable, on_a_platform, while_read
from ikd.host_memory import keep_memory
from ikd.modules import mistake
from ikd.signals import same_command, stopping
from ikd.words import number, plural

CONFIG = config_flags.DEFINE_config_file('config', None, 'The experiment: a file of configs/, and after a colon a '
                                         'comma-separated list of arguments.', lock_config=True)
WORKDIR = flags.DEFINE_string('workdir', None, 'Where to write; by default runs/<config>-<argument>-<hash>.')
MULTIHOST = flags.DEFINE_bool('multihost', False, 'This process is one of several: on Slurm, Cloud TPU and GKE by '
                              'itself, elsewhere with the three flags that follow, or IKD_COORDINATOR, IKD_PROCESSES '
                              'and IKD_PROCESS in the environment.')
COORDINATOR = flags.DEFINE_string('coordinator', None, 'HOST:PORT of process 0.')
PROCESSES = flags.DEFINE_integer('processes', None, 'How many processes there are.')
PROCESS = flags.DEFINE_integer('process', None, 'Which of them this is, from 0.')
PEER_TIMEOUT = flags.DEFINE_integer('peer_timeout', 60, 'Seconds after which a process that no longer answers ends '
                                    'the others.', lower_bound=5)
EXIT_STOPPED = flags.DEFINE_integer('exit_stopped', 0, 'Exit code where a signal has ended the run early; 75, say, '
                                    'where 0 would be taken for a finished run, as by Kubernetes.')


def parse(argv):
    """Flags from the command line; InputError, in one line, for what the flag libraries meet with a traceback."""
    # ml_collections takes the value None for a text, or for a number that it can't read.
    unset = {f'--config.{field}=None': field for field, value in flatten(default()).items() if value is None}
    file = file_named(argv).partition(':')[0]
    try:
        rest = flags.FLAGS([argument for argument in argv if argument not in unset])
        config = CONFIG.value
        if config:  # a file that could not be read shows at this first use only
            config.update_from_flattened_dict({unset[argument]: None for argument in argv if argument in unset})
    except BrokenPipeError:  # of --help
        raise
    except OSError as error:
        cause = ' '.join(f'{error}'.split()).rpartition('[')[2]  # the last of the places that were tried
        what = f'what {file} reads' if os.access(file, os.R_OK) else 'the file that --config names'
        raise InputError(f"cannot read {what} ([{cause}); ikd's own are in configs/") from error
    except SystemExit as error:  # absl ends --help with 1
        asked = {'help', 'helpshort', 'helpfull', '?'} & {argument.lstrip('-') for argument in argv}
        sys.exit(0 if asked else error.code)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        said = no_config(argv, error) or unknown_field(argv) or unknown_flag(error)
        raise InputError(said or mistake(file, error)) from error
    except (NameError, SyntaxError, ImportError) as error:
        raise InputError(mistake(file, error)) from error
    if config is None:
        raise InputError('no --config; try --config=configs/le_digits.py')
    if rest[1:]:
        raise InputError(f"don't know what to do with {' '.join(rest[1:])}; flags are written --name=value")
    return rest


def file_named(argv):
    """`FILE:ARGUMENT` of `--config`, empty without one."""
    return next((argument.partition('=')[2] or after for argument, after in zip(argv, [*argv[1:], ''])
                 if argument.partition('=')[0] == '--config'), '')


def no_config(argv, error):
    """What to say of a file that has no get_config, as a grid has none; None if that isn't the error."""
    if isinstance(error, AttributeError) and error.name == 'get_config' and isinstance(error.obj, types.ModuleType):
        named = file_named(argv)
        return (f'{named} is a grid of runs; train it with: python -m ikd.reproduce --config={named} --workdir=DIR'
                if hasattr(error.obj, 'grid') else f'{named} has no function get_config(argument)')


def unknown_field(argv):
    """What to say of the first `--config.field` in argv that the config has not; None if there is none."""
    fields, has_own = fields_of_file(file_named(argv))
    for argument in argv:
        name = argument.partition('=')[0].removeprefix('--config.')
        if argument.startswith('--config.') and name not in fields and (has_own or not name.startswith('own.')):
            return no_field(name, fields)


def unknown_flag(error):
    """What to say of a flag that there is not, and that is or is like a field; None if that isn't the error."""
    if isinstance(error, flags.UnrecognizedFlagError) and 'Did you mean' not in f'{error}':
        if meant := did_you_mean(error.flagname, flatten(default()), '--config.'):
            return f'no flag --{error.flagname}; {meant}'


def fields_of_file(named):
    """(The fields of `FILE:ARGUMENT`, True), or (those every config has, False) if it can't be had."""
    try:  # once more: the flag keeps nothing of a file whose fields it could not set
        return flatten(flags.FLAGS['config'].parser.parse(named)), True
    except Exception:  # whatever a file raises; what is to be told of has been caught before
        return flatten(default()), False


def name_of_config():
    """`le_cifar-smoke` for `--config=configs/le_cifar.py:smoke`."""
    path, _, argument = flags.FLAGS['config'].config_filename.partition(':')
    return '-'.join([pathlib.Path(path).stem, *filter(None, argument.split(','))])


def describe(summary, workdir, seconds):
    """The last lines of a run, for people."""
    trials = summary['trials']
    accuracy = number(summary['test_accuracy_mean'], summary['test_accuracy_std'])
    what = ', '.join(filter(None, (summary['method'], summary['explainer'], summary['model'], summary['dataset'])))
    return (f"{what}: test accuracy {accuracy} % after {summary['epochs']} epochs "
            f"({plural(len(trials), 'trial')}, {sum(t['train_seconds'] for t in trials):.0f} s "
            f'of training; this command {seconds:.0f} s)\n'
            f"written to {workdir}/: {', '.join(sorted(path.name for path in pathlib.Path(workdir).iterdir()))}")


def notice(config):
    """Say which fields the command line has changed to no effect."""
    from ikd.stage_names import idle
    flag = flags.FLAGS['config']
    given = config_flags.get_override_values(flag)
    before, known = fields_of_file(flag.config_filename) if given else ({}, False)
    if known and (fields := idle(config, {field: before[field] for field in sorted(given) if field in before})):
        named = ', '.join(f'config.{field}' for field in fields)
        print(f'ikd: method.name={config.method.name} makes no use of {named}', file=sys.stderr)


def meet():
    """Join the other processes if --multihost says that there are some: this one's `processes.Place`."""
    from ikd import processes
    given = {'coordinator': COORDINATOR.value, 'processes': PROCESSES.value, 'process': PROCESS.value}
    if not MULTIHOST.value:
        if named := [name for name, value in given.items() if value is not None]:
            raise InputError(f'--{named[0]} goes with --multihost')
        return processes.Place(0, 1)
    for name, value in given.items():
        said = os.environ.get(f'IKD_{name.upper()}')
        if value is None and said:
            if name != 'coordinator' and not said.isdecimal():
                raise InputError(f'IKD_{name.upper()}={said} is not a number')
            given[name] = said if name == 'coordinator' else int(said)
    return processes.join(CONFIG.value.parallel, *given.values(), PEER_TIMEOUT.value)


def spoken_for():
    """Whether process 0 prints what ends this one, too, as under parallel=data all end alike."""
    parsed = flags.FLAGS.is_parsed()
    with contextlib.suppress(OSError):  # the file of the config can't be read, which all find out alike
        if parsed and CONFIG.value and CONFIG.value.parallel == 'trials':
            return False
    several = MULTIHOST.value if parsed else any(argument.startswith('--multihost') for argument in sys.argv)
    own = PROCESS.value if parsed else None
    said = os.environ.get('IKD_PROCESS') or os.environ.get('SLURM_PROCID') or 0
    return several and str(said if own is None else own) != '0'


def main(argv):
    """Train what the flags say and print what came of it."""
    del argv
    logging.set_verbosity(logging.FATAL)  # Orbax tells of every step of every save, and of what it then raises
    from ikd import experiment, processes  # with JAX, after the flags: so that a typing error shows at once

    place = meet()
    started = time.perf_counter()
    keep_compiled(CONFIG.value.cache_dir)
    workdir = os.path.expanduser(WORKDIR.value or experiment.default_workdir(CONFIG.value, name_of_config()))
    with stopping() as stop, processes.ending_together():
        if place.index == 0:
            notice(CONFIG.value)
        seeds = processes.own_seeds(CONFIG.value, place)
        summary = experiment.run(CONFIG.value, workdir, seeds=seeds, stop=stop, quiet=place.index > 0)
    if place.index == 0 and summary:
        print(describe(summary, workdir, time.perf_counter() - started))


def cli():
    """The command line: one line on stderr for what ends a run early.

    Exit code 2 for bad input, 3 for a run that diverged or has no room on the device, which would do so again, 1 for
    one that could not write, --exit_stopped for one that was asked to stop, 130 for Ctrl-C while it was starting.
    """
    keep_memory()
    try:
        with while_read(), on_a_platform():
            app.run(main, flags_parser=parse)
    except KeyboardInterrupt:  # before it is listened for
        print('ikd: stopped before anything was trained', file=sys.stderr)
        sys.exit(130)
    except (InputError, Diverged, OutOfMemory) as error:
        if isinstance(error, Unmet | OutOfMemory) or not spoken_for():
            print(f'ikd: {error}', file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 3)
    except Unwritable as error:
        print(f'ikd: {error}; the last checkpoint is whole: make room, then go on with: {same_command()}',
              file=sys.stderr)
        sys.exit(1)
    except Stopped as error:
        if not spoken_for():
            print(f'ikd: {error}, all saved; go on with: {same_command()}', file=sys.stderr)
        sys.exit(EXIT_STOPPED.value)


if __name__ == '__main__':
    cli()
