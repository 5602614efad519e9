"""Traces of accelerators: what counts, and the share of the time in which something ran."""
import jax
import pytest

from ikd.device_time import busy_share, busy_time, device_events, slowest
from ikd.errors import InputError

# A GPU's plane as XProf has it: two streams whose work overlaps, a line that says the same again, another device,
# and the host. Times in picoseconds from the line's beginning.
TRACE = '''
planes { name: "/device:GPU:0" event_metadata { key: 1 value { id: 1 name: "fusion" } }
  event_metadata { key: 2 value { id: 2 name: "copy" } }
  lines { name: "Stream #13(Compute)" timestamp_ns: 1000
    events { metadata_id: 1 offset_ps: 0 duration_ps: 200000 }
    events { metadata_id: 1 offset_ps: 500000 duration_ps: 500000 } }
  lines { name: "Stream #14(MemcpyH2D)" timestamp_ns: 1000
    events { metadata_id: 2 offset_ps: 100000 duration_ps: 200000 } }
  lines { name: "XLA Modules" timestamp_ns: 1000 events { metadata_id: 1 offset_ps: 0 duration_ps: 1000000 } } }
planes { name: "/device:GPU:1" event_metadata { key: 1 value { id: 1 name: "fusion" } }
  lines { name: "Stream #13(Compute)" timestamp_ns: 1000 events { metadata_id: 1 duration_ps: 9000000 } } }
planes { name: "/host:CPU" event_metadata { key: 1 value { id: 1 name: "python" } }
  lines { name: "python" timestamp_ns: 1000 events { metadata_id: 1 duration_ps: 9000000 } } }
'''


def test_operations_of_the_first_accelerator(tmp_path):
    """0 to 200, 100 to 300 and 500 to 1000 ns after 1000: busy for 800 of 1000."""
    serialized = jax.profiler.ProfileData.text_proto_to_serialized_xspace(TRACE)
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'host.xplane.pb').write_bytes(serialized)
    events = device_events(tmp_path)
    assert events == [(1000, 1200, 'fusion'), (1100, 1300, 'copy'), (1500, 2000, 'fusion')]
    assert busy_share(events) == pytest.approx(0.8)
    assert slowest(events) == pytest.approx({'fusion': 7 / 9, 'copy': 2 / 9}) and [*slowest(events, 1)] == ['fusion']


def test_a_trace_of_a_cpu_has_no_device(tmp_path):
    with jax.profiler.trace(str(tmp_path)):
        jax.jit(lambda x: x @ x)(jax.numpy.ones((8, 8))).block_until_ready()
    assert device_events(tmp_path) == []


@pytest.mark.parametrize('times, share', [([(0, 10)], 1), ([(0, 10), (2, 4)], 1), ([(0, 1), (3, 4)], 0.5)])
def test_busy_share(times, share):
    events = [(*time, 'fusion') for time in times]
    assert busy_share(events) == share and busy_time(events) == share * max(end for _, end in times)


def test_a_trace_without_operations_is_told_of():
    with pytest.raises(InputError, match='no operation of an accelerator'):
        busy_share([])
