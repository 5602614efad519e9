"""Work that is done once: teachers and warm-ups from the store."""
import functools
import re
import shutil

import jax
import pytest

from configs import digits as digits_config
from ikd import checkpoint, experiment, stages, store
from ikd.errors import Busy, Stopped
from ikd.files import holding
from ikd.journal import read_records
from ikd.recipes import recipe
from ikd.stage_names import stage_name
from ikd.validation import resolve
from tests.small_run import without_times
from tests.test_checkpoint import make_state

DEVICES = jax.devices()

pytestmark = pytest.mark.usefixtures('without_pictures')


def make_config(method, **fields):
    """The method with small networks on 16x16 digits, in smoke mode."""
    config = digits_config.get_config(f'{method},smoke')
    config.update_from_flattened_dict({'data.size': 16, 'model.name': 'cnn2', 'teacher.model': 'cnn4',
                                       'teacher.assistant': 'cnn4', **fields})
    return resolve(config)


@pytest.mark.parametrize('field, start', [('start', stages.weights_only), ('trains', stages.before)])
def test_all_that_a_stage_is_given_is_in_its_name(field, start):
    """Of functions that are only in part called, arguments of either kind."""
    config, (warmup, last) = make_config('le'), recipe(make_config('le'))

    def name(*given, **named):
        changed = functools.partial(start, *given, **named) if given or named else start
        return stage_name(config, [warmup, last._replace(**{field: changed})], 1)

    assert len({name(), name(1), name(2), name(1, 2), name(tap=1), name(tap=2)}) == 6


@pytest.mark.slow
def test_a_teacher_is_the_same_after_its_student_was_trained(tmp_path):
    """Bit for bit, in the store."""
    def stored():
        (entry,) = (tmp_path / 'store').glob('teacher-*/seed0')
        return {path.relative_to(entry): path.read_bytes() for path in entry.rglob('*') if path.is_file()}

    experiment.run(make_config('kd'), tmp_path / 'first', DEVICES[:1])
    before = stored()
    experiment.run(make_config('at_kd'), tmp_path / 'second', DEVICES[:1])
    assert stored() == before and before


def test_an_assistant_from_the_store_keeps_its_place(tmp_path):
    """The epochs of stages that are taken from the store count as those that are trained."""
    config = make_config('takd', **{'data.size': 8, 'data.limit': 64, 'model.name': 'mlp', 'teacher.model': 'mlp',
                                    'teacher.assistant': 'mlp'})
    trained, taken = (experiment.run(config, tmp_path / name, DEVICES[:1]) for name in ('first', 'second'))
    first, second = (without_times(read_records(tmp_path / name)) for name in ('first', 'second'))
    assert [(record['stage'], record['epoch']) for record in second] == [
        ('teacher', 1), ('teacher', 2), ('assistant', 3), ('assistant', 4), ('student', 5), ('student', 6)]
    assert second == [{**record, **({} if record['stage'] == 'student' else {'stored': True})} for record in first]
    assert taken['trials'][0]['test_nll'] == trained['trials'][0]['test_nll']


@pytest.mark.slow
def test_a_second_method_takes_its_teacher_from_the_store(tmp_path):
    """KD and DKPP of a seed share a teacher: trained once, bit for bit the same, untouched by its student."""
    runs = {}
    for method in ('kd', 'dkpp'):
        summary = experiment.run(make_config(method), tmp_path / method, DEVICES[:1])
        runs[method] = summary, read_records(tmp_path / method)
    (entry,) = (tmp_path / 'store').iterdir()
    assert entry.name.startswith('teacher-') and [seed.name for seed in entry.glob('seed*')] == ['seed0']
    for summary, records in runs.values():
        assert [(r['stage'], r['epoch']) for r in records] == [
            ('teacher', 1), ('teacher', 2), ('student', 3), ('student', 4)]
        assert summary['trials'][0]['teachers'] == {'teacher': records[1]['test_accuracy']}
    teacher = [[{**r, 'stored': None} for r in records[:2]] for _, records in runs.values()]
    assert teacher[0] == teacher[1]
    assert not (tmp_path / 'dkpp' / 'checkpoints' / 'seed0' / '0-teacher').exists()


