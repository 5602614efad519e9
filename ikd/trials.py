"""The trials of a run: seeds through the stages of a recipe, with checkpoints, records and pictures."""
import functools
import pathlib
import sys
import time
from contextlib import ExitStack
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ikd import checkpoint, models, parallel, store, training
from ikd.errors import Diverged
from ikd.recipes import recipe
from ikd.report.explanations import draw, explanations
from ikd.report.figures import pixels
from ikd.report.journal import Journal, read_records

PICTURES = 4  # a run, in the TensorBoard events


class Prepared(NamedTuple):
    """A stage with its network, optimiser and schedule, compiled."""
    stage: training.Stage
    model: Any
    optimizer: Any
    schedule: Any
    program: training.Program


class Job(NamedTuple):
    """What all groups of seeds on one layout share: programs compiled once, data put on the devices once."""
    config: Any
    workdir: pathlib.Path
    dataset: Any
    layout: parallel.Layout
    stages: list[Prepared]
    resident: tuple
    test_images: Any
    explain: Any

    @property
    def epochs(self):
        """Those of all stages."""
        return sum(prepared.stage.epochs for prepared in self.stages)


def make_model(config, dataset, network=None, **options):
    """The network of a resolved config, or the one called `network`, for a data set."""
    dtype = jnp.bfloat16 if config.precision == 'bfloat16' else jnp.float32
    return models.create(network or config.model.name, len(dataset.class_names), dtype=dtype, **options)


def make_job(config, workdir, dataset, layout):
    """Prepare, but do not start, the training of a resolved config on a layout."""
    steps, stages = len(dataset.train_images) // config.batch_size, []
    for stage in recipe(config):
        model = make_model(config, dataset, stage.network, axis_name=layout.axis_name, **dict(stage.options))
        teacher = None if stage.teacher is None else stages[stage.teacher].model
        optimizer, schedule = training.make_optimizer(config.optimizer, steps, stage.span or stage.epochs)
        program = training.compile_stage(stage, model, teacher, optimizer, dataset, config, layout)
        stages.append(Prepared(stage, model, optimizer, schedule, program))
    resident = parallel.replicate(layout, (dataset.train_images, dataset.train_labels))
    test_images = parallel.replicate(layout, training.pad_test(dataset.test_images, layout))
    explain = jax.jit(functools.partial(explanations, config, make_model(config, dataset)))
    return Job(config, workdir, dataset, layout, stages, resident, test_images, explain)


def train_group(job, seeds, progress):
    """Train the seeds that the layout holds together through every stage; their last States."""
    results, before = [[] for _ in seeds], 0
    with ExitStack() as stack:
        journals = [stack.enter_context(Journal(job.workdir, seed)) for seed in seeds]
        for index, prepared in enumerate(job.stages):
            states = obtain_stage(job, seeds, index, before, results, journals, progress)
            for result, state in zip(results, states):
                result.append(state)
            before += prepared.stage.epochs
    return [result[-1] for result in results]


def obtain_stage(job, seeds, index, before, results, journals, progress):
    """The host State of each seed at the end of a stage, from the store or else by training it.

    `before` epochs came before the stage; results holds each seed's States of the earlier stages. All stages but the
    last, which is what the run is for, are kept in the store.
    """
    stage, model, optimizer, _, program = job.stages[index]
    shape = job.dataset.train_images.shape[1:]
    new = [training.new_state(seed, stage.init, model, optimizer, shape) for seed in seeds]
    if index == len(job.stages) - 1:
        return train_stage(job, seeds, index, before, new, results, journals, progress)
    directory = job.config.store or job.workdir.parent / 'store'
    name = store.stage_name(job.config, [prepared.stage for prepared in job.stages], index)
    found = [store.fetch(directory, name, seed, example) for seed, example in zip(seeds, new)]
    if not all(found):
        states = train_stage(job, seeds, index, before, new, results, journals, progress)
        try:
            for seed, state in zip(seeds, states):
                store.keep(directory, name, seed, state, stage_records(job, seed, before, stage.epochs))
        except OSError as error:  # the run has what it needs
            print(f'ikd: cannot keep {name} in {directory} ({error.strerror}); it is not shared with other runs',
                  file=sys.stderr)
        return states
    progress.tick(stage.epochs * program.steps)
    for seed, journal, (_, records) in zip(seeds, journals, found):
        if len(stage_records(job, seed, before, stage.epochs)) < stage.epochs:
            journal.rewind(before)
            for record in records:
                journal.write({**record, 'epoch': before + record['epoch'], 'stored': True})
    return [state for state, _ in found]


