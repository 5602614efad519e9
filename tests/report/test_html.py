"""What becomes of text in a page, and what a page may do."""
import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from ikd.report.html import Html, command_line, document, element, join, picture, section, table


def test_text_is_escaped_and_markup_is_not():
    hostile = '<script>alert("x")</script>\'&'
    assert element('p', hostile) == '<p>&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&#x27;&amp;</p>'
    assert element('p', element('b', 'a'), None, 3, Html('&nbsp;')) == '<p><b>a</b>3&nbsp;</p>'
    assert join('<', None, Html('<')) == '&lt;<'
    assert element('img', src='"><script>', alt='') == '<img src="&quot;&gt;&lt;script&gt;" alt="">'
    assert element('a', data_x='1', class_='y', hidden=None, open=False) == '<a data-x="1" class="y"></a>'
    assert '<b' not in table(['<b>'], [['<b>']], '<b>') + section('<b>', '<b>')


def test_a_command_can_be_copied():
    found = command_line("python -m ikd '--workdir=my <run>'")
    assert found == ('<code class="command"><span>python</span> <span>-m</span> <span>ikd</span> '
                     '<span>&#x27;--workdir=my &lt;run&gt;&#x27;</span> </code>')


def test_a_page_is_ascii_and_its_policy_allows_its_own_style_and_script_alone():
    style, script = 'p { margin: 0 }', 'let x = 1 < 2;'
    page = document('ä </title><script>', element('p', 'ö \N{MINUS SIGN} \udcff'), style, script)
    assert page.isascii() and page.startswith('<!doctype html>')
    assert '<p>&#246; &#8722; &#56575;</p>' in page and '<title>&#228; &lt;/title&gt;&lt;script&gt;</title>' in page
    met = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: met.append((tag, dict(attributes)))
    parser.feed(page)
    policy, = (of['content'] for tag, of in met if of.get('http-equiv') == 'Content-Security-Policy')
    rules = dict(rule.strip().split(' ', 1) for rule in policy.split(';'))
    digest = lambda text: f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert rules == {'default-src': "'none'", 'img-src': 'data:', 'style-src': digest(style),
                     'script-src': digest(script), 'base-uri': "'none'", 'form-action': "'none'"}
    assert [tag for tag, _ in met].count('script') == 1
    assert f'<style>{style}</style>' in page and f'<script>{script}</script>' in page


@pytest.mark.parametrize('png', [b'', b'GIF89a' + bytes(30), b'\x89PNG\r\n\x1a\n'])
def test_what_is_no_picture_is_said(png):
    assert 'not a PNG' in picture(png, '<name>') and '<img' not in picture(png, '<name>')


def test_a_picture_has_its_size_and_bytes():
    png = b'\x89PNG\r\n\x1a\n' + b'\0\0\0\rIHDR' + bytes([0, 0, 4, 0, 0, 0, 1, 2]) + b'rest'
    found = picture(png, 'alt', 'below')
    assert 'width="1024" height="258"' in found and '<figcaption>below</figcaption>' in found
    assert base64.b64decode(re.search('base64,([^"]*)', found)[1]) == png
