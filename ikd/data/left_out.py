"""What a folder of images holds beside them, so that it is not left out unsaid."""
import os
from collections import Counter

from ikd.data.images import SUFFIXES
from ikd.data.limits import printable

HIDDEN = ('thumbs.db', 'desktop.ini', '__macosx')  # beside names that begin with a dot
MOST_KINDS = 5  # that are told of by their suffixes


def left_out(directory, classes):
    """`; left out: 1 .heic, 2 beside the class folders`: what lies in and around folders of classes and is not read.

    directory: the whole folder; classes: the paths of the folders of classes, which may be in folders of parts.
    Hidden files are not counted. '' where there is nothing else.
    """
    classes = {*classes}
    outer = {directory, *(path.parent for path in classes)}
    known = classes | outer
    kinds = Counter(os.path.splitext(name)[1].lower() for folder in classes for name in names_in(folder))
    beside = sum(folder / name not in known for folder in outer for name in names_in(folder))
    others = sorted(((kind, count) for kind, count in kinds.items() if kind not in SUFFIXES),
                    key=lambda other: (-other[1], other[0]))
    told = [f"{count} {printable(kind) or 'without a suffix'}" for kind, count in others[:MOST_KINDS]]
    if rest := sum(count for _, count in others[MOST_KINDS:]):
        told.append(f'{rest} of other kinds')
    if beside:
        told.append(f'{beside} beside the class folders')
    return f"; left out: {', '.join(told)}" if told else ''


def names_in(folder):
    """The names in a folder but for hidden ones, and those that systems leave in folders and archives."""
    return [name for name in os.listdir(folder) if not name.startswith('.') and name.lower() not in HIDDEN]
