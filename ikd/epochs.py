"""What an epoch leaves: a record, a line for people, a picture; and what is kept of one that was cut short."""
import numpy as np

from ikd import parallel, processes
from ikd.errors import Diverged
from ikd.pictures.drawn import pixels
from ikd.pictures.explanations import draw
from ikd.provenance import trained_by
from ikd.stages import variables_of
from ikd.training import run_evaluation

PICTURES = 4  # a run, in the TensorBoard events


def is_due(epoch, last, every):
    """Whether what is done every so many epochs is done after this one of a stage; after the last in any case."""
    return epoch == last or epoch % every == 0


def rest_of(report, seconds, by):
    """What is kept of a cut epoch, as JSON: the numbers of its steps so far, exactly, its time, what trained it.

    report: a dict of arrays [steps], what each step tells; by: of `trained_by`.
    """
    return {'report': {name: values.tolist() for name, values in report.items()}, 'seconds': seconds, **by}


def with_rests(rests, reports, seconds):
    """(reports, seconds, `trained_by`) of an epoch whose beginning is in `rests`, of each seed `rest_of`, or None."""
    if rests[0] is None:  # and so all
        return reports, seconds, trained_by()
    whole = [{name: np.concatenate([np.asarray(rest['report'][name], values.dtype), values])
              for name, values in report.items()} for rest, report in zip(rests, reports)]
    return whole, rests[0]['seconds'] + seconds, trained_by(rests[:1])


def check_finite(seeds, prepared, epoch, before, reports, tests):
    """Raise Diverged, naming the first bad step, if an epoch's losses or its test are not numbers.

    reports, tests: of each seed; tests are {} where there was none.
    """
    for seed, report, test in zip(seeds, reports, tests):
        bad = np.flatnonzero(~np.isfinite(report['loss']))
        where = f'(stage {prepared.stage.name}, epoch {epoch}); checkpoints of earlier epochs are kept'
        if len(bad):
            step = (before + epoch - 1) * prepared.program.steps + int(bad[0])
            moved = epoch > 1 or bad[0] > 0  # or it was no number before a weight of the stage had changed
            raise Diverged(f'the loss of seed {seed} is not a number since step {step} {where}. ' + (
                'Try a smaller learning rate' if moved else
                'It is so from the first step: look at what the images, the network and the objective give'))
        if not np.isfinite(test.get('test_nll', 0)):
            raise Diverged(f'logits of seed {seed} on the test images are no numbers, though its losses are {where}. '
                           'Try a smaller learning rate, or look at what the network does with train=False')


def epoch_record(job, seed, stage, epoch, rate, seconds, report, test, by):
    """The line of metrics.jsonl for an epoch, counted from 1 at the recipe's start. Accuracies in percent.

    `seconds` are the seed's share of those of the seeds trained together, `images_per_second` the speed of all these.
    by: of `trained_by`, as a run may go on with another commit, or on another device. A part of an objective of one's
    own whose mean is no number is None: JSON has none such.
    """
    steps = len(report['loss'])
    means = {f'train_{name}': float(values.mean(dtype=np.float64)) for name, values in report.items()}
    return {'seed': seed, 'stage': stage.name, 'epoch': epoch, 'step': epoch * steps,
            'learning_rate': rate, 'seconds': round(seconds, 4),
            'images_per_second': round(steps * job.config.batch_size / seconds, 1),
            **by, **{name: mean if np.isfinite(mean) else None for name, mean in means.items()}, **test}


def epoch_line(job, record):
    """The record of an epoch, short, for people."""
    line = (f"seed {record['seed']}  {record['stage']} {record['epoch']}/{job.epochs}  "
            f"loss {record['train_loss']:.3f}  train {record['train_accuracy']:.1f} %")
    return line + (f"  test {record['test_accuracy']:.1f} %" if 'test_accuracy' in record else '')


def is_final_network(job, stage):
    """Whether a stage trains the network that the run is for, which is the one that can be drawn."""
    return stage.network is None and stage.options == job.stages[-1].stage.options


def tell_epoch(group, prepared, state, epoch, before, rate, seconds, reports, by):
    """Test after a stage's epoch if that is due, check that all is finite, and tell of it: records, lines, a picture.

    state: the trials', on the devices. epoch: of the stage, before which `before` came. seconds: of each seed, its
    share of the epoch's. reports: of each seed, what its steps told. by: of `trained_by`.
    """
    job, stage, epoch_of_run = group.job, prepared.stage, before + epoch
    tests = [{}] * len(group.seeds)
    if is_due(epoch, stage.epochs, job.config.test_every):
        tests = run_evaluation(prepared.program, job.layout, state, job.test_images, job.dataset.test_labels)
    check_finite(group.seeds, prepared, epoch, before, reports, tests)
    for seed, journal, report, test in zip(group.seeds, group.journals, reports, tests):
        record = epoch_record(job, seed, stage, epoch_of_run, rate, seconds, report, test, by)
        journal.write(record)
        group.progress.tell(epoch_line(job, record))
        group.on_epoch(record)
    due = epoch_of_run * PICTURES % job.epochs < PICTURES and is_final_network(job, stage)
    if due and processes.first():
        variables = variables_of(parallel.split(job.layout, state)[0])
        figure = draw(job.explain, job.dataset, variables, f'epoch {epoch_of_run}', most=3)
        group.journals[0].picture('explanations', pixels(figure), epoch_of_run)
