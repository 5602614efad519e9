"""Numbers as people read them, and lists of names as they write them."""
from ikd.errors import InputError


def number(mean, std=None, decimals=2, sign=''):
    """`98.61 +- 0.05`, or `not run` for None; never a minus zero."""
    if mean is None:
        return 'not run'
    spread = f' +- {std:.{decimals}f}' if std is not None else ''
    return f'{round(mean, decimals) + 0.0:{sign}.{decimals}f}{spread}'


def p_value(p):
    """`0.003`, or `< 0.001`."""
    return '< 0.001' if p < 0.001 else f'{p:.3f}'


def spans(numbers):
    """`0 to 4, 7` for rising whole numbers."""
    found = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ', '.join(f'{first}' if first == last else f'{first} to {last}' for first, last in found)


def plural(n, noun):
    """`1 epoch`, `1,200 epochs`."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def in_parts(words, is_one):
    """Several words of a flag, each of which may be several, separated by commas, unless is_one(word): a list."""
    return [part for word in words for part in ([word] if is_one(word) else word.split(',')) if part]


def named(flag, text, choices):
    """The names that a flag's comma-separated text gives, spaces aside; all that there are for None and `all`.

    InputError for one that is not among `choices`.
    """
    names = [*choices] if text in (None, 'all') else [name.strip() for name in text.split(',')]
    for name in names:
        if name not in choices:
            raise InputError(f"--{flag}: no '{name}'; choose from {', '.join(choices)}, or all")
    return names
