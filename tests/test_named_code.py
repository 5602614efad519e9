"""What code of one's own names in its module is part of it, and what it reaches in another way is not."""
import inspect
from functools import partial

import pytest
import scipy.optimize

from ikd.modules import module_of
from ikd.own_code import source

WRITTEN = """
from functools import partial
import flax.linen as nn
from scipy import special
from ikd.models import MODELS

WEIGHT, SCALES, CALLS = 1.0, (1, 2), 0
LOG, TABLE = [], {'a': 1}

def inner(x):
    return x

def of_lambda(x):
    return x

def of_list(x):
    return x

def given(x):
    return x

GIVEN = partial(given)

class Part(nn.Module):
    def __call__(self, x):
        return x

def loss(batch):
    global CALLS
    CALLS += 1
    LOG.append(1)
    def nested(x):
        return inner(x) * WEIGHT
    return nested(batch), (lambda x: of_lambda(x)), [of_list(x) for x in SCALES], GIVEN, TABLE, special.expit, MODELS

class Net(nn.Module):
    def __call__(self, x):
        return Part()(x)

class Called:
    def __call__(self, batch):
        return loss(batch)
"""


@pytest.mark.parametrize('old, new, touched', [
    ('SCALES, CALLS = 1.0', 'SCALES, CALLS = 2.0', 'loss Called'), ('(1, 2)', '(1, 3)', 'loss Called'),
    *((f'def {name}(x):\n    return x', f'def {name}(x):\n    return -x', 'loss Called')
      for name in ('inner', 'of_lambda', 'of_list', 'given')),
    ('self, x):\n        return x', 'self, x):\n        return -x', 'Net'),
    ('CALLS = 1.0, (1, 2), 0', 'CALLS = 1.0, (1, 2), 7', ''), ("TABLE = [], {'a': 1}", "TABLE = [1], {}", '')])
def test_what_is_named_in_ones_own_module_is_part_of_it(old, new, touched, tmp_path):
    """Constants, functions and classes; not what may change by itself, nor a table of ikd's."""
    assert old in WRITTEN and old != new
    found = []
    for i, text in enumerate((WRITTEN, WRITTEN.replace(old, new))):
        path = tmp_path / f'{i}' / 'mine.py'
        path.parent.mkdir()
        path.write_text(text)
        module = module_of(str(path))
        found.append({name: source(getattr(module, name)) for name in ('loss', 'Net', 'Called')})
    before, after = found
    assert {name for name in before if before[name] != after[name]} == set(touched.split())
    assert 'resnet8' not in before['loss']


def test_each_function_is_part_of_it_once(tmp_path):
    """Thirty that name one another; all ways among them would never end. Of a library's what it names is left."""
    names = [f'f{i}' for i in range(30)]
    (tmp_path / 'mine.py').write_text(''.join(f'def {name}():\n    return {", ".join(names)}\n' for name in names))
    text = source(module_of(str(tmp_path / 'mine.py')).f0)
    assert all(text.count(f'def {name}()') == 1 for name in names)
    held = source(partial(test_each_function_is_part_of_it_once, f=scipy.optimize.minimize))
    assert 'def minimize' in held and len(held) < 2 * len(inspect.getsource(scipy.optimize.minimize))
