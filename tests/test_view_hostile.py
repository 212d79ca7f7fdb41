"""Texts on the page, in a real browser: whatever they hold is shown as text, and mathematics is drawn."""

from __future__ import annotations

import pathlib
import random
from collections.abc import Iterator

import pytest
from browser import Browser, find_browser
from view_samples import sample_run, write

from reason.view.data import Node, ProblemView, Row, RunView, Vote

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine (REASON_BROWSER names one)")

HOSTILE = {
    "script": "<script>document.title='ran'</script>",
    "end of data": "</script><script>document.title='ran'</script>",
    "image": "<img src=x onerror=\"document.title='ran'\">",
    "broken": '<div><b "<!-- <script>document.title="ran"</script> --> <!-- ]]> <![CDATA[ </textarea></style>',
    "comment": "<!--<script>",
    "handler": '" onmouseover="document.title=\'ran\'" x="',
    "link": "[a](javascript:document.title='ran')",
    "formula": "$\\href{javascript:document.title='ran'}{x} <script>document.title='ran'</script>$",
    "text in formula": "$\\text{<img src=x onerror=document.title='ran'>}$",
    "right to left": "\u05d0\u05d1\u05d2 abc \u202e cba \u2066 x \u2069 \u200f",
    "control": "a\x00b\x07c\x1b[2J\x7f\x85 \ufeff\U000e0041",
    "surrogate": "\ud800 x \udfff",
    "template": "${document.title='ran'} {{constructor.constructor('x')()}}",
    "prototype": "__proto__",
    "latex": "\\frac{1}{2} $x^2$ \\begin{align} a &= b \\end{align} $\\frac{$",
    "long": "x" * 100_000,
    "many": "$a$ " * 5_000,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_shown_as_text(browser: Browser, tmp_path: pathlib.Path, name: str) -> None:
    text = HOSTILE[name]
    node = Node(-1, text, note=text[:500])
    view = ProblemView(text, (node,), text, text, (Vote(text, 1.0, 1),), ((text[:99], text[:99]),), (text,), text)
    row = Row(text[:50], text, text, text, verdict=text[:20], stopped=text[:20], failures=1)
    run = RunView(
        text[:200], ((text[:20], text[:20]),), ((text[:20], ((text[:20], text[:20]),)),), (row,), (text[:99],)
    )
    address = write(tmp_path, run, [view])
    browser.open(address)
    for tab in ("step", "path", "tokens", "source"):
        browser.run(f"document.querySelector('[data-tab={tab}]').click()")
    assert browser.errors() == []
    assert browser.run("document.title") != "ran"
    assert browser.requests() == [address]
    assert browser.run("document.querySelectorAll('img, a, iframe, object, form, base, link').length") == 0
    assert browser.run("document.querySelectorAll('script:not([type])').length") == 1
    attributes = browser.run("[...document.querySelectorAll('*')].flatMap(x => [...x.attributes].map(a => a.name))")
    assert not [name for name in attributes if name.startswith("on") or name in ("href", "src", "action")]
    if name not in ("right to left", "control", "surrogate", "many"):
        browser.run("document.querySelectorAll('.more').forEach(x => x.click())")
        assert browser.run("document.querySelector('#body .source').textContent") == text
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")


def test_any_mixture_of_hostile_texts_is_shown_as_it_came(browser: Browser, tmp_path: pathlib.Path) -> None:
    draw = random.Random(7)
    parts = [text[:40] for text in HOSTILE.values()] + [
        "<",
        ">",
        "&",
        "&lt;",
        "\n",
        "\r",
        "\t",
        "'",
        '"',
        "`",
        "$",
        "\\(",
    ]
    parts += ["\\)", "\\[", "\\]", "{", "}", "\\frac", "<svg onload=document.title='ran'>", "]]>", "--!>", "\\boxed{"]
    texts = ["".join(draw.choices(parts, k=draw.randrange(1, 9))) for _ in range(150)]
    nodes = [Node(-1, text, note=text) for text in texts]
    browser.open(write(tmp_path, sample_run(["all"]), [ProblemView("all", nodes)]))
    browser.run("document.querySelector('#node-rows .row').click()")
    browser.run("document.querySelector('[data-tab=source]').click()")
    shown = browser.run(
        """(async () => { const found = [];
        for (let at = 0; at < 150; at += 1) {
          const body = document.querySelector('#body .source').cloneNode(true);
          body.querySelectorAll('.unseen').forEach((mark) => {
            mark.replaceWith(String.fromCodePoint(parseInt(mark.textContent.slice(2), 16)));
          });
          found.push([...body.textContent].map((char) => char.codePointAt(0)));
          document.querySelector('#nodes').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown' }));
        }
        return found; })()"""
    )
    assert shown == [[ord(char) for char in text] for text in texts]
    assert browser.errors() == []
    assert browser.run("document.title") != "ran"


def test_what_cannot_be_seen_is_shown_by_its_number(browser: Browser, tmp_path: pathlib.Path) -> None:
    view = ProblemView("a\u202eb\x00c\x1b", (Node(-1, "x\u2066y"),))
    browser.open(write(tmp_path, sample_run(["a\u202eb"]), [view]))
    assert browser.run("document.querySelector('#question').textContent") == "aU+202EbU+0000cU+001B"
    assert browser.run("document.querySelector('#node-rows .line').textContent") == "xU+2066y"
    assert "U+202E" in browser.run("document.querySelector('#problem-rows .question').textContent")


def test_a_script_could_not_run_even_as_markup(browser: Browser, tmp_path: pathlib.Path) -> None:
    browser.open(write(tmp_path, sample_run(["one"]), [ProblemView("one", (Node(-1, "x"),))]))
    browser.run(
        "{ const x = document.createElement('script'); try { x.text = 'document.title = \"ran\"' } catch {} "
        "document.body.append(x); }"
    )
    browser.run(
        "{ const x = document.createElement('div'); try { x.innerHTML = '<img src=x onerror=1>' } catch (e) "
        "{ x.textContent = e.name } document.body.append(x); window.said = x.textContent }"
    )
    assert browser.run("document.title") != "ran"
    assert browser.run("window.said") == "TypeError"


def test_mathematics_is_drawn_and_copied_as_its_source(browser: Browser, tmp_path: pathlib.Path) -> None:
    text = "So $x^2 = \\frac{1}{2}$ costs $5 and $6, hence \\boxed{7}."
    browser.open(write(tmp_path, sample_run([text]), [ProblemView(text, (Node(-1, text),))]))
    question = "document.querySelector('#question')"
    assert browser.run(f"{question}.querySelectorAll('math').length") == 2
    assert browser.run(f"{question}.querySelector('mfrac').namespaceURI") == "http://www.w3.org/1998/Math/MathML"
    assert browser.run(f"{question}.querySelector('mfrac').getBoundingClientRect().height") > 15
    copied = browser.run(
        f"(() => {{ getSelection().selectAllChildren({question}); const data = new DataTransfer(); "
        "document.dispatchEvent(new ClipboardEvent('copy', { clipboardData: data, cancelable: true, bubbles: true })); "
        "return data.getData('text/plain'); })()"
    )
    assert copied == text
