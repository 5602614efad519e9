"""Pictures of a network: what it looks at, which classes look alike to it, how its tree routes them."""
import textwrap

COLOURS = ['#4477aa', '#cc6677', '#228833', '#bb8800', '#aa3377', '#66ccee', '#222222', '#999933', '#882255',
           '#44aa99', '#ee7733', '#888888']  # of lines and points


def in_lines(title, most):
    """A title in lines of so many characters at most, which end between words: at no hyphen, as of Grad-CAM."""
    return textwrap.fill(title, int(most), break_on_hyphens=False)
