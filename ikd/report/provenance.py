"""What a result was obtained with."""
import importlib.metadata
import pathlib
import platform
import subprocess

import jax

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'ml-collections', 'numpy')


def git_commit():
    """The commit ikd is run from, with `-dirty` if tracked files differ from it; None outside a repository."""
    here = pathlib.Path(__file__).parent
    git = ['git', '-C', str(here), 'describe', '--always', '--abbrev=40', '--exclude=*', '--dirty']
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def provenance():
    """Commit, versions and devices, as they go into `summary.json`."""
    device = jax.devices()[0]
    return {
        'git_commit': git_commit(),
        'versions': {'python': platform.python_version(),
                     **{name: importlib.metadata.version(name) for name in PACKAGES}},
        'device': {'platform': device.platform, 'kind': device.device_kind, 'count': jax.device_count()},
    }
