"""Grids of narrow networks on the digits, and what a run says of a trial, for tests that train nothing."""
from ikd.config import default
from ikd.grid import Cell, Grid

SUMMARY = {'trials': [{'seed': 3, 'test_accuracy': 97.5, 'test_nll': 0.1, 'test_ece': 0.02, 'train_seconds': 4.0}],
           'method': 'ce', 'explainer': None, 'model': 'cnn2', 'dataset': 'digits', 'precision': 'float32',
           'train_images': 100, 'test_images': 50, 'data_checksum': 'c0ffee', 'git_commit': 'abc',
           'versions': {'jax': '1'}, 'device': {'platform': 'cpu', 'kind': 'cpu', 'count': 1}}


def config_of(method='ce', **fields):
    config = default()
    config.update_from_flattened_dict({'method.name': method, 'model.name': 'cnn2', **fields})
    return config


def small(*methods, trials=2):
    cells = tuple(Cell(method, 'CNN-2', config_of(method)) for method in methods)
    return Grid('small', 'Small', cells, trials=trials)