def stage_records(job, seed, before, epochs):
    """The records of one stage, with epochs counted from its own beginning."""
    return [{**record, 'epoch': record['epoch'] - before} for record in read_records(job.workdir, seed)
            if before < record['epoch'] <= before + epochs]


def train_stage(job, seeds, index, before, new, results, journals, progress):
    """Train a stage, from its newest checkpoint if there is one: the host State of each seed."""
    stage, _, _, schedule, program = job.stages[index]
    layout = job.layout
    with ExitStack() as stack:
        saved = [stack.enter_context(checkpoint.manager(job.workdir, seed, index, stage.name)) for seed in seeds]
        done = checkpoint.newest_common(saved)
        states = [checkpoint.restore(one, done, example) if done else stage.start(example, earlier)
                  for one, example, earlier in zip(saved, new, results)]
        if done < stage.epochs:
            for journal in journals:
                journal.rewind(before + done)
        progress.tick(done * program.steps)
        state = parallel.join(layout, states)
        knowledge = {} if stage.teacher is None else parallel.join(
            layout, [training.variables_of(earlier[stage.teacher]) for earlier in results])
        begun = int(states[0].step) - done * program.steps  # where on its schedule the stage begins
        for epoch in range(done + 1, stage.epochs + 1):
            started = time.perf_counter()
            state, reports = training.run_epoch(program, layout, state, knowledge, *job.resident, progress.tick)
            seconds = time.perf_counter() - started
            if job.config.profile and epoch == done + 1:  # by now everything is compiled
                training.trace(program, state, knowledge, *job.resident, job.workdir / 'profile' / stage.name)
            tests = training.run_evaluation(program, layout, state, job.test_images, job.dataset.test_labels)
            for seed, report, test in zip(seeds, reports, tests):
                check_finite(seed, stage, epoch, (before + epoch - 1) * program.steps, report, test)
            save = epoch == stage.epochs or epoch % job.config.checkpoint_every == 0
            if save:
                states = parallel.split(layout, state)
            rate = float(schedule(begun + (epoch - 1) * program.steps))
            for i, (seed, report, test) in enumerate(zip(seeds, reports, tests)):
                record = epoch_record(job, seed, stage, before + epoch, rate, seconds, report, test)
                journals[i].write(record)
                if save:
                    checkpoint.save(saved[i], epoch, states[i])
                progress.epoch(epoch_line(job, record))
            if (before + epoch) * PICTURES % job.epochs < PICTURES and stage.network is None:
                figure = draw(job.explain, job.dataset, parallel.split(layout, state)[0], f'epoch {before + epoch}',
                              most=3)
                journals[0].picture('explanations', pixels(figure), before + epoch)
    return states


def check_finite(seed, stage, epoch, step, report, test):
    """Raise Diverged, naming the first bad step, if an epoch's losses or its test are not numbers."""
    bad = np.flatnonzero(~np.isfinite(report['loss']))
    if len(bad) or not np.isfinite(test['test_nll']):
        first = step + (int(bad[0]) if len(bad) else len(report['loss']) - 1)
        raise Diverged(f'the loss of seed {seed} is not a number since step {first} (stage {stage.name}, epoch '
                       f'{epoch}); checkpoints of earlier epochs are kept. Try a smaller optimizer.learning_rate')


def epoch_record(job, seed, stage, epoch, rate, seconds, report, test):
    """The line of metrics.jsonl for an epoch, counted from 1 at the recipe's start. Accuracies in percent."""
    steps = len(report['loss'])
    return {'seed': seed, 'stage': stage.name, 'epoch': epoch, 'step': epoch * steps,
            'learning_rate': rate, 'seconds': round(seconds, 4),
            'images_per_second': round(steps * job.config.batch_size / seconds, 1),
            **{f'train_{name}': float(values.mean()) for name, values in report.items()}, **test}


def epoch_line(job, record):
    """The same, short, for people."""
    return (f"seed {record['seed']}  {record['stage']} {record['epoch']}/{job.epochs}  "
            f"loss {record['train_loss']:.3f}  train {record['train_accuracy']:.1f} %  "
            f"test {record['test_accuracy']:.1f} %")
