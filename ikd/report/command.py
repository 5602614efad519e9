"""The command that makes a run again, found from what its config says."""
import importlib
import json
import shlex

from ikd.config import default, flatten
from ikd.errors import InputError
from ikd.validation import resolve

FILES = ('digits', 'mnist', 'cifar', 'kdexplainer', 'le_folder')  # of configs/
# Where something is kept or shown, and what is found by itself.
LEFT_OUT = ('profile', 'cache_dir', 'store', 'checkpoint_every', 'test_every', 'data.placement', 'data.fingerprint')


def command(fields):
    """`python -m ikd.main --config=...` for the contents of a run's config.json; None if ikd has no config for it.

    The file and argument of configs/ to which the fewest fields have to be added, and those fields.
    """
    config = default()
    try:
        config.update(fields)
        wanted = said(resolve(config))
        getters = {name: importlib.import_module(f'configs.{name}').get_config for name in FILES}
    except (InputError, ImportError, AttributeError, TypeError, ValueError):
        return None
    method, found = wanted['method.name'], []
    for name, get_config in getters.items():
        for argument in (method, f'{method},smoke', '', 'smoke'):
            try:
                base = get_config(argument)
            except InputError:  # not every file takes every method
                continue
            found.append((f"configs/{name}.py{':' * bool(argument)}{argument}", base, differing(wanted, said(base))))
    name, base, changes = min(found, key=lambda one: len(one[2]))
    flags = [f'--config.{field}={value}' for field, value in needed(base, changes, wanted).items()]
    return shlex.join(['python', '-m', 'ikd.main', f'--config={name}', *flags])


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
