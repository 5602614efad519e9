"""The trials of a run: seeds through the stages of a recipe, with checkpoints, records and pictures."""
import functools
import pathlib
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import jax

from ikd import checkpoint, parallel, processes, stage_names, store, training
from ikd.data import noted_checksum
from ikd.epochs import check_finite, is_due, rest_of, tell_epoch, with_rests
from ikd.errors import Stopped, Unwritable
from ikd.journal import Journal, read_records
from ikd.networks import final_model, prepare_stages
from ikd.pictures.explanations import explanations
from ikd.program import pad_test
from ikd.stages import variables_of


class Job(NamedTuple):
    """What all groups of seeds on one layout share: programs compiled once, data put on the devices once.

    training_set (images, labels) and test_images are on the devices, or `stream.Images`, which are read as it goes.
    """
    config: Any
    workdir: pathlib.Path
    dataset: Any
    layout: parallel.Layout
    stages: list[training.Prepared]
    training_set: tuple
    test_images: Any
    explain: Any

    @property
    def epochs(self):
        """How many epochs all stages have together."""
        return self.before(len(self.stages))

    def before(self, index):
        """How many epochs come before a stage."""
        return sum(prepared.stage.epochs for prepared in self.stages[:index])

    @property
    def image_shape(self):
        """[h, w, c]."""
        return self.dataset.image_shape


class Group(NamedTuple):
    """Seeds that a layout trains together: their journals, and the States of the stages each has finished.

    journals: none on a process that does not write. stop() says, after each call of a stage's compiled steps, whether
    to go no further. on_epoch(record) is told what is written of an epoch.
    """
    job: Job
    seeds: list[int]
    journals: list[Journal]
    results: list[list]
    progress: Any
    stop: Callable
    on_epoch: Callable


def make_job(config, workdir, dataset, layout):
    """Prepare, but do not start, the training of a resolved config on a layout."""
    stages = prepare_stages(config, dataset, layout)
    training_set, test_images = (dataset.train_images, dataset.train_labels), dataset.test_images
    if not dataset.streamed:
        training_set, test_images = parallel.replicate(layout, (
            training_set, pad_test(test_images, layout)))
    explain = jax.jit(functools.partial(explanations, config, final_model(config, dataset)))
    return Job(config, workdir, dataset, layout, stages, training_set, test_images, explain)


def train_group(job, seeds, progress, stop=lambda: False, on_epoch=lambda record: None):
    """Train the seeds that the layout holds together through every stage; their last States.

    Stopped if stop(); Busy if another process trains one of them.
    """
    with ExitStack() as stack:
        alone = functools.partial(checkpoint.trained_here, job.workdir)
        processes.from_first(lambda: [stack.enter_context(alone(seed)) for seed in seeds])
        journals = [stack.enter_context(Journal(job.workdir, seed)) for seed in seeds if processes.first()]
        group = Group(job, seeds, journals, [[] for _ in seeds], progress, stop, on_epoch)
        for index in range(len(job.stages)):
            for result, state in zip(group.results, obtain_stage(group, index)):
                result.append(state)
    return [result[-1] for result in group.results]


def obtain_stage(group, index):
    """The host State of each seed at the end of a stage: given, from the store, or else trained.

    All stages but the last, which is what the run is for, are kept in the store.
    """
    job, stage = group.job, group.job.stages[index].stage
    if stage.given:
        return adopt_stage(group, index)
    if index == len(job.stages) - 1:
        return train_stage(group, index)
    directory = job.config.store or job.workdir.parent / 'store'
    name = stage_names.stage_name(job.config, [prepared.stage for prepared in job.stages], index)
    shapes = training.state_shapes(job.stages[index], job.image_shape)
    checksum = noted_checksum(job.workdir)

    def stored():
        found = [store.fetch(directory, name, seed, shapes, checksum) for seed in group.seeds]
        return found if all(found) else None

    if found := processes.shared(stored, [shapes] * len(group.seeds)):
        return take_stage(group, index, found)
    states = train_stage(group, index)
    if not processes.first():
        return states
    try:
        for seed, state in zip(group.seeds, states):
            store.keep(directory, name, seed, state, stage_records(job, seed, index), checksum)
    except Unwritable as error:  # the run has what it needs
        print(f'ikd: {error}; {name} is not shared with other runs', file=sys.stderr)
    return states


def adopt_stage(group, index):
    """The networks that the run named by `Stage.given` ended with; the journal says how good they are."""
    stage, before = group.job.stages[index].stage, group.job.before(index)
    shapes = training.state_shapes(group.job.stages[index], group.job.image_shape)
    adopted = processes.shared(lambda: [adopt(group.job, group.job.stages[index], seed) for seed in group.seeds],
                               [store.taken(shapes)] * len(group.seeds))
    for seed, journal, (_, told) in zip(group.seeds, group.journals, adopted):
        if all(record['stage'] != stage.name for record in read_records(group.job.workdir, seed)):
            journal.rewind(before)
            journal.write({'seed': seed, 'stage': stage.name, 'epoch': before, 'given': stage.given, **told})
    return [state for state, _ in adopted]


