"""The code of a user's own networks, objectives, explainers, similarities and data: what is trained depends on it."""
import dataclasses
import functools
import inspect
import re

from ml_collections import ConfigDict

LIBRARIES = ('ikd', 'flax', 'jax', 'optax', 'numpy', 'builtins')
FLAX = ('parent', 'name')  # fields that every Flax module has
CONFIG = 'a config'  # what `told` has for one
PLAIN = (bool, int, float, str, tuple, list, dict, set, frozenset, type(None))


def is_own(thing):
    """Whether a function, class or object, or anything that a partial one holds, is defined outside `LIBRARIES`."""
    if isinstance(thing, functools.partial):
        return any(map(is_own, made_of(thing)))
    return (getattr(thing, '__module__', None) or 'builtins').partition('.')[0] not in LIBRARIES


def source(thing, holding=True, seen=()):
    """The source of a function, a partial one, a class or an object of one, '' for one of ikd or of a library.

    Of a class that of its methods, its constants and the defaults of its fields, with what it inherits; of a partial
    function, a closure, a method or an object of one's own what it holds, too. The same in every process. What a
    function calls is not looked into, nor, without `holding`, what closures, methods and objects hold. '' too where
    Python keeps no source, as for what was typed at a prompt.
    """
    if not is_own(thing) or any(thing is one for one in seen):
        return ''
    within = functools.partial(source, holding=holding, seen=(*seen, thing))
    if isinstance(thing, functools.partial):
        text = ''.join(map(within, made_of(thing)))
        return text and f'{text} {told(thing)}'
    if not inspect.isclass(thing):
        function = inspect.unwrap(thing)
        text = text_of(function) if inspect.isroutine(function) else within(type(function))
        held = held_by(function) if holding else {}
        return text + (f" {told(held)}{''.join(map(within, filter(callable, held.values())))}" if held else '')
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    defaults = {field.name: told(field.default) for field in fields
                if field.default is not dataclasses.MISSING and field.name not in FLAX}
    constants = {name: told(value) for name, value in vars(thing).items()
                 if isinstance(value, PLAIN) and name not in (*defaults, *FLAX) and not name.startswith('_')}
    functions = [getattr(value, '__func__', None) or getattr(value, 'fget', None) or value
                 for value in vars(thing).values()]
    methods = [text_of(inspect.unwrap(value)) for value in functions if inspect.isfunction(value)]
    return '\n'.join([repr(defaults), *([repr(constants)] if constants else []), *methods,
                      *map(within, thing.__bases__)])


def held_by(thing):
    """{name: value} of what a function has from around it, a method from its object, an object in itself."""
    if inspect.ismethod(thing):
        return held_by(thing.__func__) | held_by(thing.__self__)
    if inspect.isfunction(thing):
        return dict(inspect.getclosurevars(thing).nonlocals)
    if inspect.isclass(thing):
        return {}
    return {name: value for name, value in getattr(thing, '__dict__', {}).items()
            if name not in FLAX and not name.startswith('_')}


def made_of(partial):
    """The functions, classes and objects that can be called in a partial function."""
    return filter(callable, (partial.func, *partial.args, *partial.keywords.values()))


def told(value):
    """A value as text that is the same in every process: functions by name, sets sorted, no addresses.

    Nothing of a config: what it says has names and a digest of its own.
    """
    if isinstance(value, ConfigDict):
        return CONFIG
    if isinstance(value, functools.partial):
        return told([value.func, *value.args, value.keywords])
    if isinstance(value, (list, tuple)):
        return f'[{", ".join(map(told, value))}]'
    if isinstance(value, dict):
        return told([[name, value[name]] for name in sorted(value, key=str)])
    if isinstance(value, (set, frozenset)):
        return told(sorted(map(told, value)))
    return getattr(value, '__name__', None) or re.sub(' at 0x[0-9a-f]+', '', repr(value))


@functools.cache
def text_of(function):
    """Its source when it was first asked for, as its file may change while it runs; '' where there is none."""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return ''
