"""What explainers and similarities of a user's own are told where they give something else than they must."""
import contextlib

import jax

from ikd.errors import InputError


@contextlib.contextmanager
def all_jax(what):
    """Raises as InputError what NumPy ends with where JAX compiles; what: `explainer 'name'`."""
    try:
        yield
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        raise InputError(f"{what} can't be compiled, as not all of it is JAX: "
                         f'{str(error).partition(chr(10))[0]}') from error


def form_of(value):
    """`[3, 10]` for an array, the name of the type of anything else."""
    return list(value.shape) if hasattr(value, 'shape') else type(value).__name__
