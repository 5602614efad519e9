"""The report of real runs in a browser, at every width, without its script, and with what it must refuse."""
import re

import numpy as np
import pytest

from ikd.journal import read_records
from tests.report.browser import chromium
from tests.report.hostile import CLASSES, NAME, text_of

UNFOLD = 'document.querySelectorAll("details").forEach(one => one.open = true)'
WIDTHS = '[innerWidth, document.scrollingElement.scrollWidth]'
PLOT = 'document.querySelectorAll(".curve")[2]'


@pytest.fixture(scope='module')
def tab(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp('profile')) as tab:
        yield tab


def readout(runs, epoch):
    """What is under the plot of test accuracy at an epoch: means over trials, four digits."""
    means = [np.mean([record['test_accuracy'] for record in read_records(run) if record['epoch'] == epoch])
             for run in runs]
    return f'epoch {epoch} le, Grad-CAM {means[0]:.4g} ce {means[1]:.4g}'


@pytest.mark.parametrize('width, scheme', [(320, 'light'), (360, 'dark'), (800, 'light'), (1280, 'dark')])
def test_a_page_never_scrolls_sideways(page, tab, width, scheme):
    """At no width, everything unfolded: what is too wide scrolls in its frame. And it can be read."""
    tab.open(page, width, scheme=scheme)
    assert tab.find(WIDTHS) == [width, width]
    tab.find(UNFOLD)
    assert tab.find(WIDTHS) == [width, width]
    scrolled = tab.find('[...document.querySelectorAll(".scroll")].filter(one => one.scrollWidth > one.clientWidth)'
                        '.length')
    assert width > 400 or scrolled > 5
    sizes = tab.find('[...document.querySelectorAll(".curve text")].map(one => one.getBoundingClientRect().height)')
    assert min(sizes) >= 9
    colours = tab.find('(style => [style.color, style.backgroundColor])(getComputedStyle(document.documentElement))')
    ink, paper = map(luminance, colours)
    assert (ink > paper) == (scheme == 'dark') and contrast(ink, paper) > 7


def luminance(colour):
    """Of `rgb(1, 2, 3)`, as WCAG 2.2 defines it: in [0, 1]."""
    share = np.array(re.findall(r'[\d.]+', colour)[:3], float) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def contrast(first, second):
    """WCAG's ratio of two luminances: from 1 to 21."""
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


def test_nothing_is_asked_for_and_names_stay_text(page, tab):
    tab.open(page, 360)
    assert tab.requests() == [page.as_uri()] and not tab.complaints()
    assert tab.find('[...document.images].map(one => one.complete && one.naturalWidth > 99)') == [True] * 6
    assert tab.find('[document.title, document.scripts.length]') == ['le, Grad-CAM: cnn2 on folder', 1]
    text = tab.find('document.body.textContent')
    assert all(name in text for name in (*CLASSES, NAME))
    handlers = 'element => [...element.attributes].some(one => one.name.startsWith("on") || one.name == "style")'
    assert not tab.find(f'[...document.querySelectorAll("*")].some({handlers})')


def test_its_policy_refuses_what_is_asked_of_it(page, tab):
    """A request, a picture from elsewhere, a script and a style that are not its own."""
    tab.open(page, 360)
    refused = tab.find("""new Promise(done => {
        const refused = [];
        addEventListener('securitypolicyviolation', one => {
          refused.push(one.effectiveDirective);
          if (refused.length == 4) done(refused.sort());
        });
        fetch('https://example.org/').catch(() => 0);
        document.body.append(Object.assign(new Image(), {src: 'https://example.org/x.png'}));
        for (const kind of ['script', 'style'])
          document.body.append(Object.assign(document.createElement(kind), {textContent: 'document.title = 4'}));
        setTimeout(() => done(refused.sort()), 20000);
    })""")
    assert refused == ['connect-src', 'img-src', 'script-src-elem', 'style-src-elem']
    assert tab.find('document.title') == 'le, Grad-CAM: cnn2 on folder'


def test_values_under_the_mouse_and_runs_that_hide(page, runs, tab):
    """The numbers of the last epoch, of the one under the mouse, and again of the last; the same without a script."""
    tab.open(page, 1280)
    said = lambda: ' '.join(tab.find(f'{PLOT}.querySelector(".readout").textContent').split())
    tab.find(f'{PLOT}.scrollIntoView()')
    box = tab.find(f'(({{x, y, width, height}}) => ({{x, y, width, height}}))({PLOT}.querySelector("svg")'
                   '.getBoundingClientRect())')
    assert said() == readout(runs, 3) and readout(runs, 3) in text_of(page.read_text())
    for share, epoch in (0.15, 1), (0.5, 2), (0.95, 3):
        tab.move(box['x'] + share * box['width'], box['y'] + box['height'] / 2)
        assert said() == readout(runs, epoch)
    tab.move(box['x'] + 0.15 * box['width'], box['y'] + box['height'] / 2)
    tab.move(box['x'] + 0.15 * box['width'], box['y'] - 60)
    assert said() == readout(runs, 3)
    shown = lambda: tab.find('[0, 1].map(i => getComputedStyle(document.querySelector(`.curve .run${i}`)).display)')
    assert shown() == ['inline', 'inline']
    tab.find('document.querySelector("#show1").scrollIntoView()')
    x, y = tab.find('(box => [box.x + box.width / 2, box.y + box.height / 2])'
                    '(document.querySelector("#show1").getBoundingClientRect())')
    tab.click(x, y)
    assert shown() == ['inline', 'none']
