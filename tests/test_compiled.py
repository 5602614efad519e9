"""Where compiled programs are kept."""
import pathlib

from ikd.compiled import cache_directory


def test_where_compiled_programs_are_kept():
    """The config's word first, then JAX's own variable, then a folder of the user's cache."""
    xdg = {'XDG_CACHE_HOME': '/cache'}
    assert cache_directory(None, xdg) == '/cache/ikd/compiled'
    assert cache_directory(None, {}) == str(pathlib.Path.home() / '.cache' / 'ikd' / 'compiled')
    assert cache_directory(None, {**xdg, 'JAX_COMPILATION_CACHE_DIR': '/jax'}) == '/jax'
    assert cache_directory('mine', {**xdg, 'JAX_COMPILATION_CACHE_DIR': '/jax'}) == 'mine'
    assert cache_directory('off', {**xdg, 'JAX_COMPILATION_CACHE_DIR': '/jax'}) is None
