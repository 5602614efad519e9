"""How good a trained network and its explanations are: `python -m ikd.evaluate --workdir=RUN`.

  python -m ikd.evaluate --workdir=RUN                               the paper's four explainers and the run's own
  python -m ikd.evaluate --workdir=RUN --explainers=grad,grad_cam    only these; or all
  python -m ikd.evaluate --workdir=RUN --only=deletion,insertion     only these measures
  python -m ikd.evaluate --workdir=RUN --only=adversarial --epsilons=26,51,77 --test-images=10000
  python -m ikd.evaluate --workdir=RUN --images=1000 --data=DIR      more images; the data is now in DIR
  python -m ikd.evaluate --workdir=RUN --only=likeness --images=10000 --confused=RUN2

RUN is the directory of a finished run. Accuracy, NLL, ECE and confusion, of the whole test set, are always there.
Writes evaluation.json, reliability.png, confusion.png, faithfulness.png into RUN/evaluation/, which the report of the
run reads, or with --seed=S into RUN/evaluation/seedS/; what was there before goes.
"""
import argparse
import datetime
import sys
import time
from contextlib import closing
from os.path import expanduser

import jax
from absl import logging

from ikd.compiled import keep_compiled
from ikd.config import default
from ikd.errors import InputError, ending_in_a_line, writing
from ikd.evaluation.corruptions import KINDS
from ikd.evaluation.explanations import COMPLETE, MEASURES, examiner, measures_of, ticks
from ikd.evaluation.likeness import check_same_data
from ikd.evaluation.measure import rounded
from ikd.evaluation.network import attacked, corrupted, of_pixels, predictions
from ikd.explainers import EXPLAINERS, explainer_options
from ikd.explainers.catalogue import NAMES
from ikd.files import write_json
from ikd.host_memory import keep_memory
from ikd.modules import run_config, take_config
from ikd.pictures.drawn import save_figure
from ikd.progress import Progress
from ikd.provenance import provenance
from ikd.run_files import open_folder, output_path
from ikd.tables.evaluation import MOST_NAMED, confusion_figure, curves_figure, reliability_figure, text
from ikd.trained import explainers_for, load
from ikd.words import named

ROBUSTNESS = ('adversarial', 'corruptions')


def parse(argv):
    """The command line's options; InputError for values that mean nothing. Explainers are looked up by `main`."""
    parser = argparse.ArgumentParser(prog='python -m ikd.evaluate', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--workdir', required=True, type=expanduser, metavar='RUN',
                        help='the directory of a finished run')
    take_config(parser)
    parser.add_argument('--data', type=expanduser, metavar='DIR',
                        help="where the data is now, if not where the run's config says")
    parser.add_argument('--seed', type=int, metavar='S', help="which of the run's trials; by default its first")
    parser.add_argument('--explainers', metavar='A,B', help=f"of {', '.join(EXPLAINERS)}; or all; by default the "
                        "paper's four and the run's own")
    parser.add_argument('--only', metavar='A,B', help=f"measure only these of {', '.join((*ROBUSTNESS, *MEASURES))}")
    parser.add_argument('--images', type=int, default=100, metavar='N',
                        help='test images that explainers are measured on (%(default)s)')
    parser.add_argument('--test-images', type=int, default=500, metavar='N',
                        help='test images that are attacked and corrupted (%(default)s)')
    parser.add_argument('--epsilons', default='2,8,32', metavar='A,B',
                        help='how far attacks may go, in pixels of 255 (%(default)s)')
    parser.add_argument('--confused', type=expanduser, metavar='RUN2', help='likeness compares maps with what the '
                        "network of this run, on the same data and of the same --seed, confuses, not RUN's own")
    parser.add_argument('--out', type=expanduser, metavar='DIR', help='where to write, instead of '
                        'RUN/evaluation, or RUN/evaluation/seedS with --seed=S')
    options = parser.parse_args(argv)
    asked = options.only not in (None, 'all')  # completeness too, perhaps
    options.only = named('only', options.only, (*ROBUSTNESS, *MEASURES))
    options.complete = asked and 'completeness' in options.only
    if options.confused and 'likeness' not in options.only:
        raise InputError('--confused is for likeness alone; add likeness to --only')
    try:
        options.epsilons = [float(word) for word in options.epsilons.split(',')]
    except ValueError as error:
        raise InputError(f'--epsilons={options.epsilons}: give numbers, such as 2,8,32') from error
    for flag, value in (('images', options.images), ('test-images', options.test_images)):
        if value < 1:
            raise InputError(f'--{flag}={value}: give at least 1')
    if not all(0 < epsilon <= 255 for epsilon in options.epsilons):
        raise InputError('--epsilons are in pixels of 255: give numbers above 0, up to 255')
    return options


