"""Why a trained network says so: `python -m ikd.explain --workdir=RUN`, for images of yours or of the test set.

  python -m ikd.explain --workdir=RUN                                  a test image of each class, ten at most
  python -m ikd.explain --workdir=RUN --images a.png b.jpg             yours
  python -m ikd.explain --workdir=RUN --images=photos/ --explainers=all --out=seen/

RUN is the directory of a finished run of `python -m ikd.main`. For each image it prints the likeliest classes and
writes a picture with a map of every class, of more than twenty the likeliest; `explanations.npz` has the numbers.
Images may have any size and mode; the middle is resized to what the network takes. Those in a folder called like a
class are taken to be of that class.
"""
import argparse
import os
import pathlib
import sys
from contextlib import closing
from os.path import expanduser

from ikd.errors import InputError, ending_in_a_line
from ikd.files import replacing
from ikd.host_memory import keep_memory
from ikd.modules import run_config, take_config
from ikd.run_files import open_folder, output_path
from ikd.words import named, plural

EXAMPLES = 10  # test images
LIKELIEST = 3
LONGEST = 180  # bytes of a picture's name, without its number and suffix


def parse(argv):
    """The command line's options; argparse exits with 2 for what it doesn't know."""
    parser = argparse.ArgumentParser(prog='python -m ikd.explain', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--workdir', required=True, type=expanduser, help='the directory of a finished run')
    take_config(parser)
    parser.add_argument('--images', nargs='+', action='extend', metavar='FILE',
                        help='files and folders; without it some test images')
    parser.add_argument('--explainers', metavar='A,B', help="names, or all that apply; by default the run's own")
    parser.add_argument('--out', type=expanduser, help='where pictures and numbers go; by default '
                        'RUN/explained, with --seed=S RUN/explained/seedS')
    parser.add_argument('--seed', type=int, help="which of the run's trials; by default the first")
    parser.add_argument('--data', type=expanduser,
                        help='where the data is now, if test images are shown and it has moved')
    return parser.parse_args(argv)


def listed(words, out):
    """The paths that --images names: files as they stand, of folders the image files in them, however deep.

    A word that is no file may be several, separated by commas. What has a name that begins with a dot is left alone,
    and so is what lies in the folder `out`.
    """
    from ikd.data.images import SUFFIXES

    paths, own = [], pathlib.Path(os.path.realpath(out))
    parts = [part for word in words for part in ([word] if os.path.exists(word) else word.split(',')) if part]
    if not parts:
        raise InputError('--images names nothing; give files or folders, or leave it out for some test images')
    for part in parts:
        top = pathlib.Path(part).expanduser()
        if not top.is_dir():
            paths.append(top)
            continue
        inside = [path for path in sorted(top.rglob('*')) if path.suffix.lower() in SUFFIXES
                  and not any(name.startswith('.') for name in path.relative_to(top).parts)
                  and own not in pathlib.Path(os.path.realpath(path)).parents]  # where links go round, too
        if not inside:
            raise InputError(f"{top} has no image ({', '.join(SUFFIXES)}); correct --images")
        paths += inside
    return paths


def read(paths, shape, class_names):
    """(names, images uint8 [n, h, w, c], labels) of the files that can be read; the others are told of on stderr.

    labels: int [n], by the names of the folders, -1 for those of no class. InputError if no file can be read.
    """
    import numpy as np

    from ikd.data.folder import read_each
    from ikd.data.limits import printable

    images, faults = read_each(paths, shape)
    for path, fault in zip(paths, faults):
        if fault:
            print(f'ikd: skipped {printable(path)} ({fault})', file=sys.stderr)
    kept = [path for path, fault in zip(paths, faults) if not fault]
    if not kept:
        raise InputError('no image is left to explain; give others with --images')
    folders = [path.absolute().parent.name for path in kept]
    labels = [class_names.index(folder) if folder in class_names else -1 for folder in folders]
    return [printable(path) for path in kept], images, np.array(labels)


def examples(trained):
    """(names, images, labels) of the first test image of each class, of ten classes at most."""
    import numpy as np

    from ikd.data.folder import files
    from ikd.data.limits import printable

    dataset, data = trained.dataset, trained.config.data
    places = np.unique(dataset.test_labels, return_index=True)[1][:EXAMPLES]
    names = [f'test image {place}' for place in places]
    if data.name == 'folder' and not data.holdout:
        paths = files(data.dir).test
        names = [printable(paths[place][0]) for place in places]
    return names, dataset.test_images[places], dataset.test_labels[places]


def chosen(asked, trained):
    """(names of explainers, notes on those that were asked for and do not apply). InputError if none is left."""
    from ikd.explainers import EXPLAINERS
    from ikd.trained import explainers_for

    names, reasons = explainers_for(trained)
    if asked == 'all':
        return names, [f'not for this network: {name} ({reason})' for name, reason in reasons.items()]
    asked = named('explainers', trained.config.method.explainer if asked is None else asked, EXPLAINERS)
    for name in asked:
        if name in reasons:
            raise InputError(f"--explainers={name} does not go with this network: {reasons[name]}; choose from: all, "
                             f"{', '.join(names)}")
    return tuple(dict.fromkeys(asked)), []


def picture_names(names, explainer):
    """A file name for the picture of each image: `<its name>-<explainer>.png`, with a number where two are alike.

    Of long names only the beginning, as file systems take 255 bytes; explainers have half of the room at most.
    """
    beginning = lambda text, size: text.encode()[:size].decode(errors='ignore')
    explainer, found = beginning(explainer, LONGEST // 2), {}
    for name in names:
        stem = beginning(pathlib.PurePath(name).stem.replace(' ', '_'), LONGEST - len(explainer.encode()))
        ways = (f'{stem}{number}-{explainer}.png' for number in ('', *(f'-{i}' for i in range(2, len(names) + 1))))
        found[next(way for way in ways if way not in found)] = name
    return list(found)


def save_arrays(path, trained, names, images, labels, explained):
    """Write explanations.npz: what `numpy.load` gives without unpickling anything."""
    import numpy as np

    arrays = {f'{kind}_{name}': values for kind in ('maps', 'similarities')
              for name, values in getattr(explained, kind).items()}
    with replacing(path) as temporary, temporary.open('wb') as file:
        np.savez(file, files=np.array(names), class_names=np.array(trained.class_names), images=images, labels=labels,
                 reference=explained.reference, classes=explained.classes, probabilities=explained.probabilities,
                 **arrays)


def main(argv):
    """Explain, draw, write."""
    options = parse(argv)
    import numpy as np  # loaded, like JAX, after the flags have been read, so that a typing error shows at once

    from ikd.compiled import keep_compiled
    from ikd.evaluation.images import explain_images
    from ikd.pictures.drawn import save_figure
    from ikd.pictures.overlays import overlay_figure
    from ikd.progress import Progress
    from ikd.trained import load

    out = output_path(options, 'explained')
    paths = listed(options.images, out) if options.images is not None else None
    run_config(options)
    trained = load(options.workdir, options.seed, options.data, images=paths is None)
    config, dataset = trained.config, trained.dataset
    keep_compiled(config.cache_dir)
    explainers, notes = chosen(options.explainers, trained)
    names, images, labels = read(paths, dataset.image_shape, trained.class_names) if paths else examples(
        trained)
    open_folder(out)
    pictures = picture_names(names, 'all' if options.explainers == 'all' else '-'.join(explainers))
    with closing(Progress((len(explainers) + 1) * len(names), unit='image')) as progress:
        def done(images, text='explained'):
            progress.tick(images)
            progress.tell(text)

        progress.tell('explaining')
        explained = explain_images(trained, images, labels, explainers, done)
        save_arrays(out / 'explanations.npz', trained, names, images, labels, explained)
        for i, picture in enumerate(pictures):
            rows = {name: (explained.maps[name][i], explained.similarities[name][i]) for name in explainers}
            truth = f'; the true class: {trained.class_names[labels[i]]}' if labels[i] >= 0 else ''
            title = trained.title + truth
            figure = overlay_figure(pathlib.PurePath(names[i]).name, images[i], explained.classes[i], rows,
                                    explained.probabilities[i], int(labels[i]), trained.class_names, title,
                                    config.method.similarity, notes)
            save_figure(figure, out / picture)
            done(1, 'drawn')
    for name, picture, probabilities in zip(names, pictures, explained.probabilities):
        likeliest = np.argsort(-probabilities, kind='stable')[:LIKELIEST]
        says = ', '.join(f'{trained.class_names[label]} {probabilities[label]:.2f}' for label in likeliest)
        print(f'{name}: {says}  ->  {out / picture}')
    for note in notes:
        print(note)
    print(f"{plural(len(names), 'picture')} and explanations.npz written to {out}/")


def cli():
    """The command line. A line and exit code 2 for bad input, 1 for a file that can't be written, 130 for Ctrl-C."""
    keep_memory()
    with ending_in_a_line('; make room, or choose another --out'):
        main(sys.argv[1:])


if __name__ == '__main__':
    cli()
