"""`reason view`: write a run as one page, or serve it while it is running."""

from __future__ import annotations

import contextlib
import os
import webbrowser
from collections.abc import Iterable
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated

import typer

from reason.types import UsageError

if TYPE_CHECKING:
    from reason.trace import StoredOutcome
    from reason.view.source import Source

PAGE_START = "<!doctype html>"
LARGE_BYTES = 200_000_000


def view(
    run: Annotated[FilePath, typer.Argument(help="A trace store, or the folder that reason eval --out wrote.")],
    out: Annotated[FilePath | None, typer.Option(help="The page. Default: view.html beside the store.")] = None,
    search: Annotated[int | None, typer.Option(help="Which search of the store. Default: the last one.")] = None,
    problem: Annotated[
        list[str] | None, typer.Option(help="Only this problem, by its id; as often as needed.", metavar="ID")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Serve it on this machine and follow the run.")] = False,
    port: Annotated[int | None, typer.Option(help="Of --live; 0 takes a free one. Default: 8765.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Look at a run: the problems, their trees, scores, votes and costs, as one page without network."""
    from reason.view.source import Source

    if live and (out is not None or problem):
        raise UsageError("--live serves the whole run and writes no file: leave out --out and --problem")
    if not live and port is not None:
        raise UsageError(f"--port {port} is for --live: add --live, or leave out --port")
    with contextlib.closing(Source(run, search)) as source:
        if live:
            serve(source, port, show=open_)
            return
        file = source.folder / "view.html" if out is None else out
        outcomes = chosen(source, problem or ())
        size = write(source, outcomes, file)
        print(f"{file} ({size / 1e6:,.1f} MB, {len(outcomes):,} problem{'s' if len(outcomes) != 1 else ''})")
        if size > LARGE_BYTES:
            print("a page of this size opens slowly: --problem ID writes some problems only, --live serves all")
        if open_:
            webbrowser.open(file.resolve().as_uri())


def chosen(source: Source, problems: Iterable[str]) -> list[StoredOutcome]:
    """The outcomes of the problems named; of all, if none is.

    Raises:
        UsageError: One is not in the run.
    """
    outcomes = source.outcomes()
    wanted = list(problems)
    if not wanted:
        return outcomes
    ids = [row.id for row in source.run(outcomes).rows]
    missing = [name for name in wanted if name not in ids]
    if missing:
        some = ", ".join(repr(name) for name in ids[:3])
        raise UsageError(f"the run has no problem {missing[0]!r:.80}: pass --problem with an id such as {some:.200}")
    return [item for item, name in zip(outcomes, ids, strict=True) if name in wanted]


def write(source: Source, outcomes: list[StoredOutcome], file: FilePath) -> int:
    """Write the page, whole or not at all; returns its bytes.

    Raises:
        UsageError: It cannot be written there, or something else is there.
    """
    from reason.view.page import pieces

    _refuse_other(file)
    draft = file.with_name(f"{file.name}.part")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as output:
            output.writelines(pieces(source.run(outcomes), map(source.problem, outcomes)))
        size = draft.stat().st_size
        os.replace(draft, file)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise UsageError(
            f"--out {str(file)!r:.200} cannot be written ({error.strerror or error}): pass another --out"
        ) from error
    return size


def _refuse_other(file: FilePath) -> None:
    """Leave alone what is no page."""
    if file.is_dir():
        raise UsageError(f"--out {str(file)!r:.200} is a folder: pass a file, such as {str(file / 'view.html')!r:.200}")
    if not file.is_file():
        return
    with contextlib.suppress(OSError):
        with file.open("rb") as held:
            found = held.read(len(PAGE_START)).lower()
        if found and found != PAGE_START.encode():
            raise UsageError(f"--out {str(file)!r:.200} exists and is no page: pass another --out, or remove it")


def serve(source: Source, port: int | None, *, show: bool) -> None:
    """Serve the run until Ctrl-C.

    Raises:
        UsageError: The port cannot be had.
    """
    from reason.view.live import PORT, Following, Server

    with Server(Following(source), PORT if port is None else port) as server:
        print(f"{server.address} follows {source.file} (Ctrl-C ends it)", flush=True)
        if show:
            webbrowser.open(server.address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