def evaluate(trained, options, confused=None):
    """What evaluation.json has beside `run`; options: of `parse`; confused: of `examiner`. Progress is on stderr."""
    asked = options.explainers or (*NAMES, trained.config.method.explainer, *(COMPLETE if options.complete else ()))
    names, reasons = explainers_for(trained)
    measures = [name for name in MEASURES if name in options.only]
    names = [name for name in names if name in asked and measures_of(name, measures)]
    total = (len(names) * ticks(trained, measures, options.images)
             + len(options.epsilons) * ('adversarial' in options.only) + len(KINDS) * ('corruptions' in options.only))

    with closing(Progress(total)) as progress:
        def ticking(text):
            return lambda: (progress.tick(1), progress.tell(text))

        if total:
            progress.tell('predictions')
        apply = jax.jit(of_pixels(trained))
        network = {**predictions(trained, apply, options.test_images), 'adversarial': [], 'corruptions': {}}
        if 'adversarial' in options.only:
            network['adversarial'] = attacked(trained, options.epsilons, options.test_images, tick=ticking('attacks'))
        if 'corruptions' in options.only:
            network['corruptions'] = corrupted(trained, apply, options.test_images, tick=ticking('corruptions'))
        explainers, curves = {}, {}
        judge = examiner(trained, measures, options.images, confused=confused) if names else None
        for name in names:
            explainers[name], curve = judge(name, ticking(name))
            if curve:
                curves[name] = curve
    return {'network': network, 'explainers': explainers, 'curves': curves,
            'not_applicable': {name: why for name, why in reasons.items() if name in asked}}


def changed_options(trained):
    """The names of the options of the run's explainer that are not as they are by default."""
    options = explainer_options(trained.config)
    usual = {'tap': getattr(trained.model, 'cam_tap', None), 'relu': default().method.relu}
    return [name for name in usual if options.get(name, usual[name]) != usual[name]]


def facts(trained, options, confused):
    """What evaluation.json has as `run`, but for the time it took: of what, on how many images, with what."""
    config, known, n = trained.config, provenance(), len(trained.dataset.test_images)
    return {'method': config.method.name, 'model': config.model.name, 'dataset': config.data.name,
            'explainer': config.method.explainer, 'explainer_options': explainer_options(config),
            'changed_options': changed_options(trained), 'similarity': config.method.similarity,
            'seed': trained.seed, 'precision': config.precision, 'confused': confused.title if confused else None,
            'images': min(options.images, n), 'robustness_images': min(options.test_images, n), 'test_images': n,
            'commit': known['git_commit'], 'versions': known['versions'], 'device': known['device'],
            'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')}


def main(argv):
    """Measure, write, print."""
    started, options = time.perf_counter(), parse(argv)
    logging.set_verbosity(logging.FATAL)  # Orbax tells of every step of reading
    run_config(options)  # which may bring an explainer
    if options.explainers is not None:
        options.explainers = named('explainers', options.explainers, EXPLAINERS)
        if options.complete and not {*options.explainers} & {*COMPLETE}:
            raise InputError(f"completeness is measured of {', '.join(COMPLETE)} alone; add it to --explainers, or "
                             'leave completeness out of --only')
    trained = load(options.workdir, options.seed, options.data)
    confused = None
    if options.confused:
        confused = load(options.confused, options.seed, options.data)
        check_same_data(trained, confused)
    keep_compiled(trained.config.cache_dir)
    out = output_path(options, 'evaluation')
    open_folder(out)
    found = evaluate(trained, options, confused)
    run = {**facts(trained, options, confused), 'seconds': time.perf_counter() - started}
    result, title = rounded({'run': run, **found}), trained.title
    figures = {'confusion.png': confusion_figure(result['network'], title),
               'reliability.png': reliability_figure(result['network'], title)}
    if result['curves']:
        figures['faithfulness.png'] = curves_figure(result, title)
    else:
        with writing(out / 'faithfulness.png'):
            (out / 'faithfulness.png').unlink(missing_ok=True)
    many = len(trained.class_names) > MOST_NAMED  # whose confusions would be a line each
    write_json(out / 'evaluation.json', result, indent=None if many else 2)
    for name, figure in figures.items():
        save_figure(figure, out / name)
    print(text(result, title), end='')
    print(f"written to {out}/: {', '.join(sorted(['evaluation.json', *figures]))}")


def cli():
    """The command line. A line and exit code 2 for bad input, 1 for a file that can't be written, 130 for Ctrl-C."""
    keep_memory()
    with ending_in_a_line('; make room, or choose another --out'):
        main(sys.argv[1:])


if __name__ == '__main__':
    cli()
