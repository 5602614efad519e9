"""What an accelerator did while a trace was taken: its operations, the slowest, and the time it was busy."""
import collections
import pathlib

import jax

from ikd.errors import InputError

LINES = ('Stream', 'XLA Ops')  # of a GPU's plane, of a TPU's


def device_events(directory):
    """(start, end, name) of every operation on the first accelerator in an XProf trace: a list, by start.

    Times are in nanoseconds. directory: what `jax.profiler.trace` wrote to. Empty on a CPU, whose operations are not
    told apart from the host's. Copies between host and device count as operations.
    """
    found = []
    for path in sorted(pathlib.Path(directory).glob('**/*.xplane.pb')):
        planes = [plane for plane in jax.profiler.ProfileData.from_file(str(path)).planes
                  if plane.name.startswith('/device:') and plane.name.endswith(':0')]
        found += [(event.start_ns, event.start_ns + event.duration_ns, event.name)
                  for plane in planes for line in plane.lines if line.name.startswith(LINES) for event in line.events]
    return sorted(found)


def busy_share(events):
    """The share of the time from the first event's start to the last's end in which any ran: in [0, 1].

    events: as for `busy_time`.
    """
    return busy_time(events) / (max(end for _, end, _ in events) - events[0][0])


def busy_time(events):
    """The time in which any event ran, in nanoseconds.

    events: those of `device_events`; they may overlap, as those of several streams do. InputError if there are none.
    """
    if not events:
        raise InputError('the trace has no operation of an accelerator; may this user profile it?')
    busy, until = 0, events[0][0]
    for start, end, _ in events:
        busy += max(0, end - max(start, until))
        until = max(until, end)
    return busy


def slowest(events, n=10):
    """{name: its share of the operations' times} of the n that take longest, those of one name together.

    events: as for `busy_time`. Names are the compiler's, and of a GPU's libraries the kernels'.
    """
    times = collections.Counter()
    for start, end, name in events:
        times[name] += end - start
    whole = times.total()
    return {name: time / whole for name, time in times.most_common(n)}
