"""How programs that run once are compiled, and where JAX keeps what it compiles for the next process."""
import os
import pathlib
import sys


def cache_directory(setting, environment):
    """Where compiled programs are kept: `cache_dir`, by default where JAX's own variable says, or one folder a user.

    None, nowhere, if it is 'off'. `~` is the home directory. environment: the process's variables.
    """
    if setting == 'off':
        return None
    home = environment.get('XDG_CACHE_HOME') or str(pathlib.Path.home() / '.cache')
    return os.path.expanduser(setting or environment.get('JAX_COMPILATION_CACHE_DIR')
                              or str(pathlib.Path(home) / 'ikd' / 'compiled'))


def keep_compiled(setting):
    """Let JAX keep what it compiles, all but the smallest programs, where `cache_dir` says.

    Where that can't be written a line says so, and nothing is kept.
    """
    import jax
    directory = cache_directory(setting, os.environ)
    try:
        if directory:
            os.makedirs(directory, exist_ok=True)
    except OSError as error:
        print(f'ikd: compiled programs are not kept: cannot write to {directory} ({error.strerror}); choose another '
              'cache_dir', file=sys.stderr)
        directory = None
    jax.config.update('jax_compilation_cache_dir', directory)
    if 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS' not in os.environ:
        jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)


def jit_for_once(f):
    """`jax.jit` of a function that is to run once, such as one that draws initial weights.

    On a CPU by LLVM's first level of optimisation, unless XLA_FLAGS name one: for these it takes a third of the time,
    with jaxlib 0.12 a fifth or less, and gives the same numbers (results/performance.md). JAX takes such options in
    whole programs alone, so the function can't be a part of another one's.
    """
    import jax
    chosen = jax.default_backend() != 'cpu' or 'backend_optimization_level' in os.environ.get('XLA_FLAGS', '')
    return jax.jit(f, compiler_options=None if chosen else {'xla_backend_optimization_level': 1})
