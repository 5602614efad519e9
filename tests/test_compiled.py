"""Where compiled programs are kept, and how those are compiled that run once."""
import pathlib

from ikd.compiled import cache_directory, jit_for_once, keep_compiled


def test_where_compiled_programs_are_kept():
    """The config's word first, then JAX's own variable, then a folder of the user's cache."""
    xdg = {'XDG_CACHE_HOME': '/cache'}
    assert cache_directory(None, xdg) == '/cache/ikd/compiled'
    assert cache_directory(None, {}) == str(pathlib.Path.home() / '.cache' / 'ikd' / 'compiled')
    assert cache_directory(None, {**xdg, 'JAX_COMPILATION_CACHE_DIR': '/jax'}) == '/jax'
    assert cache_directory('mine', {**xdg, 'JAX_COMPILATION_CACHE_DIR': '/jax'}) == 'mine'
    assert cache_directory('~/mine', xdg) == str(pathlib.Path.home() / 'mine')
    assert cache_directory('off', {**xdg, 'JAX_COMPILATION_CACHE_DIR': '/jax'}) is None


def test_a_place_that_cannot_be_written_is_told_of_once(tmp_path, monkeypatch, capsys):
    settings = {}
    monkeypatch.setattr('jax.config.update', settings.__setitem__)
    (tmp_path / 'file').touch()
    keep_compiled(str(tmp_path / 'file' / 'compiled'))
    told = capsys.readouterr().err
    assert told.count('\n') == 1 and 'choose another cache_dir' in told
    assert settings['jax_compilation_cache_dir'] is None
    keep_compiled(str(tmp_path / 'new' / 'compiled'))
    assert settings['jax_compilation_cache_dir'] == str(tmp_path / 'new' / 'compiled')
    assert (tmp_path / 'new' / 'compiled').is_dir() and not capsys.readouterr().err


def test_what_runs_once_is_optimised_little_unless_the_user_says_how(monkeypatch):
    given = []
    monkeypatch.setattr('jax.jit', lambda f, compiler_options: given.append(compiler_options) or f)
    for flags in '', '--xla_dump_to=DIR', '--xla_backend_optimization_level=2':
        monkeypatch.setenv('XLA_FLAGS', flags)
        assert jit_for_once(abs)(-1) == 1
    assert given == [{'xla_backend_optimization_level': 1}] * 2 + [None]
