"""The trials of a run: seeds through the stages of a recipe, with checkpoints, records and pictures."""
import functools
import pathlib
import time
from contextlib import ExitStack
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ikd import checkpoint, models, parallel, training
from ikd.errors import Diverged
from ikd.recipes import recipe
from ikd.report.explanations import draw, explanations
from ikd.report.figures import pixels
from ikd.report.journal import Journal

PICTURES = 4  # a run, in the TensorBoard events


class Job(NamedTuple):
    """What all groups of seeds on one layout share: programs compiled once, data put on the devices once."""
    config: Any
    workdir: pathlib.Path
    dataset: Any
    layout: parallel.Layout
    stages: list
    models: list
    programs: list
    optimizer: Any
    schedule: Any
    resident: tuple
    test_images: Any
    explain: Any


def make_model(config, dataset, **options):
    """The network of a resolved config for a data set."""
    dtype = jnp.bfloat16 if config.precision == 'bfloat16' else jnp.float32
    return models.create(config.model.name, len(dataset.class_names), dtype=dtype, **options)


def make_job(config, workdir, dataset, layout):
    """Prepare, but do not start, the training of a resolved config on a layout."""
    steps = len(dataset.train_images) // config.batch_size
    stages = recipe(config)
    networks = [make_model(config, dataset, axis_name=layout.axis_name, **dict(stage.options)) for stage in stages]
    optimizer, schedule = training.make_optimizer(config.optimizer, steps, config.epochs)
    programs = [training.compile_stage(stage, model, optimizer, dataset, config, layout)
                for stage, model in zip(stages, networks)]
    resident = parallel.replicate(layout, (dataset.train_images, dataset.train_labels))
    test_images = parallel.replicate(layout, training.pad_test(dataset.test_images, layout))
    explain = jax.jit(functools.partial(explanations, config, make_model(config, dataset)))
    return Job(config, workdir, dataset, layout, stages, networks, programs, optimizer, schedule, resident,
               test_images, explain)


def train_group(job, seeds, progress):
    """Train the seeds that the layout holds together through every stage; their last States."""
    results, before = [[] for _ in seeds], 0
    with ExitStack() as stack:
        journals = [stack.enter_context(Journal(job.workdir, seed)) for seed in seeds]
        for index, stage in enumerate(job.stages):
            states = train_stage(job, seeds, index, before, results, journals, progress)
            for result, state in zip(results, states):
                result.append(state)
            before += stage.epochs
    return [result[-1] for result in results]


def train_stage(job, seeds, index, before, results, journals, progress):
    """Train one stage of the recipe, from its newest checkpoint if there is one; the host State of each seed.

    `before` epochs came before the stage; results holds each seed's States of the earlier stages.
    """
    stage, program, layout = job.stages[index], job.programs[index], job.layout
    new = [training.new_state(seed, index, job.models[index], job.optimizer, job.dataset.train_images.shape[1:],
                              before * program.steps) for seed in seeds]
    with ExitStack() as stack:
        saved = [stack.enter_context(checkpoint.manager(job.workdir, seed, index, stage.name)) for seed in seeds]
        done = checkpoint.newest_common(saved)
        states = [checkpoint.restore(one, done, example) if done else stage.start(example, earlier)
                  for one, example, earlier in zip(saved, new, results)]
        if done < stage.epochs:
            for journal in journals:
                journal.rewind(before + done)
        progress.tick(done * program.steps)
        device_state = parallel.join(layout, states)
        for epoch in range(done + 1, stage.epochs + 1):
            started = time.perf_counter()
            device_state, reports = training.run_epoch(program, layout, device_state, *job.resident, progress.tick)
            seconds = time.perf_counter() - started
            if job.config.profile and epoch == done + 1:  # by now everything is compiled
                training.trace(program, device_state, *job.resident, job.workdir / 'profile' / stage.name)
            tests = training.run_evaluation(program, layout, device_state, job.test_images, job.dataset.test_labels)
            for seed, report, test in zip(seeds, reports, tests):
                check_finite(seed, stage, epoch, (before + epoch - 1) * program.steps, report, test)
            save = epoch == stage.epochs or epoch % job.config.checkpoint_every == 0
            if save:
                states = parallel.split(layout, device_state)
            for i, (seed, report, test) in enumerate(zip(seeds, reports, tests)):
                record = epoch_record(job, seed, stage, before + epoch, seconds, report, test)
                journals[i].write(record)
                if save:
                    checkpoint.save(saved[i], epoch, states[i])
                progress.epoch(epoch_line(job, record))
            if (before + epoch) * PICTURES % job.config.epochs < PICTURES:
                figure = draw(job.explain, job.dataset, parallel.split(layout, device_state)[0],
                              f'epoch {before + epoch}', most=3)
                journals[0].picture('explanations', pixels(figure), before + epoch)
    return states


def check_finite(seed, stage, epoch, step, report, test):
    """Raise Diverged, naming the first bad step, if an epoch's losses or its test are not numbers."""
    bad = np.flatnonzero(~np.isfinite(report['loss']))
    if len(bad) or not np.isfinite(test['test_nll']):
        first = step + (int(bad[0]) if len(bad) else len(report['loss']) - 1)
        raise Diverged(f'the loss of seed {seed} is not a number since step {first} (stage {stage.name}, epoch '
                       f'{epoch}); checkpoints of earlier epochs are kept. Try a smaller optimizer.learning_rate')


def epoch_record(job, seed, stage, epoch, seconds, report, test):
    """The line of metrics.jsonl for an epoch, counted from 1 at the recipe's start. Accuracies in percent."""
    steps = len(report['loss'])
    return {'seed': seed, 'stage': stage.name, 'epoch': epoch, 'step': epoch * steps,
            'learning_rate': float(job.schedule((epoch - 1) * steps)), 'seconds': round(seconds, 4),
            'images_per_second': round(steps * job.config.batch_size / seconds, 1),
            **{f'train_{name}': float(values.mean()) for name, values in report.items()}, **test}


def epoch_line(job, record):
    """The same, short, for people."""
    return (f"seed {record['seed']}  {record['stage']} {record['epoch']}/{job.config.epochs}  "
            f"loss {record['train_loss']:.3f}  train {record['train_accuracy']:.1f} %  "
            f"test {record['test_accuracy']:.1f} %")
