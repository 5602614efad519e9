"""HTML by functions: whatever is not markup already is escaped, and a page may load nothing."""
import base64
import hashlib
import re
import shlex
import struct
from html import escape

POLICY = "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; form-action 'none'"
SIGNATURE = b'\x89PNG\r\n\x1a\n'
VOID = ('img', 'input', 'meta')


class Html(str):
    """Text that is markup, not to be escaped again."""


def markup(value):
    """A value as Html: escaped, unless it is Html."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def join(*parts):
    """Parts in a row as Html; None is left out."""
    return Html(''.join(markup(part) for part in parts if part is not None))


def element(name, /, *children, **attributes):
    """`<name attribute="value">children</name>`.

    An underscore in an attribute's name stands for a hyphen, at its end for nothing; False and None leave it out.
    """
    written = ''.join(f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
                      for key, value in attributes.items() if value is not None and value is not False)
    return Html(f'<{name}{written}>' + ('' if name in VOID else f'{join(*children)}</{name}>'))


def paragraph(*children, **attributes):
    """`<p>children</p>`."""
    return element('p', *children, **attributes)


def command_line(text):
    """A command for a shell, whose lines end between its words unless one is longer than the page is wide."""
    words = (join(element('span', shlex.quote(word)), ' ') for word in shlex.split(text))
    return element('code', *words, class_='command')


def table(head, rows, caption=None, words=False):
    """A table of cells, in a frame of its own that scrolls where the page is too narrow; a caption below it.

    words: its cells are text, and stand to the left.
    """
    of = lambda name, cells: element('tr', *(element(name, cell) for cell in cells))
    body = element('table', element('thead', of('th', head)), element('tbody', *(of('td', row) for row in rows)),
                   class_='words' if words else None)
    return join(element('div', body, class_='scroll', tabindex=0),
                caption and paragraph(caption, class_='caption'))


def picture(png, alt, caption=None):
    """A PNG, bytes, inside the page; a line that says so where the bytes are no PNG."""
    if not png.startswith(SIGNATURE) or len(png) < 24:
        return paragraph(f'{alt}: the file is not a PNG picture.', class_='note')
    width, height = struct.unpack('>II', png[16:24])
    image = element('img', src='data:image/png;base64,' + base64.b64encode(png).decode(), alt=alt, width=width,
                    height=height)
    return element('figure', element('div', image, class_='scroll', tabindex=0),
                   caption and element('figcaption', caption), class_='picture')


def folded(summary, *children):
    """What is shown when its summary is clicked."""
    return element('details', element('summary', summary), *children)


def section(title, *children):
    """A part of the page under its heading, which can be linked to."""
    name = re.sub('[^a-z0-9]+', '-', title.lower()).strip('-')
    return element('section', element('h2', title), *children, id=name)


def document(title, body, style, script):
    """The whole page in ASCII. Its policy allows this style and this script, by their digests, and no request."""
    allow = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
             for text in (style, script)]
    head = [element('meta', charset='utf-8'),
            element('meta', http_equiv='Content-Security-Policy', content=POLICY.format(*allow)),
            element('meta', name='viewport', content='width=device-width, initial-scale=1'),
            element('meta', name='color-scheme', content='light dark'),
            element('title', title), element('style', Html(style))]
    page = element('html', element('head', *head), element('body', body, element('script', Html(script))), lang='en')
    return f'<!doctype html>\n{page}\n'.encode('ascii', 'xmlcharrefreplace').decode()
