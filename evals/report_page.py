"""The page of `reason report`: one HTML file without a script that loads nothing.

Its content security policy allows the one style sheet by its hash and nothing else, so a text that reached the page as
markup could neither run nor load anything. Every text from a run is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from reason.evals.compare_runs import Compared
from reason.evals.report import Table, style, table_html
from reason.evals.report_disagree import Disagreement, Said
from reason.evals.report_figure import classed, figure, rules
from reason.evals.report_panels import LeftOut, Made, Panel
from reason.show import plain

START = '<!doctype html>\n<html lang="en" data-page="reason-report">'
QUESTION, ANSWER = 1200, 120

MORE_STYLE = """
h3 { font-size: 1rem; margin: 2rem 0 .25rem; overflow-wrap: anywhere; }
h1, h2, p, li, dt { overflow-wrap: anywhere; }
dl { grid-template-columns: minmax(0, max-content) 1fr; } a { color: var(--s0); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; margin: 1rem 0; }
.soft { color: var(--soft); font-size: .9rem; } .question { white-space: pre-wrap; border-left: 3px solid var(--grid);
  padding-left: .75rem; margin: .5rem 0; } .right { font-weight: 600; }
.said td:nth-child(2) { white-space: normal; overflow-wrap: anywhere; min-width: 5rem; max-width: 24rem; }
.said td:nth-child(2), .said th:nth-child(2) { text-align: left; }
@media screen and (max-width: 640px) { table { font-size: .8rem; } th, td { padding: .3rem .35rem; }
  th { white-space: normal; vertical-align: bottom; }
  td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 7rem; }
  dl { display: block; } dd { margin-bottom: .5rem; }
  .said td:nth-child(2) { min-width: 2.5rem; } }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } .scroll { overflow: visible; }
  th, td { padding: .2rem .4rem; white-space: normal; } .plate, .scroll, figure, article, tr { break-inside: avoid; }
  figure { margin: .5rem 0; }
  figure svg { max-width: 40rem; } h2, h3, .caption { break-after: avoid; } nav { display: none; } }
"""


@dataclass(frozen=True, slots=True)
class Part:
    """What the page tells of the runs of one task.

    Attributes:
        compared: The runs side by side.
        made: The figures, and what is left out.
        disagreements: The worst first; None where there is one run alone.
        treeless: Runs that have no page of trees to link to.
    """

    compared: Compared
    made: tuple[Made, ...]
    disagreements: tuple[Disagreement, ...] | None
    treeless: tuple[str, ...]


def run_page(parts: Sequence[Part], facts: Sequence[tuple[str, str]]) -> str:
    """The whole page.

    Args:
        parts: One per task.
        facts: Name and value: what the runs were made with.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    sheet: dict[str, str] = {}
    title = "Runs on " + ", ".join(plain(part.compared.task) or "an unnamed task" for part in parts)
    body = [f"<h1>{_say(title)}</h1>"]
    for number, part in enumerate(parts):
        body += _part(part, f"t{number}-", sheet, named=len(parts) > 1)
    body.append("<h2>How this was made</h2>")
    body.append(
        "<p>By <code>reason report</code> from kept runs; what every number is stands in docs/statistics.md.</p>"
    )
    body.append("<dl>" + "".join(f"<dt>{_say(name)}</dt><dd>{_say(value)}</dd>" for name, value in facts) + "</dl>")
    css = style().replace("@media (", "@media screen and (") + MORE_STYLE + rules(sheet)
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = [
        f'{START}\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{_say(title)}</title>\n<style>{css}</style>\n</head>\n<body>",
    ]
    return "\n".join([*head, *body, "</body>\n</html>\n"])


def _say(text: str) -> str:
    return html.escape(plain(text))


def _part(part: Part, prefix: str, sheet: dict[str, str], *, named: bool) -> list[str]:
    found = part.compared
    told = f"{found.problems} problems that every run was graded on"
    told += f" ({found.left_out} left out)" if found.left_out else ""
    told += f", in {found.families} families" if found.families is not None else ""
    body = [f"<h2>{_say(found.task or 'unnamed task')}</h2>"] if named else []
    body += [f"<p>{_say(told)}.</p>", _contents(part, prefix), table_html(_lines(found))]
    if found.against:
        body.append(table_html(_against(found)))
    for made in part.made:
        if isinstance(made, Panel):
            body += _panel(made, prefix, sheet)
    if part.disagreements:
        body += _disagreements(part, prefix)
    left_out = [made for made in part.made if isinstance(made, LeftOut)]
    lines = [f"<li>{_say(made.heading)}: {_say(made.why)}</li>" for made in left_out]
    if part.disagreements is None:
        lines.append("<li>Where the runs disagree: there is one run.</li>")
    elif not part.disagreements:
        lines.append("<li>Where the runs disagree: every problem is right in all runs or wrong in all.</li>")
    if lines:
        body.append("<h2>Left out</h2><ul>" + "".join(lines) + "</ul>")
    return body