def adopt(job, prepared, seed):
    """`store.adopt` for a stage with a given network; a seed that has begun gets the same network as before."""
    before = [record for record in read_records(job.workdir, seed) if record['stage'] == prepared.stage.name]
    return store.adopt(prepared.stage.given, seed, training.state_shapes(prepared, job.image_shape), *before[:1])


def take_stage(group, index, found):
    """The States of `found`, [(State, records), ...] of each seed from the store, whose records are told again."""
    stage, program = group.job.stages[index].stage, group.job.stages[index].program
    before = group.job.before(index)
    group.progress.skip(stage.epochs * program.steps)
    for seed, journal, (_, records) in zip(group.seeds, group.journals, found):
        if len(stage_records(group.job, seed, index)) < stage.epochs:
            journal.rewind(before, before + stage.epochs)
            for record in records:
                journal.write({**record, 'epoch': before + record['epoch'], 'stored': True})
    return [state for state, _ in found]


def stage_records(job, seed, index):
    """The records of one stage, with epochs counted from its own beginning."""
    before, after = job.before(index), job.before(index + 1)
    return [{**record, 'epoch': record['epoch'] - before} for record in read_records(job.workdir, seed)
            if before < record['epoch'] <= after]


def resume(group, index, begun, saved):
    """Where a stage goes on, from the States `begun` or its newest checkpoints: (host States, rests, done, first).

    rests: of each seed what is kept of a cut epoch (`rest_of`), or None. done: how many epochs are finished; first:
    the next one's step to go on with. saved: the managers of the checkpoints. What is trained again leaves the
    journals.
    """
    job, prepared = group.job, group.job.stages[index]
    stage, steps, before = prepared.stage, prepared.program.steps, job.before(index)
    interval = job.config.checkpoint_every * steps
    found = processes.shared(lambda: checkpoint.newest(saved, begun, interval), begun)
    states, rests = zip(*found or [(state, None) for state in begun])
    done, first = divmod(int(states[0].step) - int(begun[0].step), steps)
    processes.from_first(lambda: [journal.expect(before + done) for journal in group.journals])
    if done < stage.epochs:
        for journal in group.journals:
            journal.rewind(before + done, before + stage.epochs)
    group.progress.skip(done * steps + first)
    return states, rests, done, first


def train_stage(group, index):
    """Train a stage, from its newest checkpoint if there is one: the host State of each seed."""
    job, prepared = group.job, group.job.stages[index]
    stage, program, layout, before = prepared.stage, prepared.program, group.job.layout, job.before(index)
    new = [training.new_state(seed, prepared, job.image_shape) for seed in group.seeds]
    begun = [stage.start(example, earlier) for example, earlier in zip(new, group.results)]
    with ExitStack() as stack:
        saved = processes.agree(lambda: [stack.enter_context(checkpoint.manager(job.workdir, seed, index, stage.name))
                                         for seed in group.seeds])
        place = int(begun[0].step)  # where on its schedule the stage begins
        states, rests, done, first = resume(group, index, begun, saved)
        state = parallel.join(layout, states)
        knowledge = {} if stage.teacher is None else parallel.join(
            layout, [variables_of(earlier[stage.teacher]) for earlier in group.results])
        for epoch in range(done + 1, stage.epochs + 1):
            started = time.perf_counter()
            state, reports = training.run_epoch(program, layout, state, knowledge, *job.training_set,
                                                group.progress.tick, group.stop, first)
            seconds = (time.perf_counter() - started) / len(group.seeds)  # a seed's share
            reports, seconds, by = with_rests(rests, reports, seconds)
            first, rests = 0, [None] * len(group.seeds)
            if (steps := len(reports[0]['loss'])) < program.steps:
                check_finite(group.seeds, prepared, epoch, before, reports, [{}] * len(reports))
                checkpoint.save(saved, (epoch - 1) * program.steps + steps, parallel.split(layout, state),
                                [rest_of(report, seconds, by) for report in reports])
                raise Stopped(f'stopped in epoch {before + epoch} of {job.epochs}, after step {steps} of '
                              f'{program.steps}')
            if job.config.profile and epoch == done + 1:  # by now everything is compiled
                directory = job.workdir / 'profile' / stage.name if processes.first() else None
                training.trace(program, layout, state, knowledge, *job.training_set, directory)
            rate = float(prepared.schedule(place + (epoch - 1) * program.steps))
            tell_epoch(group, prepared, state, epoch, before, rate, seconds, reports, by)
            stopping = group.stop()
            if stopping or is_due(epoch, stage.epochs, job.config.checkpoint_every):
                states = parallel.split(layout, state)
                # Last, so that whatever is saved has its record.
                checkpoint.save(saved, epoch * program.steps, states, [None] * len(states))
            if stopping and before + epoch < job.epochs:
                raise Stopped(f'stopped after epoch {before + epoch} of {job.epochs}')
    return states
