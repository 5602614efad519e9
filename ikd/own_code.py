"""The code of a user's own networks, objectives, explainers and data: with it changes what trained stages are."""
import dataclasses
import functools
import inspect
import re

LIBRARIES = ('ikd', 'flax', 'jax', 'optax', 'numpy', 'builtins')
FLAX = ('parent', 'name')  # fields that every Flax module has


def source(thing):
    """The source of a function, a partial one or a class, '' for one of ikd or of a library.

    Of a class that of its methods and the defaults of its fields, with what it inherits; of a partial function of
    one's own its other arguments, too. The same in every process. What a function calls is not looked into. '' too
    where Python keeps no source, as for what was typed at a prompt.
    """
    if isinstance(thing, functools.partial):
        given = (thing.func, *thing.args, *thing.keywords.values())
        text = ''.join(map(source, filter(callable, given)))
        return text and ' '.join([text, *(told(value) for value in given if not callable(value))])
    if getattr(thing, '__module__', None) is None or thing.__module__.partition('.')[0] in LIBRARIES:
        return ''
    if not inspect.isclass(thing):
        return text_of(thing)
    defaults = {field.name: told(field.default)
                for field in (dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ())
                if field.default is not dataclasses.MISSING and field.name not in FLAX}
    methods = [text_of(value) for value in vars(thing).values() if inspect.isfunction(value)]
    return '\n'.join([repr(defaults), *methods, *map(source, thing.__bases__)])


def told(value):
    """A value as text that is the same in every process: functions by name, sets sorted, no addresses."""
    if isinstance(value, functools.partial):
        return told([value.func, *value.args, value.keywords])
    if isinstance(value, (list, tuple)):
        return f'[{", ".join(map(told, value))}]'
    if isinstance(value, dict):
        return told([[name, value[name]] for name in value])
    if isinstance(value, (set, frozenset)):
        return told(sorted(map(told, value)))
    return getattr(value, '__name__', None) or re.sub(' at 0x[0-9a-f]+', '', repr(value))


def text_of(function):
    """Its source, below its decorators; '' where there is none."""
    try:
        return inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):
        return ''
