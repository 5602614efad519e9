"""A stage of a method, ready to be timed: networks of their real sizes, on scikit-learn's digits, enlarged."""
import jax
import numpy as np

from ikd import data, parallel, training
from ikd.config import default
from ikd.networks import prepare_stages
from ikd.stages import variables_of
from ikd.validation import resolve


def dataset(size, channels, classes=10, copies=1):
    """The bundled digits as images [n, size, size, channels], said to be of `classes` classes, each so many times."""
    digits = data.load('digits', size=size)
    train, test = (np.repeat(images, channels, axis=-1) for images in (digits.train_images, digits.test_images))
    return digits._replace(train_images=np.tile(train, (copies, 1, 1, 1)), test_images=test,
                           train_labels=np.tile(digits.train_labels, copies), mean=digits.mean * channels,
                           std=digits.std * channels, class_names=tuple(map(str, range(classes))))


def images_for(model, **more):
    """The digits in the size that a model of the paper takes; more: of `dataset`."""
    return dataset(28, 1, **more) if model == 'mlp' else dataset(32, 3, **more)


def settings(model, method, **fields):
    """A resolved config with the batches of 2009.09140: ResNets have those of section 5, the MLP of section 5.1."""
    config = default()
    config.model.name, config.method.name = model, method
    config.update(batch_size=16 if model == 'mlp' else 128)
    config.update_from_flattened_dict(fields)
    return resolve(config)


class Steps:
    """A stage of a method, ready to run: each call is one of its compiled function, of `steps` training steps."""

    def __init__(self, config, images, index=-1, trials=1):
        self.layout = parallel.Layout(tuple(jax.local_devices()[:1]), 'trials' if trials > 1 else 'data', trials)
        stages = prepare_stages(config, images, self.layout)
        prepared = stages[index]
        self.model, self.program, self.batch_size = prepared.model, prepared.program, config.batch_size
        shape = images.image_shape
        told = prepared.stage.teacher
        self.knowledge = {} if told is None else self.put(
            variables_of(training.new_state(1, stages[told], shape)))
        self.state = parallel.join(self.layout, [training.new_state(seed, prepared, shape) for seed in range(trials)])
        self.order = self.program.order(self.state)
        self.data = images.train_images, images.train_labels
        if not images.streamed:
            self.data = self.put(self.data)

    def put(self, tree):
        return parallel.replicate(self.layout, tree)

    def __call__(self):
        self.state, report = self.program.advance(self.steps)(self.state, self.knowledge, self.order, *self.data)
        jax.block_until_ready(report)

    def epoch(self):
        """All steps of an epoch, fed as in training."""
        self.state, _ = training.run_epoch(self.program, self.layout, self.state, self.knowledge, *self.data)

    @property
    def steps(self):
        """Training steps of a call."""
        return self.program.chunk

    def memory(self):
        """Bytes that the compiled function needs beside its arguments."""
        lowered = self.program.advance(self.steps).lower(self.state, self.knowledge, self.order, *self.data)
        return lowered.compile().memory_analysis().temp_size_in_bytes
