"""The code of a user's own networks, objectives, explainers, similarities and data: what is trained depends on it."""
import dataclasses
import functools
import inspect
import re

from ml_collections import ConfigDict

LIBRARIES = ('ikd', 'flax', 'jax', 'optax', 'numpy', 'builtins')
FLAX = ('parent', 'name')  # fields that every Flax module has
GENERATED = ('__init__', '__repr__', '__eq__', '__hash__', '__replace__')
CONFIG = 'a config'  # what `told` has for one
COLLECTIONS = (tuple, list, set, frozenset)
PLAIN = (bool, int, float, str, dict, type(None), *COLLECTIONS)


def is_own(thing):
    """Whether a function, class or object, or anything that a partial one holds, is defined outside `LIBRARIES`."""
    if isinstance(thing, functools.partial):
        return any(map(is_own, made_of(thing)))
    return (getattr(thing, '__module__', None) or 'builtins').partition('.')[0] not in LIBRARIES


def source(thing, holding=True, seen=()):
    """The source of a function, a partial one, a class or an object of one, '' for one of ikd or of a library.

    Of a class that of its methods, its constants and the defaults of its fields, with what it inherits; of a partial
    function, a closure, a method or an object of one's own what it holds, too; of functions and methods also what
    they name in their module: constants, and functions and classes of the same package. The same in every process.
    Nothing else that a function calls is looked into, nor, without `holding`, what it holds or names. Where Python
    keeps no source, as of what was typed at a prompt, what it compiled is taken in its place.
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
    methods = [inspect.unwrap(value) for value in functions if inspect.isfunction(value)]
    methods = [within(method) for method in methods if not is_generated(method)]
    return '\n'.join([repr(defaults), *([repr(constants)] if constants else []), *methods,
                      *map(within, thing.__bases__)])


def is_generated(method):
    """Whether a dataclass has written the method: of a text of no file, which is another in each Python."""
    return method.__name__ in GENERATED and method.__code__.co_filename == '<string>'


def held_by(thing):
    """{name: value} of what a function has from around it, a method from its object, an object in itself.

    Of what a function names in its module constants, and functions, classes and the like of the same package.
    """
    if inspect.ismethod(thing):
        return held_by(thing.__func__) | held_by(thing.__self__)
    if inspect.isfunction(thing):
        around = inspect.getclosurevars(thing)
        package = (thing.__module__ or '').partition('.')[0]
        return around.nonlocals | {
            name: value for name, value in around.globals.items() if is_plain(value)
            or callable(value) and (getattr(value, '__module__', None) or '').partition('.')[0] == package}
    if inspect.isclass(thing):
        return {}
    return {name: value for name, value in getattr(thing, '__dict__', {}).items()
            if name not in FLAX and not name.startswith('_')}


def is_plain(value):
    """Whether a value is a constant: of a plain type, and so all that it holds."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, COLLECTIONS) else ()
    return isinstance(value, PLAIN) and all(map(is_plain, parts))


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
    """Its source when it was first asked for, as its file may change while it runs.

    What it was compiled to where there is none; '' of what is not Python's.
    """
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return compiled(function.__code__) if inspect.isfunction(function) else ''


def compiled(code):
    """A code object as text that is the same in every process, but not for every Python."""
    constants = [compiled(value) if inspect.iscode(value) else told(value) for value in code.co_consts]
    return f'{code.co_code.hex()} {told(code.co_names)} {told(constants)}'
