"""The command that makes a run again, found from what its config says."""
import contextlib
import importlib
import json
import shlex

from ikd.config import default, flatten
from ikd.errors import InputError
from ikd.modules import module_of
from ikd.stage_names import own_code
from ikd.validation import resolve

FILES = ('digits', 'mnist', 'cifar', 'kdexplainer', 'le_folder')  # of configs/
# Where something is kept or shown, and what is found by itself.
LEFT_OUT = ('profile', 'cache_dir', 'store', 'checkpoint_every', 'test_every', 'data.placement', 'data.fingerprint')


def command(fields, own_file=None):
    """`python -m ikd.main --config=...` for the contents of a run's config.json; None if there is no config for it.

    The file and argument of configs/ to which the fewest fields have to be added, and those fields. own_file: what
    `--config` named to train it; a run with code of the user's own has no command without it.
    """
    config = default()
    try:
        config.update(fields)
        config = resolve(config)
        wanted = said(config)
        found = named(own_file) if own_code(config) else of_ikd(wanted['method.name'], wanted['data.limit'])
        name, base, changes = min(((name, base, differing(wanted, said(base))) for name, base in found),
                                  key=lambda one: len(one[2]))
    except (InputError, ImportError, AttributeError, TypeError, ValueError):
        return None
    flags = [f'--config.{field}={value}' for field, value in needed(base, changes, wanted).items()]
    return shlex.join(['python', '-m', 'ikd.main', f'--config={name}', *flags])


def of_ikd(method, limit):
    """(what `--config` may name, its config) of ikd's own files for a method; no smoke test if there is no limit."""
    for name in FILES:
        get_config = importlib.import_module(f'configs.{name}').get_config
        for argument in (method, f'{method},smoke', '', 'smoke') if limit else (method, ''):
            with contextlib.suppress(InputError):  # not every file takes every method
                yield f'configs/{name}.py:{argument}' if argument else f'configs/{name}.py', get_config(argument)


def named(own_file):
    """What `of_ikd` gives, of a file of the user's own, with or without a colon and an argument; nothing for None."""
    if own_file:
        path, colon, argument = own_file.partition(':')
        get_config = module_of(path).get_config
        yield own_file, get_config(argument) if colon else get_config()


def said(config):
    """The fields that a command may have to name: a flat dict."""
    return {field: tuple(value) if isinstance(value, list) else value
            for field, value in flatten(json.loads(config.to_json())).items() if field not in LEFT_OUT}


def differing(wanted, there):
    """The fields that are wanted otherwise than they are there."""
    return {field: value for field, value in wanted.items() if there.get(field) != value}


def needed(base, changes, wanted):
    """Those of the changes to a config that do not follow from the others once it is resolved."""
    for field in list(changes):
        fewer = {name: value for name, value in changes.items() if name != field}
        config = base.copy_and_resolve_references()
        config.update_from_flattened_dict(fewer)
        try:
            if not differing(wanted, said(resolve(config))):
                changes = fewer
        except InputError:  # the others need this one
            continue
    return changes