def test_only_the_same_work_is_taken_from_the_store():
    """Seeds lie side by side; another network, schedule, data or temperature of the assistant is another name."""
    def names(method='takd', **fields):
        config = make_config(method, **fields)
        return [stage_name(config, recipe(config), index) for index in range(2)]

    teacher, assistant = names()
    for same in {'method.alpha': 0.5, 'trials': 3}, {'seed': 3}, {'test_every': 2}, {'class_chunk': 1}:
        assert names(**same) == [teacher, assistant]
    assert names(**{'method.temperature': 2.0})[0] == teacher
    assert names(**{'method.temperature': 2.0})[1] != assistant
    assert names(**{'model.name': 'resnet14'}) == [teacher, assistant]
    others = [{'teacher.model': 'resnet14'}, {'epochs': 3}, {'optimizer.learning_rate': 0.2}, {'data.limit': 200},
              {'data.train_images': 200}, {'data.train_skip': 200}, {'precision': 'tf32'}, {'batch_size': 8},
              {'method.bn': 'running'}, {'data.size': 8}, {'data.augment': 'crop_flip'}, {'data.holdout': 10},
              {'optimizer.momentum': 0.5}, {'optimizer.weight_decay': 0.5}, {'optimizer.milestones': (0.25,)}]
    found = [names(**other) for other in others]
    assert all(other[0] != teacher and other[1] != assistant for other in found)
    assert len({other[0] for other in found}) == len(others)
    assert names('le')[0] == names('le_uniform')[0] == names('le_permut')[0]
    tree = {'model.name': 'hme_tree', 'hme.loss': 'kd'}
    one, other = names('hme', **tree), names('hme', **tree, **{'hme.outputs': 2})
    assert one[0] == other[0] and one[1] != other[1]
    assert names('le', **{'hme.outputs': 2}) == names('le')


def test_what_an_earlier_version_has_stored_is_found():
    """By its name, which may change only where the stage is trained in another way."""
    warm, taught = make_config('le'), make_config('kd')
    assert stage_name(warm, recipe(warm), 0) == 'warmup-a75aa763de99'
    assert stage_name(taught, recipe(taught), 0) == 'teacher-992e594f72c9'  # named anew with draws of its own


def test_a_stored_warm_up_is_the_trained_one(tmp_path):
    """LE after its control, whose warm-up it takes, ends bit for bit as LE alone."""
    experiment.run(make_config('le_uniform'), tmp_path / 'a' / 'control', DEVICES[:1])
    after = experiment.run(make_config('le'), tmp_path / 'a' / 'le', DEVICES[:1])
    alone = experiment.run(make_config('le'), tmp_path / 'b' / 'le', DEVICES[:1])
    assert read_records(tmp_path / 'a' / 'le')[0]['stored'] and 'stored' not in read_records(tmp_path / 'b' / 'le')[0]
    for name in ('test_accuracy', 'test_nll', 'test_ece'):
        assert after['trials'][0][name] == alone['trials'][0][name]


