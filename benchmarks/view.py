"""How fast the page of a large tree opens and scrolls, in headless Chromium.

    python benchmarks/view.py [--nodes 10000] [--problems 1]
    python benchmarks/view.py --pictures view.html --problem 14 --folder docs

Prints the page's size and the time to write it; then, as medians of `--runs` loads of a fresh page, the milliseconds
from navigation to the tree's rows on screen (`first content` is the browser's own first-contentful-paint), and the
times between frames while the tree is scrolled from end to end, all branches open, one screen in ten frames.
`longest task` is the longest time that the page's thread was busy without a pause meanwhile.

With `--pictures` it draws a page instead, at 390 and 1,440 pixels, light and dark, with a problem's chosen path open.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from browser import Browser, find_browser
from view_samples import sample_problem, sample_run

from reason.view.page import pieces

SCROLL = """new Promise((resolve) => {
  const rows = document.querySelector('#node-rows');
  const frames = [], tasks = [];
  const watch = new PerformanceObserver((list) => list.getEntries().forEach((entry) => tasks.push(entry.duration)));
  watch.observe({ entryTypes: ['longtask'] });
  let last = performance.now();
  let least = Infinity, most = 0;
  const step = () => {
    const now = performance.now();
    frames.push(now - last);
    last = now;
    const shown = document.querySelectorAll('#node-rows .row').length;
    least = Math.min(least, shown);
    most = Math.max(most, shown);
    const before = rows.scrollTop;
    rows.scrollTop += rows.clientHeight / 10;
    if (frames.length < 600 && rows.scrollTop !== before) requestAnimationFrame(step);
    else setTimeout(() => { watch.disconnect(); resolve({ frames: frames.slice(1), tasks, least, most }); }, 100);
  };
  requestAnimationFrame(step);
})"""
PAINT = "performance.getEntriesByName('first-contentful-paint')"
OPENED = f"({{ ready: window.benchmark, paint: {PAINT}[0].startTime }})"
WATCH = """new MutationObserver((_, self) => {
  if (document.documentElement?.dataset.ready !== 'yes') return;
  self.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.benchmark = performance.now(); }, 0));
}).observe(document, { attributes: true, childList: true, subtree: true });"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000, help="of the tree that is shown")
    parser.add_argument("--problems", type=int, default=1, help="with so many nodes each")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--pictures", type=Path, help="a page to draw")
    parser.add_argument("--problem", type=int, default=1, help="which of its problems, from 1")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the pictures go")
    given = parser.parse_args()
    if find_browser() is None:
        sys.exit("no Chromium on this machine: REASON_BROWSER names one")
    if given.pictures is not None:
        draw(given.pictures, given.problem, given.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        problems = [sample_problem(f"Problem {at}", given.nodes, at) for at in range(given.problems)]
        started = time.monotonic()
        with file.open("w", encoding="utf-8") as out:
            out.writelines(pieces(sample_run([view.question for view in problems]), problems))
        seconds = time.monotonic() - started
        print(f"{given.problems} x {given.nodes:,} nodes: {file.stat().st_size / 1e6:.1f} MB in {seconds:.1f} s")
        for width, height in ((1440, 900), (390, 844)):
            measure(file, width, height, given.runs)


def draw(page: Path, problem: int, folder: Path) -> None:
    """Draw the page at both widths, light and dark, as PNG of 256 colours."""
    from PIL import Image

    for width, height in ((1440, 900), (390, 844)):
        for dark in (False, True):
            file = folder / f"view-{width}-{'dark' if dark else 'light'}.png"
            with Browser(width, height, dark=dark) as browser:
                browser.open(f"{page.resolve().as_uri()}#problem-{problem}")
                browser.run("document.querySelector('#to-chosen').click()")
                browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
                browser.picture(file)
            Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
            print(file, f"{file.stat().st_size / 1e3:.0f} kB")


def measure(file: Path, width: int, height: int, runs: int) -> None:
    """Open and scroll the page so often, in a browser of its own."""
    paints, opened, frames, tasks, shown = list[float](), list[float](), list[float](), list[float](), list[int]()
    with Browser(width, height) as browser:
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        for _ in range(runs):
            browser.call("Page.navigate", url="about:blank")
            browser.open(f"{file.as_uri()}#problem-1")
            browser.wait(f"window.benchmark !== undefined && {PAINT}.length > 0")
            found = browser.run(OPENED)
            paints.append(found["paint"])
            opened.append(found["ready"])
            browser.run("document.querySelector('#open-all').click()")
            scrolled = browser.run(SCROLL)
            frames += scrolled["frames"]
            tasks += scrolled["tasks"]
            shown.append(scrolled["most"])
    frames.sort()
    slow = frames[int(0.99 * len(frames))]
    print(
        f"{width} x {height}: first content {statistics.median(paints):.0f} ms, rows on screen "
        f"{statistics.median(opened):.0f} ms (slowest {max(opened):.0f}); scrolling {len(frames):,} frames: median "
        f"{statistics.median(frames):.1f} ms, 99 % {slow:.1f} ms, longest {frames[-1]:.1f} ms, longest task "
        f"{max(tasks, default=0):.0f} ms; at most {max(shown)} rows in the page"
    )


if __name__ == "__main__":
    main()
