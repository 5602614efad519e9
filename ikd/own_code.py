"""The code of a user's own networks, objectives, explainers and data: with it changes what trained stages are."""
import dataclasses
import functools
import inspect

LIBRARIES = ('ikd', 'flax', 'jax', 'optax', 'numpy', 'builtins')


def source(thing):
    """The source of a function, a partial one or a class, '' for one of ikd or of a library.

    Of a class that of its methods and the defaults of its fields, with what it inherits; what a function calls is not
    looked into. '' too where Python keeps no source, as for what was typed at a prompt.
    """
    if isinstance(thing, functools.partial):
        return ''.join(map(source, filter(callable, (thing.func, *thing.args, *thing.keywords.values()))))
    if getattr(thing, '__module__', None) is None or thing.__module__.partition('.')[0] in LIBRARIES:
        return ''
    if not inspect.isclass(thing):
        return text_of(thing)
    defaults = {field.name: getattr(field.default, '__name__', repr(field.default))
                for field in (dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ())
                if field.default is not dataclasses.MISSING}
    methods = [text_of(value) for value in vars(thing).values() if inspect.isfunction(value)]
    return '\n'.join([repr(defaults), *methods, *map(source, thing.__bases__)])


def text_of(function):
    """Its source, below its decorators; '' where there is none."""
    try:
        return inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):
        return ''