def damage(state):
    """Turn a bit in the middle of the largest file of a stored State."""
    largest = max((path for path in state.rglob('*') if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


def test_a_whole_entry_is_left_alone_and_any_other_replaced(tmp_path, capsys):
    """Whoever reads it meanwhile finds it whole; a damaged one, or one of another network, gives way."""
    entry = tmp_path / 'teacher-0' / 'seed0'
    files = lambda: {path: path.stat().st_ino for path in entry.rglob('*')}
    keep = lambda state, loss: store.keep(tmp_path, 'teacher-0', 0, state, [{'epoch': 1, 'train_loss': loss}])
    loss = lambda state: store.fetch(tmp_path, 'teacher-0', 0, state)[1][0]['train_loss']
    keep(make_state(1), 1.0)
    before = files()
    keep(make_state(1), 2.0)
    assert files() == before and loss(make_state(1)) == 1.0
    damage(entry / 'state')
    keep(make_state(1), 3.0)
    assert loss(make_state(1)) == 3.0
    keep(make_state(1, width=8), 4.0)
    assert loss(make_state(1, width=8)) == 4.0
    assert not capsys.readouterr().err


@pytest.mark.parametrize('text', ['', '[{"epoch": 1', '[{}]', '{}', '[1]'])
def test_damaged_records_give_way(tmp_path, text, capsys):
    records = [{'epoch': 1}]
    store.keep(tmp_path, 'teacher-0', 0, make_state(1), records)
    path = tmp_path / 'teacher-0' / 'seed0' / 'records.json'
    path.write_text(text)
    assert store.fetch(tmp_path, 'teacher-0', 0, make_state(1)) is None
    told = capsys.readouterr().err
    assert told.startswith(f'ikd: {path} is damaged') and told.endswith('; the stage is trained again\n')
    store.keep(tmp_path, 'teacher-0', 0, make_state(1), records)
    assert store.fetch(tmp_path, 'teacher-0', 0, make_state(1))[1] == records


def test_a_stage_of_other_data_gives_way(tmp_path, capsys):
    """What was stored before the data was noted is taken, and what a run of before then asks for is given."""
    records, state = [{'epoch': 1}], make_state(1)
    store.keep(tmp_path, 'teacher-0', 0, state, records, 'aaa')
    for there_is_now in 'aaa', None:
        assert store.fetch(tmp_path, 'teacher-0', 0, state, there_is_now)[1] == records
    assert store.fetch(tmp_path, 'teacher-0', 0, state, 'bbb') is None
    assert 'was trained on other data than there is now; the stage is trained again' in capsys.readouterr().err
    store.keep(tmp_path, 'teacher-0', 0, state, records, 'bbb')
    assert store.fetch(tmp_path, 'teacher-0', 0, state, 'bbb')[1] == records
    (tmp_path / 'teacher-0' / 'seed0' / 'data.json').unlink()
    assert store.fetch(tmp_path, 'teacher-0', 0, state, 'ccc')[1] == records


def test_an_entry_that_is_being_replaced_is_not_whole(tmp_path, monkeypatch):
    """Else a kill would leave the new State with the records of the old."""
    store.keep(tmp_path, 'teacher-0', 0, make_state(1), [])
    monkeypatch.setattr(store, 'sealed', lambda state: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.keep(tmp_path, 'teacher-0', 0, make_state(1, width=8), [])
    assert store.fetch(tmp_path, 'teacher-0', 0, make_state(1)) is None


def test_an_entry_without_a_note_of_its_data_is_not_whole(tmp_path, monkeypatch):
    """Else a kill would leave one that is taken whatever data there is."""
    def write_json(path, value, write=store.write_json, written=[]):
        if written:
            raise KeyboardInterrupt
        written.append(write(path, value))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store, 'write_json', write_json)
        store.keep(tmp_path, 'teacher-0', 0, make_state(1), [{'epoch': 1}], 'aaa')
    assert store.fetch(tmp_path, 'teacher-0', 0, make_state(1), 'bbb') is None
    store.keep(tmp_path, 'teacher-0', 0, make_state(1), [{'epoch': 1}], 'aaa')
    assert store.fetch(tmp_path, 'teacher-0', 0, make_state(1), 'aaa')[1] == [{'epoch': 1}]


def test_one_process_at_a_time_writes_an_entry(tmp_path, monkeypatch):
    def sealed(state):
        with pytest.raises(Busy, match='it is'), holding(tmp_path / 'teacher-0' / '.lock-seed0', 'it is'):
            pass
        return checkpoint.sealed(state)

    monkeypatch.setattr(store, 'sealed', sealed)
    store.keep(tmp_path, 'teacher-0', 0, make_state(1), [{'epoch': 1}])
    assert store.fetch(tmp_path, 'teacher-0', 0, make_state(1))[1] == [{'epoch': 1}]


def test_a_seed_trained_beside_one_that_is_stored(tmp_path):
    """Both are trained; what was stored is not touched, and the other's is stored."""
    experiment.run(make_config('le_uniform', parallel='trials'), tmp_path / 'one', DEVICES[:1])
    (entry,) = (tmp_path / 'store').glob('warmup-*')
    files = {path: path.stat().st_ino for path in (entry / 'seed0').rglob('*')}
    experiment.run(make_config('le_uniform', trials=2, parallel='trials', together=2), tmp_path / 'two', DEVICES[:1])
    assert {path: path.stat().st_ino for path in (entry / 'seed0').rglob('*')} == files
    assert (entry / 'seed1' / 'records.json').exists()


@pytest.mark.slow
def test_a_damaged_warm_up_is_trained_again(tmp_path, capsys):
    """A line says so, the run ends as if the store had been empty, and the entry is whole again."""
    alone = experiment.run(make_config('le'), tmp_path / 'b' / 'le', DEVICES[:1])
    experiment.run(make_config('le_uniform'), tmp_path / 'a' / 'control', DEVICES[:1])
    (state,) = (tmp_path / 'a' / 'store').glob('warmup-*/seed0/state')
    damage(state)
    capsys.readouterr()
    after = experiment.run(make_config('le'), tmp_path / 'a' / 'le', DEVICES[:1])
    assert capsys.readouterr().err.count(f'ikd: the checkpoint {state} is damaged') == 1
    assert 'stored' not in read_records(tmp_path / 'a' / 'le')[0]
    assert after['trials'][0]['test_nll'] == alone['trials'][0]['test_nll']
    experiment.run(make_config('le_permut'), tmp_path / 'a' / 'permut', DEVICES[:1])
    assert read_records(tmp_path / 'a' / 'permut')[0]['stored'] and 'damaged' not in capsys.readouterr().err


def test_a_stored_teacher_that_is_gone_does_not_cost_its_half_trained_student(tmp_path):
    """The teacher is trained again, to the same bits; the student goes on from its checkpoint with its records."""
    alone = experiment.run(make_config('kd', epochs=3), tmp_path / 'a' / 'run', DEVICES[:1])
    begun = lambda: any(record['epoch'] == 4 for record in read_records(tmp_path / 'a' / 'again', 0))
    with pytest.raises(Stopped):
        experiment.run(make_config('kd', epochs=3), tmp_path / 'a' / 'again', DEVICES[:1], stop=begun)
    student = read_records(tmp_path / 'a' / 'again', 0)[3:]
    assert len(student) in (1, 2) and all(record['stage'] == 'student' for record in student)
    shutil.rmtree(tmp_path / 'a' / 'store')
    after = experiment.run(make_config('kd', epochs=3), tmp_path / 'a' / 'again', DEVICES[:1])
    assert after['trials'][0]['test_nll'] == alone['trials'][0]['test_nll']
    records = read_records(tmp_path / 'a' / 'again', 0)
    assert [record['epoch'] for record in records] == [1, 2, 3, 4, 5, 6] and student[0] in records


def test_a_store_that_cannot_be_written_costs_the_run_nothing(tmp_path, capsys):
    (tmp_path / 'file').write_text('in the way')
    config = make_config('le', store=str(tmp_path / 'file' / 'store'))
    summary = experiment.run(config, tmp_path / 'le', DEVICES[:1])
    assert len(summary['trials']) == 1 and (tmp_path / 'file').read_text() == 'in the way'
    assert re.search(r'cannot write .*; warmup-\w+ is not shared with other runs', capsys.readouterr().err)


def test_records_of_a_teacher_that_are_gone_do_not_cost_those_of_its_half_trained_student(tmp_path):
    """They are told again from the store, as of a run that was cut while it trained its teacher anew."""
    small = {'epochs': 3, 'data.size': 8, 'data.limit': 64, 'model.name': 'mlp', 'teacher.model': 'mlp'}
    config, run = make_config('kd', **small), tmp_path / 'run'
    with pytest.raises(Stopped):
        experiment.run(config, run, DEVICES[:1], stop=lambda: any(r['epoch'] == 4 for r in read_records(run, 0)))
    before = read_records(run, 0)
    lines = (run / 'metrics.jsonl').read_text().splitlines(keepends=True)
    (run / 'metrics.jsonl').write_text(''.join(lines[:1] + lines[3:]))
    experiment.run(config, run, DEVICES[:1])
    records = read_records(run, 0)
    assert [record['epoch'] for record in records] == [1, 2, 3, 4, 5, 6] and records[3] == before[3]
