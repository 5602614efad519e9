"""Networks that finished runs ended with, to be looked at: restored, never trained on."""
import os
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from ikd import data, models
from ikd.checkpoint import last_tree
from ikd.config import default
from ikd.data import Dataset
from ikd.data.inputs import normalise
from ikd.data.stream import select
from ikd.errors import InputError
from ikd.explainers import EXPLAINERS, applicable, explain, explainer_options
from ikd.files import read_json
from ikd.networks import describe, final_model
from ikd.parallel import MATMUL
from ikd.recipes import RECIPES
from ikd.run_data import as_trained_on, check_folder, checks_pixels, load_data, other_data
from ikd.run_files import read_config, read_summary
from ikd.stages import common
from ikd.validation import resolve

MOST_FLOATS = 2 ** 27  # in the maps of a batch


class Trained(NamedTuple):
    """A trained network: its resolved config, its data, the Flax module, and what that is applied with.

    variables: host arrays, `params`, `batch_stats` and `extra`; of dml's two networks those of the first. In
    `model.apply(variables, x, train=False)`, which gives logits [b, k] and named taps, x is `inputs(images)`. seed:
    that of the trial.
    """
    config: Any
    dataset: Dataset
    model: Any
    variables: dict
    seed: int

    def __repr__(self):  # a notebook would show every weight
        return f'Trained({self.title})'

    @property
    def title(self):
        """`mlp after le (Grad) on mnist, seed 0`."""
        return f'{describe(self.config)}, seed {self.seed}'

    @property
    def class_names(self):
        return self.dataset.class_names

    def inputs(self, images):
        """Images [b, h, w, c] in [0, 255] as the network takes them: float32, normalised as in training.

        InputError for images of another form, and for numbers with fractions that are in [0, 1] instead.
        """
        if np.shape(images)[1:] != self.dataset.image_shape:
            raise InputError(f'images are {list(np.shape(images))}; the network takes '
                             f"[b, {', '.join(map(str, self.dataset.image_shape))}]")
        if not isinstance(images, jax.core.Tracer) and (images <= 1).all() and (images % 1).any():
            raise InputError(f'pixels are {images.min():g} to {images.max():g}; give them in [0, 255], as those of '
                             'dataset.test_images are')
        return normalise(images, self.dataset.mean, self.dataset.std)


def load(workdir: str | os.PathLike, seed: int | None = None, data_dir: str | os.PathLike | None = None,
         images: bool = True) -> Trained:
    """The network that a finished run in the directory workdir ended with: Trained. Nothing is written.

    seed: which of the run's trials; None: the one of the smallest seed. data_dir: where the data is now, if that is
    not where the run's config says. images=False: the data set has none, so that its files need not be there, nor
    be read; a run of an earlier version of ikd, which kept no data.json, reads them all the same. InputError, in one
    line, for a directory without a finished run, a trial or a checkpoint that is not there, and data that can't be
    read or is not what the run was trained on.
    """
    workdir = pathlib.Path(workdir)
    summary, fields = read_summary(workdir), read_config(workdir)
    if not summary or not fields:
        raise InputError(f'{workdir} is not the directory of a finished run; give the --workdir of one that has a '
                         'summary.json')
    seeds = [trial['seed'] for trial in summary['trials']]
    seed = min(seeds) if seed is None else seed
    if seed not in seeds:
        raise InputError(f"{workdir} has no trial of seed {seed}, only of {', '.join(map(str, seeds))}; train it "
                         'there with more --config.trials')
    config = default()
    try:
        config.update(fields)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{workdir}/config.json is no config of a run ({' '.join(str(error).split())}); put back a "
                         'copy') from error
    for what, name, known in (('method', config.method.name, RECIPES), ('network', config.model.name, models.MODELS),
                              ('explainer', config.method.explainer, EXPLAINERS)):
        if name not in known:
            raise InputError(f"{workdir} was trained with the {what} '{name}', which is not known here; name the "
                             'file that brings it with --config, or run its code and then, in the same process, '
                             'ikd.load(RUN)')
    recorded = config.data.fingerprint  # where there is none, `resolve` takes that of what is there now
    config = resolve(config)
    if data_dir is not None:
        config.data.dir = str(data_dir)
    elif images and config.data.dir and not os.path.isdir(config.data.dir):
        raise InputError(f'{config.data.dir}, where the data of {workdir} was, is not there; say with --data where '
                         'it is now')
    tree = last_tree(workdir, seed)
    described = read_json(workdir / 'data.json')
    dataset = data.without_images(described) if described else None
    if images or not described:
        check_folder(config, recorded, workdir)
        dataset = as_trained_on(load_data(config), dataset, workdir)
        then = (described or {}).get('checksum')
        if then and then != data.checksum(dataset, checks_pixels(config)):
            raise other_data(workdir, 'its images, labels or their order are others now')
    model = final_model(config, dataset)
    return Trained(config, dataset, model, own_variables(model, dataset, tree), seed)


def own_variables(model, dataset, tree):
    """What a network is applied with, of a checkpoint's tree: without what a stage had added, a peer, a regressor."""
    own = models.shapes(model, dataset.image_shape)
    return {**{name: common(tree[name], own.get(name, {})) for name in ('params', 'batch_stats')},
            'extra': tree['extra']}


def fitting(trained, most, copies=0):
    """How many images go together, at most `most`: as many as have MOST_FLOATS numbers in the maps of all classes.

    copies: of each image that the network is given together; they have no more numbers either.
    """
    floats = max(len(trained.class_names), copies) * int(np.prod(trained.dataset.image_shape))
    return max(1, min(most, MOST_FLOATS // floats))


def rows_in_batches(n, size=250):
    """The rows of n images in batches of one size: (rows, real) each; real, bool [b]: not what fills the last."""
    size = min(size, n)
    for start in range(0, n, size):
        rows = np.arange(start, start + size)
        yield rows % n, rows < n


def image_batches(trained, most=None, size=250):
    """The first `most` test images, all by default, in batches of one size: (images, labels, real) each.

    Images are as the network takes them, float32; real: False for what fills the last batch.
    """
    images = select(trained.dataset.test_images, slice(most))  # which may be streamed
    for rows, real in rows_in_batches(len(images), size):
        yield trained.inputs(images[rows]), trained.dataset.test_labels[rows], real


def explain_function(trained, explainer=None):
    """The pure function (variables, images, classes=None) -> maps of every class, or of some as `explain` has it.

    By the run's explainer or the one named, at the run's precision and `class_chunk`, and with the run's other
    options where the explainer is its own.
    """
    config = trained.config
    explainer = explainer or config.method.explainer
    own = explainer == config.method.explainer
    options = explainer_options(config) if own else {'class_chunk': config.class_chunk}

    def maps(variables, images, classes=None):
        return explain(explainer, trained.model, variables, images, classes=classes, **options)

    return at_precision(trained, maps)


def explainers_for(trained):
    """Which explainers can explain the network, as `applicable` says it: the run's own with the run's options."""
    return applicable(trained.model, trained.variables, trained.dataset.image_shape,
                      {trained.config.method.explainer: explainer_options(trained.config)})


def at_precision(trained, f):
    """f with its matrix products at the precision of the network's run, whoever calls it and whenever.

    That is said as f is traced: a derivative has it where it is taken within f, not of what comes out here.
    """
    def precise(*args, **more):
        with jax.default_matmul_precision(MATMUL[trained.config.precision]):
            return f(*args, **more)

    return precise


def compiled(trained, f):
    """A pure function f, compiled, `at_precision`."""
    return jax.jit(at_precision(trained, f))
