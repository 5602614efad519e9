"""The code of a user's own networks, objectives, explainers, similarities and data: what is trained depends on it."""
import contextlib
import dataclasses
import dis
import functools
import inspect
import re

from ml_collections import ConfigDict

from ikd.modules import LIBRARIES as FOLDERS

LIBRARIES = ('ikd', 'flax', 'jax', 'optax', 'numpy', 'builtins')
FLAX = ('parent', 'name')  # fields that every Flax module has
CONFIG = 'a config'  # what `told` has for one
PLAIN = (bool, int, float, str, tuple, list, dict, set, frozenset, type(None))
CONSTANT = (bool, int, float, str, type(None))


def is_own(thing):
    """Whether a function, class or object, or anything that a partial one holds, is defined outside `LIBRARIES`."""
    if isinstance(thing, functools.partial):
        return any(map(is_own, made_of(thing)))
    return package_of(thing) not in LIBRARIES


def package_of(thing):
    """The top-level package, or module, that a function, class or object, or its class, is defined in."""
    return (getattr(thing, '__module__', None) or 'builtins').partition('.')[0]


def source(thing, holding=True, seen=None):
    """The source of a function, a partial one, a class or an object of one, '' for one of ikd or of a library.

    Of a class that of its methods, its constants and the defaults of its fields, with what it inherits; of a partial
    function, a closure, a method or an object of one's own what it holds, too; of functions and methods also what
    they name in their module: constants (numbers, texts, tuples), and functions, classes and objects of the same
    package. The same in every process. What a function reaches in any other way, through another module, a table or
    a decorator, is not looked into, nor is what libraries name; without `holding` nothing that is held or named.
    Where Python keeps no source, as of what was typed at a prompt, what it compiled is taken in its place.
    seen: what is part of it already, once for all.
    """
    seen = [] if seen is None else seen
    if not is_own(thing) or any(thing is one for one in seen):
        return ''
    seen.append(thing)
    within = functools.partial(source, holding=holding, seen=seen)
    if isinstance(thing, functools.partial):
        text = ''.join(map(within, made_of(thing)))
        return text and f'{text} {told(thing)}'
    if not inspect.isclass(thing):
        function = inspect.unwrap(thing)
        text = text_of(function) if inspect.isroutine(function) else within(type(function))
        return text + (of_held(held_by(function), within) + of_named(function, within) if holding else '')
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    defaults = {field.name: told(field.default) for field in fields
                if field.default is not dataclasses.MISSING and field.name not in FLAX}
    constants = {name: told(value) for name, value in vars(thing).items()
                 if isinstance(value, PLAIN) and name not in (*defaults, *FLAX) and not name.startswith('_')}
    functions = [getattr(value, '__func__', None) or getattr(value, 'fget', None) or value
                 for value in vars(thing).values()]
    methods = [inspect.unwrap(value) for value in functions if inspect.isfunction(value)]
    texts = [text_of(method) + (of_named(method, within) if holding else '') for method in methods]
    return '\n'.join([repr(defaults), *([repr(constants)] if constants else []), *texts,
                      *map(within, thing.__bases__)])


def of_held(held, within):
    """What is held, {name: value}, as text: told, and `within` of what can be called."""
    return f" {told(held)}{''.join(map(within, filter(callable, held.values())))}" if held else ''


def of_named(function, within):
    """What a function names in its module as text: constants told, and `within` of the others that count.

    '' for one that has no text, as what dataclasses write, or that a library has.
    """
    if not inspect.isfunction(function) or not text_of(function) or function.__code__.co_filename.startswith(FOLDERS):
        return ''
    named = {name: function.__globals__[name] for name in sorted(names_in(function.__code__))
             if name in function.__globals__ and not name.startswith('__')}
    constants = {name: value for name, value in named.items() if is_constant(value)}
    parts = lambda value: made_of(value) if isinstance(value, functools.partial) else [value]
    others = [value for value in named.values()
              if callable(value) and package_of(function) in map(package_of, parts(value))]
    return (f' {told(constants)}' if constants else '') + ''.join(map(within, others))


def names_in(code):
    """The names that a code object, with those in it, reads from its module and does not set there: a set."""
    read, set_there = ({one.argval for one in instructions(code) if one.opname == operation}
                       for operation in ('LOAD_GLOBAL', 'STORE_GLOBAL'))
    return read - set_there


def instructions(code):
    """Those of a code object, and of the functions, lambdas and the like within it."""
    yield from dis.get_instructions(code)
    for inner in filter(inspect.iscode, code.co_consts):
        yield from instructions(inner)


def is_constant(value):
    """Whether a value is a number or a text, or a tuple of such: nothing that could change by itself."""
    return isinstance(value, CONSTANT) or isinstance(value, tuple) and all(map(is_constant, value))


def held_by(thing):
    """{name: value} of what a function has from around it, a method from its object, an object in itself."""
    if inspect.ismethod(thing):
        return held_by(thing.__func__) | held_by(thing.__self__)
    if inspect.isfunction(thing):
        held = {}
        for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or ()):
            with contextlib.suppress(ValueError):  # nothing is in it yet
                held[name] = cell.cell_contents
        return held
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
    """Its source when it was first asked for, as its file may change while it runs.

    Where there is none, what it was compiled to, with its defaults; '' of what is not Python's, or of a text given
    to `exec`, as dataclasses write their methods.
    """
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        if not inspect.isfunction(function) or function.__code__.co_filename == '<string>':
            return ''
        return f'{compiled(function.__code__)} {told([function.__defaults__, function.__kwdefaults__])}'


def compiled(code):
    """A code object as text that is the same in every process, but not for every Python."""
    constants = [compiled(value) if inspect.iscode(value) else told(value) for value in code.co_consts]
    return f'{code.co_code.hex()} {told(code.co_names)} {told(constants)}'
