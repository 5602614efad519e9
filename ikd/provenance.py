"""What a result was obtained with, and when."""
import datetime
import functools
import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess

import jax

from ikd import __version__

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'ml-collections', 'numpy')


def git_commit():
    """The commit ikd is run from, with `-dirty` if tracked files outside results/ differ from it.

    Without its own repository, as in a container or installed by pip, what the variable IKD_COMMIT says, or None.
    """
    def git(*arguments):
        command = ['git', '-C', str(pathlib.Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        git('ls-files', '--error-unmatch', pathlib.Path(__file__).name)  # a repository around it need not be ikd's
        changed = git('diff', '--name-only', 'HEAD', '--', ':(top)', ':(top,exclude)results')
        return git('rev-parse', 'HEAD') + ('-dirty' if changed else '')
    except (OSError, subprocess.SubprocessError):
        return os.environ.get('IKD_COMMIT')


@functools.cache
def provenance():
    """Commit, versions and devices, as they go into `summary.json`; ikd's own version where no commit is known.

    As they are when this is first asked: the checkout may change while the code that was imported from it runs.
    """
    device, commit = jax.devices()[0], git_commit()
    kind = processor() if device.platform == 'cpu' else device.device_kind
    return {
        'git_commit': commit,
        'versions': {**({} if commit else {'ikd': __version__}), 'python': platform.python_version(),
                     **{name: importlib.metadata.version(name) for name in PACKAGES}},
        'device': {'platform': device.platform, 'kind': kind, 'count': jax.device_count()},
    }


def trained_by(before=()):
    """`commit` and `device` of what was begun by processes that said theirs so, dicts, and gone on with by this one.

    Several are joined by ` and `.
    """
    known = provenance()
    every = [*before, {'commit': known['git_commit'], 'device': known['device']['kind']}]

    def joined(field):
        parts = [part for one in every if one.get(field) for part in one[field].split(' and ')]
        return ' and '.join(dict.fromkeys(parts)) or None

    return {'commit': joined('commit'), 'device': joined('device')}


def now():
    """The time as it goes into files: `2026-11-28T12:00:00Z`."""
    return f'{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}'


def processor():
    """The name of the CPU and its cores, which JAX calls `cpu` and no more: `AMD EPYC, 2 cores`."""
    try:
        named = re.search(r'^model name\s*: (.+)$', pathlib.Path('/proc/cpuinfo').read_text(), re.MULTILINE)
    except OSError:
        named = None
    return f'{named[1] if named else platform.processor() or platform.machine()}, {os.cpu_count()} cores'
