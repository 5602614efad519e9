"""Signals, mostly in a process of its own that does nothing else."""
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ikd.signals import same_command, stopping

# Where the tests run in the background of a script, SIGINT is ignored, and children are born so.
HEARING = '''
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
'''
WAITING = '''
import time
from ikd.signals import stopping
with stopping() as stop:
    print('ready', flush=True)
    while not stop():
        time.sleep(0.01)
print('saved')
'''
DEAF = '''
import hashlib
from ikd import signals
signals.ONE = {one}
with signals.stopping() as stop:
    print('ready', flush=True)
    hashlib.pbkdf2_hmac('sha256', b'', b'', 10 ** 9)  # like a compilation: nothing of Python runs meanwhile
'''


def start(code):
    """A process that runs this code and has said that it is ready."""
    process = subprocess.Popen([sys.executable, '-W', 'error', '-c', HEARING + code], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == 'ready\n'
    return process


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks(number):
    process = start(WAITING)
    process.send_signal(number)
    shown, told = process.communicate(timeout=60)
    assert process.returncode == 0 and shown == 'saved\n'
    assert told == f'ikd: {number.name}: this step is finished and saved; a second signal ends the run at once\n'


@pytest.mark.parametrize('numbers, one, code', [
    ((signal.SIGINT, signal.SIGINT), 0, 130), ((signal.SIGTERM, signal.SIGTERM), 0, 143),
    ((signal.SIGTERM, signal.SIGINT), 3600, 130)])
def test_the_second_ends_the_process_at_once(numbers, one, code):
    """Though the main thread hears nothing."""
    process = start(DEAF.format(one=one))
    process.send_signal(numbers[0])
    assert 'a second signal' in process.stderr.readline()
    process.send_signal(numbers[1])
    assert process.wait(timeout=60) == code
    assert process.communicate() == ('', '')


@pytest.mark.parametrize('number, other, code', [(signal.SIGINT, signal.SIGTERM, 143),
                                                 (signal.SIGTERM, signal.SIGINT, 130)])
def test_the_same_signal_at_once_again_is_the_first(number, other, code):
    """As `timeout` sends it, to the process and to its group."""
    process = start(DEAF.format(one=3600))
    process.send_signal(number)
    assert 'a second signal' in process.stderr.readline()
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(other)
    assert process.wait(timeout=60) == code
    assert process.communicate() == ('', '')


def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_nothing_is_left_behind(monkeypatch):
    """Handlers and wake-up file are those of before, no thread or file is new, also after an error within."""
    files = lambda: {file for file in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{file}')}
    before, threads, opened = handlers(), {*threading.enumerate()}, files()
    for _ in range(2):
        with pytest.raises(ValueError):
            with stopping() as stop:
                assert not stop() and handlers() != before
                raise ValueError
        assert handlers() == before and {*threading.enumerate()} <= threads and files() <= opened
        assert signal.set_wakeup_fd(-1) == -1


def test_whoever_was_woken_by_signals_is_again():
    """As an event loop is, of asyncio's."""
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told)
    try:
        with stopping():
            pass
        assert signal.set_wakeup_fd(-1) == told
    finally:
        signal.set_wakeup_fd(-1)
        os.close(told)
        os.close(heard)


def test_other_signals_ask_for_nothing():
    """Though Python tells of them by the same pipe, where the program has a handler for them."""
    heard = []
    old = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        with stopping() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.05)
            assert heard == [signal.SIGUSR1] and not stop()
    finally:
        signal.signal(signal.SIGUSR1, old)


@pytest.mark.parametrize('started, said', [
    (['/usr/bin/python3', '-m', 'ikd.main', '--config=a b.py'], "/usr/bin/python3 -m ikd.main '--config=a b.py'"),
    (['/v/bin/python3.11', '/v/bin/ikd', 'train', '--config=a.py'], 'ikd train --config=a.py')])
def test_the_command_to_go_on_with_is_what_was_typed(started, said, monkeypatch):
    monkeypatch.setattr('sys.orig_argv', started)
    assert same_command() == said


def test_in_another_thread_nothing_changes():
    found = []

    def run():
        with stopping() as stop:
            found.append((handlers(), stop()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [(handlers(), False)]


def test_ignored_signals_stay_ignored():
    """As SIGINT is for a command in the background of a script, and SIGHUP's like under nohup."""
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            assert not stop() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, old)
