"""Numbers as people read them."""
from ikd.words import number, plural, spans


def test_numbers():
    assert [spans([]), spans([4]), spans([0, 1, 2, 5, 7, 8])] == ['', '4', '0 to 2, 5, 7 to 8']
    assert number(-0.001, sign='+') == '+0.00' and number(1.005, 0.1, 1) == '1.0 +- 0.1'
    assert [plural(1, 'epoch'), plural(1200, 'epoch')] == ['1 epoch', '1,200 epochs']
