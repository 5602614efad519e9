"""Numbers as people read them, and lists of names as they write them."""
import pytest

from ikd.errors import InputError
from ikd.words import named, number, plural, spans


def test_numbers():
    assert [spans([]), spans([4]), spans([0, 1, 2, 5, 7, 8])] == ['', '4', '0 to 2, 5, 7 to 8']
    assert number(-0.001, sign='+') == '+0.00' and number(1.005, 0.1, 1) == '1.0 +- 0.1'
    assert number(None, None) == 'not run'
    assert [plural(1, 'epoch'), plural(1200, 'epoch')] == ['1 epoch', '1,200 epochs']


def test_names():
    choices = {'a': 1, 'b': 2, 'c': 3}
    assert [named('only', text, choices) for text in (None, 'all', 'c, a')] == [['a', 'b', 'c']] * 2 + [['c', 'a']]
    for text, wrong in ('a,d', 'd'), ('', ''), ('a,', ''), ('A, b', 'A'):
        with pytest.raises(InputError, match=f"^--only: no '{wrong}'; choose from a, b, c, or all$"):
            named('only', text, choices)
