"""Ctrl-C and SIGTERM: asked to stop, a run finishes its step and saves; asked again, it ends at once."""
import contextlib
import os
import shlex
import signal
import sys
import threading
import time

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ONE = 0.5  # seconds: `timeout` and others send a signal to a process and then to its group, which is meant once


@contextlib.contextmanager
def stopping():
    """Gives a function that says whether SIGINT (Ctrl-C) or SIGTERM has come; the second ends the process.

    Its exit code is then 128 plus the signal's number. That happens at once, whatever the main thread is doing, as
    Python tells of a signal only between its own instructions, and a compilation can take a minute; but the same
    signal again within half a second is no second. Afterwards the handlers are those of before. Signals that the
    process ignores, as under nohup, stay ignored; in a thread other than the main one, where Python allows no
    handlers, nothing is changed and no signal is heard.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: old for number in SIGNALS if (old := signal.getsignal(number)) != signal.SIG_IGN}
    heard, told = os.pipe()
    os.set_blocking(told, False)
    listener = threading.Thread(target=listen, args=(heard, asked, before), daemon=True)
    listener.start()
    wakeup = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    for number in before:
        signal.signal(number, lambda number, frame: None)
    try:
        yield asked.is_set
    finally:
        for number, old in before.items():
            signal.signal(number, old or signal.SIG_DFL)
        signal.set_wakeup_fd(wakeup)
        os.close(told)  # ends the listener
        listener.join()
        os.close(heard)


def listen(pipe, asked, numbers):
    """Set `asked` at the first of the signals whose numbers come through a pipe, end the process at the second."""
    first, since = None, 0.0
    while byte := os.read(pipe, 1):
        if byte[0] not in numbers or (byte == first and time.monotonic() - since < ONE):
            continue
        if asked.is_set():
            os._exit(128 + byte[0])
        first, since = byte, time.monotonic()
        asked.set()
        print(f'ikd: {signal.Signals(byte[0]).name}: this step is finished and saved; a second signal ends the run '
              'at once', file=sys.stderr, flush=True)


def same_command():
    """The command line that this process was started with, for a shell."""
    command = [os.path.basename(word) for word in sys.orig_argv[1:2]]
    return shlex.join([*command, *sys.orig_argv[2:]] if command == ['ikd'] else sys.orig_argv)
