"""What a user can put right."""


class InputError(Exception):
    """A mistake in what the user gave: a flag, a config field, a file, a directory.

    The message is one line that says what is wrong and what to do. Command lines print it without a
    traceback and exit with code 2.
    """


class Stopped(Exception):
    """Training ended early because it was asked to, after an epoch whose checkpoint is kept."""


class Diverged(Exception):
    """A loss is no longer a number. The message names the step and the checkpoint that is left."""
