"""The page in a real browser: it shows what it holds, loads nothing, runs no text, and is reached by keyboard."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest
from browser import Browser, find_browser
from view_samples import sample_problem, sample_run, sample_tree, write

from reason.view.data import Node, ProblemView, Vote
from reason.view.page import page

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine (REASON_BROWSER names one)")

QUESTIONS = [f"Problem {index}: how many pens are in {index} boxes?" for index in range(300)]
SELECTED = "document.querySelector('#nodes [aria-selected=true]')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("view") / "sample.html"
    problems = [sample_problem(question, 60, index) for index, question in enumerate(QUESTIONS)]
    file.write_text(page(sample_run(QUESTIONS), problems), "utf-8")
    return file.as_uri()


def test_the_page_loads_nothing_and_complains_of_nothing(browser: Browser, sample: str) -> None:
    browser.resize(1440, 900)
    browser.open(sample)
    assert browser.errors() == []
    assert browser.requests() == [sample]
    assert browser.run("document.title") == "toy: beam, n 16"
    assert browser.run("document.querySelector('#totals').textContent").startswith("70 % accuracy")


def test_only_rows_on_screen_are_elements(browser: Browser, sample: str) -> None:
    browser.open(sample)
    assert browser.run("document.querySelectorAll('#problem-rows .row').length") < 60
    assert browser.run("Number(document.querySelector('#problems').getAttribute('aria-rowcount'))") == 301
    browser.run("document.querySelector('#problem-rows').scrollTop = 1e6")
    browser.wait("document.querySelector('#p299') !== null")
    assert browser.run("document.querySelectorAll('#problem-rows .row').length") < 60


def test_the_table_is_filtered_and_sorted(browser: Browser, sample: str) -> None:
    browser.open(sample)
    browser.run("document.querySelector('[data-column=tokens] button').click()")
    assert browser.run("document.querySelector('[data-column=tokens]').getAttribute('aria-sort')") == "descending"
    cells = "[...document.querySelectorAll('#problem-rows .tokens')].map(x => Number(x.textContent.replace(',', '')))"
    found = browser.run(cells)
    assert found == sorted(found, reverse=True)
    browser.run("document.querySelector('[data-column=tokens] button').click()")
    assert browser.run(cells) == sorted(browser.run(cells))
    browser.run("document.querySelector('#filter').focus()")
    browser.type("boxes 29 incorrect")
    assert browser.run("document.querySelector('#count').textContent").endswith(" of 300 problems")
    shown = browser.run("[...document.querySelectorAll('#problem-rows .question')].map(x => x.textContent)")
    assert shown
    assert all("29" in text for text in shown)
    browser.key("Escape")
    assert browser.run("document.querySelector('#count').textContent") == "300 problems"
    browser.run(
        "{ const x = document.querySelector('#verdict'); x.value = 'with failures'; "
        "x.dispatchEvent(new Event('change')); }"
    )
    assert browser.run("document.querySelector('#count').textContent") == "23 of 300 problems"


def test_the_tree_is_reached_by_keyboard(browser: Browser, sample: str) -> None:
    browser.open(sample)
    browser.key("/")
    assert browser.run("document.activeElement.id") == "filter"
    browser.key("ArrowDown")
    assert browser.run("document.activeElement.id") == "problems"
    browser.key("End")
    browser.key("Enter")
    browser.wait("document.querySelector('#problem-id').textContent.startsWith('300')")
    assert browser.run("document.activeElement.id") == "nodes"
    browser.key("Home")
    assert browser.run(f"{SELECTED}.getAttribute('aria-level')") == "1"
    expanded = browser.run(f"{SELECTED}.getAttribute('aria-expanded')")
    assert expanded == "true"
    rows = browser.run("Number(document.querySelector('#nodes').getAttribute('aria-rowcount'))")
    browser.key("ArrowLeft")
    assert browser.run(f"{SELECTED}.getAttribute('aria-expanded')") == "false"
    assert browser.run("Number(document.querySelector('#nodes').getAttribute('aria-rowcount'))") < rows
    browser.key("ArrowRight")
    browser.key("ArrowRight")
    assert browser.run(f"{SELECTED}.getAttribute('aria-level')") == "2"
    assert browser.run(f"{SELECTED}.getAttribute('aria-posinset')") == "1"
    if browser.run(f"{SELECTED}.getAttribute('aria-expanded')") == "true":
        browser.key("ArrowLeft")
    browser.key("ArrowLeft")
    assert browser.run(f"{SELECTED}.getAttribute('aria-level')") == "1"
    active = browser.run("document.querySelector('#nodes').getAttribute('aria-activedescendant')")
    assert active == browser.run(f"{SELECTED}.id")
    browser.key("End")
    assert browser.run("document.querySelector('#detail').hidden") is False
    outline = "getComputedStyle(document.querySelector('#nodes [aria-selected=true]')).outlineStyle"
    assert browser.run(outline) == "solid"


def test_every_row_says_where_it_stands_in_the_tree(browser: Browser, sample: str) -> None:
    browser.open(sample)
    browser.run("document.querySelector('#open-all').click()")
    found = browser.run(
        "[...document.querySelectorAll('#node-rows .row')].map(x => ['role', 'aria-level', 'aria-setsize', "
        "'aria-posinset'].map(name => x.getAttribute(name)))"
    )
    assert len(found) > 10
    for role, level, size, place in found:
        assert role == "row"
        assert int(level) >= 1
        assert 1 <= int(place) <= int(size)


def test_what_is_known_of_a_step_is_shown(browser: Browser, tmp_path: pathlib.Path) -> None:
    nodes = (
        Node(-1, "first step\n", value=0.25, visits=7, copies=3, chosen=True),
        Node(0, "second\n", finish="stop", value=0.875, chosen=True, token_ids=(5, 6), logprobs=(-0.5, -1.25), tokens=2,
             logprob=-1.75),
        Node(0, "third\n", pruned=True, value=0.1),
        Node(0, "fourth\n"),
        Node(0, "fifth\n", finish="length"),
        Node(0, "sixth\n", finish="error", note="the server answered 503"),
    )  # fmt: skip
    view = ProblemView(
        "Why?", nodes, answer="42", gold="43", votes=(Vote("42", 2.0, 3, chosen=True),), prompt="Q: Why?"
    )
    browser.open(write(tmp_path, sample_run(["Why?"]), [view]))
    rows = browser.run("[...document.querySelectorAll('#node-rows .row')].map(x => x.innerText)")
    for row, said in zip(
        rows,
        (("first step", "0.250", "7 visits", "drawn 3×"), ("second", "0.875", "complete (the answer)"),
         ("third", "pruned"), ("fourth", "–", "never extended"), ("fifth", "cut off by the token limit"),
         ("sixth", "failed", "the server answered 503")),
        strict=True,
    ):  # fmt: skip
        assert all(words in row for words in said), (row, said)
    assert browser.run("document.querySelectorAll('#node-rows .chosen').length") == 2
    browser.run("document.querySelector('#to-chosen').click()")
    browser.run("document.querySelector('[data-tab=tokens]').click()")
    browser.wait("document.querySelectorAll('.token').length === 2")
    assert "-1.25" in browser.run("document.querySelector('#body').innerText")
    browser.run("document.querySelector('[data-tab=path]').click()")
    assert browser.run("document.querySelectorAll('.path li').length") == 2
    assert "weight 2 (100 %) · 3 solutions" in browser.run("document.querySelector('#votes').textContent")
    assert browser.run("document.querySelector('#prompt').textContent") == "Q: Why?"


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
@pytest.mark.parametrize("dark", [False, True])
def test_no_width_scrolls_sideways(browser: Browser, sample: str, width: int, dark: bool) -> None:
    browser.resize(width, 844)
    browser.scheme(dark=dark)
    browser.open(sample)
    assert browser.run("document.documentElement.scrollWidth") <= width
    browser.run("document.querySelector('#problem-rows .row').click()")
    browser.wait("document.activeElement.id === 'nodes'")
    browser.run("document.querySelectorAll('details').forEach(x => { x.open = true })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.querySelector('#node-rows').clientHeight") > 60
    assert browser.run("document.querySelector('#problem').getBoundingClientRect().bottom") <= 845
    browser.scheme(dark=False)
    browser.resize(1440, 900)


def test_paper_holds_every_open_row(browser: Browser, tmp_path: pathlib.Path) -> None:
    view = ProblemView("How many?", sample_tree(120))
    browser.open(write(tmp_path, sample_run(["How many?"]), [view]))
    browser.paper(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.querySelectorAll('#paper .node').length") == 120
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run("document.querySelectorAll('#paper *').length") == 0


def test_an_address_opens_its_problem(browser: Browser, sample: str) -> None:
    browser.call("Page.navigate", url="about:blank")
    browser.open(sample + "#problem-42")
    assert browser.run("document.querySelector('#problem-id').textContent").startswith("42 ")


def test_the_chosen_row_stays_on_screen_and_heads_stand_above_their_columns(browser: Browser, sample: str) -> None:
    browser.resize(390, 844)
    browser.open(sample + "#problem-3")
    browser.key("End")
    for tab in ("path", "step"):
        browser.run(f"document.querySelector('[data-tab={tab}]').click()")
        browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        low, bottom = browser.run(
            f"[{SELECTED}, document.querySelector('#node-rows')].map(x => x.getBoundingClientRect().bottom)"
        )
        assert low <= bottom + 1
    browser.resize(1440, 900)
    browser.open(sample)
    for column in ("answer", "tokens", "seconds", "failures"):
        left = "x => document.querySelector(x).getBoundingClientRect().x"
        head, cell = browser.run(f"['#heads .{column}', '#problem-rows .{column}'].map({left})")
        assert abs(head - cell) < 1


def test_the_reader_of_a_screen_is_told_levels_and_names(browser: Browser, sample: str) -> None:
    browser.open(sample)
    browser.run("document.querySelector('#open-all').click()")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node.get("role", {}).get("value") for node in nodes]
    assert roles.count("treegrid") == 1
    assert "grid" in roles
    levels = [
        prop["value"]["value"]
        for node in nodes
        if node.get("role", {}).get("value") == "row"
        for prop in node.get("properties", [])
        if prop["name"] == "level"
    ]
    assert max(levels) > 1
    for node in nodes:
        if node.get("role", {}).get("value") in ("button", "searchbox", "combobox", "tab", "treegrid", "grid"):
            assert node["name"]["value"], node


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_and_bars_stand_out(browser: Browser, sample: str, dark: bool) -> None:
    browser.scheme(dark=dark)
    browser.open(sample)
    style = "getComputedStyle(document.documentElement).getPropertyValue"
    colours = {name: str(browser.run(f"{style}('--{name}')")).strip() for name in (
        "ink", "soft", "accent", "good", "bad", "paper", "raised", "picked", "goodback", "badback", "track",
        "t0", "t1", "t2", "t3", "t4", "t5", "t6",
    )}  # fmt: skip
    browser.scheme(dark=False)
    for text in ("ink", "soft", "accent", "good", "bad"):
        for back in ("paper", "raised", "picked"):
            assert contrast(colours[text], colours[back]) >= 4.5, (text, back)
    assert contrast(colours["good"], colours["goodback"]) >= 4.5
    assert contrast(colours["bad"], colours["badback"]) >= 4.5
    for tone in ("t0", "t6"):
        assert contrast(colours[tone], colours["track"]) >= 3, tone


def test_further_keys_and_the_search_in_the_tree(browser: Browser, tmp_path: pathlib.Path) -> None:
    nodes = [
        Node(-1, "first"),
        Node(-1, "second"),
        *(Node(at % 2, f"step {at}") for at in range(200)),
        Node(50, "deep"),
    ]
    address = write(tmp_path, sample_run(["one", "two"]), [ProblemView("one", nodes), ProblemView("two", nodes)])
    count = "Number(document.querySelector('#nodes').getAttribute('aria-rowcount'))"
    chosen = "document.querySelector('#nodes [aria-selected=true] .line').textContent"
    browser.resize(390, 844)
    browser.open(address + "#problem-1")
    assert browser.run("document.activeElement.id") == "nodes"
    assert browser.run(count) == 2, "a large tree begins closed"
    browser.key("*")
    assert browser.run(count) == 202
    browser.key("End")
    assert browser.run(chosen) == "step 199"
    browser.key("PageUp")
    middle = browser.run(chosen)
    assert middle != "step 199"
    browser.key("PageDown")
    assert browser.run(chosen) == "step 199"
    browser.run("document.querySelector('#find').focus()")
    browser.type("DEEP")
    browser.key("Enter")
    assert browser.run(chosen) == "deep"
    assert browser.run(count) == 203
    browser.run("document.querySelector('#find').value = 'nowhere'")
    browser.key("Enter")
    assert browser.run("document.querySelector('#found').textContent") == "not found"
    browser.run("document.querySelector('#close-all').click()")
    assert browser.run(count) == 2
    assert browser.run(chosen) == "first", "what is chosen moves up to where it is seen"
    browser.run("document.querySelector('#nodes').focus()")
    browser.key("Enter")
    assert browser.run(count) == 102
    browser.key("Escape")
    assert browser.run("document.activeElement.id") == "problems"
    assert browser.run("document.querySelector('#problem').getBoundingClientRect().width") == 0
    browser.key("ArrowDown")
    browser.key("ArrowRight")
    browser.wait("document.querySelector('#problem-id').textContent.startsWith('2 ')")
    assert browser.run("location.hash") == "#problem-2"
    browser.resize(1440, 900)