def _contents(part: Part, prefix: str) -> str:
    links = [(made.name, made.heading) for made in part.made if isinstance(made, Panel)]
    if part.disagreements:
        links.append(("disagreements", "Where the runs disagree"))
    items = "".join(f'<li><a href="#{prefix}{name}">{_say(heading)}</a></li>' for name, heading in links)
    return f"<nav><ul>{items}</ul></nav>"


def _panel(panel: Panel, prefix: str, sheet: dict[str, str]) -> list[str]:
    wide = figure(panel.series, width=9, height=5, font=11, frame=panel.frame)
    narrow = figure(panel.series, width=4, height=4.6, font=10, frame=panel.frame)
    own = f"{prefix}{panel.name}"
    return [
        f'<section id="{own}"><div class="plate"><h2>{_say(panel.heading)}</h2><p>{_say(panel.text)}</p>',
        f'<figure role="img" aria-label="{_say(panel.heading)}">',
        f'<div class="wide">{classed(wide, f"{own}-w-", sheet)}</div>',
        f'<div class="narrow">{classed(narrow, f"{own}-n-", sheet)}</div></figure></div>',
        *(table_html(table) for table in panel.tables),
        "</section>",
    ]


def _lines(found: Compared) -> Table:
    rows = tuple(
        (
            plain(line.name),
            f"{100 * line.accuracy:.1f} %",
            f"{100 * line.low:.1f}–{100 * line.high:.1f}",
            f"{line.tokens:,.0f}",
            f"{100 * line.frontier:.0f} %",
            plain(line.strategy),
            str(line.n or "–"),
        )
        for line in found.lines
    )
    columns = ("run", "accuracy", "95 %", "tokens", "frontier", "strategy", "n")
    return Table(
        "Accuracy and generated tokens per problem; the share of bootstrap samples in which no run beats it.",
        columns,
        rows,
    )


def _against(found: Compared) -> Table:
    rows = tuple(
        (
            plain(pair.name),
            f"{100 * pair.paired.mean:+.1f}",
            f"{100 * pair.paired.low:+.1f} to {100 * pair.paired.high:+.1f}",
            "–" if math.isnan(pair.holm) else "< 0.0001" if pair.holm < 1e-4 else f"{pair.holm:.4f}",
            f"{pair.paired.only_first} : {pair.paired.only_second}",
        )
        for pair in found.against
    )
    columns = ("run", "difference", "95 %", "p (Holm)", "better : worse")
    baseline = plain(found.against[0].baseline)
    return Table(f"Against {baseline}, problem by problem, in percentage points.", columns, rows)


def _disagreements(part: Part, prefix: str) -> list[str]:
    body = [
        f'<section id="{prefix}disagreements"><h2>Where the runs disagree most</h2>',
        "<p>Problems that some run answers correctly and another not, by how far the shares of correct samples are "
        "apart, then by how sure the wrong run is. A run's name leads to its tree; “samples” is the share of its "
        "samples (of its one answer, where it has none) that are right, “vote” the share of the vote behind its "
        "answer.</p>",
    ]
    if part.treeless:
        some = ", ".join(plain(name) for name in part.treeless[:4]) + (" …" if len(part.treeless) > 4 else "")
        body.append(
            f'<p class="soft">No trees to link to in {_say(some)}: <code>reason view RUN</code> writes them.</p>'
        )
    for item in part.disagreements or ():
        body.append(f"<article><h3>{_say(item.problem)}</h3>")
        if item.question:
            body.append(f'<p class="question">{_say(_cut(item.question, QUESTION))}</p>')
        body.append(f'<p class="soft">Right answer: {_say(_cut(item.gold or "–", ANSWER))}</p>')
        columns = ("run", "answer", "verdict", "samples", "vote")
        head = "".join(f'<th scope="col">{name}</th>' for name in columns)
        rows = "\n".join(_said(said) for said in item.said)
        body.append(
            f'<div class="scroll"><table class="said"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        )
        body.append("</article>")
    return [*body, "</section>"]


def _said(said: Said) -> str:
    sure = "–" if said.confidence is None else f"{100 * said.confidence:.0f} %"
    run = f'<a href="{html.escape(said.tree)}">{_say(said.run)}</a>' if said.tree else _say(said.run)
    mark = ' class="right"' if said.verdict == "correct" else ""
    answer = "–" if said.answer is None else _cut(said.answer, ANSWER)
    cells = f"<td>{run}</td><td>{_say(answer)}</td><td{mark}>{_say(said.verdict.replace('_', ' '))}</td>"
    return f"<tr>{cells}<td>{100 * said.rate:.0f} %</td><td>{sure}</td></tr>"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} …"
