"""Configs that differ from the default in some fields, for tests that train nothing."""
from ikd.config import default


def make(**fields):
    config = default()
    config.update_from_flattened_dict(fields)
    return config
