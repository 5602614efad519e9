"""A process that keeps its memory touches no page twice for the first time, and works where there is no glibc."""
import ctypes
import subprocess
import sys

import pytest

from ikd.host_memory import keep_memory

ARRAYS = """
import resource, threading
import numpy as np
from ikd.host_memory import keep_memory

if {keep}:
    keep_memory()

def fill():
    np.ones(2 ** 24)  # 128 MiB

def touched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        thread = threading.Thread(target=fill)  # as XLA computes in threads
        thread.start()
        thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

touched()
print(touched())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'mallopt'), reason='needs glibc')
def test_what_has_been_used_is_used_again():
    """Three arrays of 128 MiB have 192 pages of 2 MiB, or 98,304 of 4 KiB: none of them is new the second time."""
    def touched(keep):
        return int(subprocess.run([sys.executable, '-c', ARRAYS.format(keep=keep)], check=True,
                                  capture_output=True).stdout)

    kept, given_back = touched(True), touched(False)
    assert kept < 30 and given_back > 150


@pytest.mark.parametrize('platform', ['linux', 'darwin'])
def test_without_glibc_nothing_happens(monkeypatch, platform):
    monkeypatch.setattr(sys, 'platform', platform)
    monkeypatch.setattr(ctypes, 'CDLL', lambda name: object())
    keep_memory()
