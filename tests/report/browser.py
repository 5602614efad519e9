"""A real browser without a window: Chromium, spoken to over a pipe in its DevTools protocol."""
import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import time

import pytest

FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-sync',
         '--disable-component-update', '--no-first-run', '--hide-scrollbars', '--remote-debugging-pipe')
SECONDS = 60


@contextlib.contextmanager
def chromium(profile):
    """A Tab of a browser whose files are in the folder `profile`. The test is skipped where there is no Chromium."""
    program = shutil.which('chromium') or shutil.which('google-chrome')
    if program is None:
        pytest.skip('no chromium here: apt-get install chromium')
    (heard, say), (answer, told) = os.pipe(), os.pipe()
    files = [(os.POSIX_SPAWN_DUP2, heard, 3), (os.POSIX_SPAWN_DUP2, told, 4),  # where Chromium reads and writes
             (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(program, [program, *FLAGS, f'--user-data-dir={profile}'], os.environ, setsid=True,
                             file_actions=files)
    os.close(heard)
    os.close(told)
    try:
        yield Tab(say, answer)
    finally:
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(say)
        os.close(answer)


class Tab:
    """A page of the browser. `events`: [(method, params), ...] of all that it has told unasked."""

    def __init__(self, say, answer):
        self.say, self.answer, self.rest, self.events = say, answer, b'', []
        self.numbers, self.session = itertools.count(1), {}
        target = self.send('Target.createTarget', url='about:blank')['targetId']
        attached = self.send('Target.attachToTarget', targetId=target, flatten=True)
        self.session = {'sessionId': attached['sessionId']}
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.send(f'{domain}.enable')

    def send(self, method, **params):
        """The result of a command."""
        number = next(self.numbers)
        message = {'id': number, 'method': method, 'params': params, **self.session}
        os.write(self.say, json.dumps(message).encode() + b'\0')
        while True:
            message = self.receive()
            if message.get('id') == number:
                assert 'error' not in message, message
                return message['result']

    def receive(self):
        """The next message, told or answered."""
        until = time.monotonic() + SECONDS
        while b'\0' not in self.rest:
            left = max(0, until - time.monotonic())
            assert select.select([self.answer], [], [], left)[0], 'no word from Chromium'
            piece = os.read(self.answer, 1 << 16)
            assert piece, 'Chromium has gone'
            self.rest += piece
        line, _, self.rest = self.rest.partition(b'\0')
        message = json.loads(line)
        if 'method' in message:
            self.events.append((message['method'], message['params']))
        return message

    def open(self, path, width, height=800, scheme='light'):
        """Load a file into a screen of width x height pixels, a phone's if narrow; returns when all is there."""
        self.send('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.send('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': scheme}])
        self.events.clear()
        self.send('Page.navigate', url=path.as_uri())
        while not any(method == 'Page.loadEventFired' for method, _ in self.events):
            self.receive()

    def find(self, expression):
        """The JSON value of a JavaScript expression, which may be a promise."""
        found = self.send('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        assert 'exceptionDetails' not in found, found
        return found['result'].get('value')

    def move(self, x, y):
        """Move the mouse there."""
        self.send('Input.dispatchMouseEvent', type='mouseMoved', x=x, y=y)

    def click(self, x, y):
        """Press and release there."""
        for kind in ('mousePressed', 'mouseReleased'):
            self.send('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', clickCount=1)

    def complaints(self):
        """What the page has logged, thrown or been refused."""
        return [params for method, params in self.events
                if method in ('Log.entryAdded', 'Runtime.consoleAPICalled', 'Runtime.exceptionThrown')]

    def requests(self):
        """The addresses that the page has asked for, but for what it holds itself."""
        urls = [params['request']['url'] for method, params in self.events if method == 'Network.requestWillBeSent']
        return [url for url in urls if not url.startswith('data:')]
