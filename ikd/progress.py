"""A live bar on a terminal, plain lines elsewhere."""
import sys
import time

from tqdm import tqdm


class Progress:
    """Shows `total` training steps, or what else a `unit` is, going by on stderr, with the time left.

    Off a terminal there is a line when an epoch ends, at most one every `pause` seconds, and one at the end.
    Nothing at all if `quiet`.
    """

    def __init__(self, total, pause=5, quiet=False, unit='step'):
        self.bar = tqdm(total=total, unit=unit, disable=quiet or not sys.stderr.isatty(), dynamic_ncols=True)
        self.total, self.done, self.skipped = total, 0, 0
        self.started, self.pause, self.spoke = time.monotonic(), pause, -pause
        self.quiet = quiet

    def tick(self, steps):
        """So many more steps are done."""
        self.done += steps
        self.bar.update(steps)

    def skip(self, steps):
        """So many steps were done before this began, in no time: they say nothing of the time left."""
        self.done += steps
        self.skipped += steps
        if not self.bar.disable:
            self.bar.initial += steps  # from which it reckons the rate
        self.bar.update(steps)

    def tell(self, text):
        """Say what is being done, or how what has ended went: beside the bar, or in a line."""
        self.bar.set_postfix_str(text)
        now = time.monotonic() - self.started
        if self.bar.disable and not self.quiet and (now - self.spoke >= self.pause or self.done >= self.total):
            here = self.done - self.skipped
            left = f', {now / here * (self.total - self.done):.0f} s left' if here else ''
            print(f'{100 * self.done / self.total:3.0f} %  {text}  ({now:.0f} s{left})', file=sys.stderr, flush=True)
            self.spoke = now

    def close(self):
        self.bar.close()
