"""From a name or a directory to a scorer.

A directory says what it is: `reason.json` with a "scorer" entry is our own format (`reason.scorers.store`); otherwise
the architecture in config.json decides: `…ForTokenClassification` is a process reward model,
`…ForSequenceClassification` an outcome reward model, and the published ones (`reason.scorers.cards`) have names of
their own. Language models that judge (Math-Shepherd, RLHFlow) are known by their hub id or directory's name, or by a
format put in front: `math-shepherd:DIRECTORY`.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path as FilePath
from typing import Any

from reason.scorers.game24 import Game24
from reason.scorers.verifier import ArithmeticVerifier, numeric, symbolic, verifier
from reason.types import MissingExtraError, Policy, Scorer, UsageError

MODELS = FilePath(__file__).parent.parent / "models"
BUNDLED = {"process": "process", "outcome": "outcome", "bundled": "process", "bundled-outcome": "outcome"}
FORMS = (
    "'process' or 'outcome' (bundled), 'arithmetic', 'oracle', a directory with a …ForTokenClassification, "
    "…ForSequenceClassification, published or our own reward model, ORGANISATION/NAME from the hub (@REVISION), "
    "FORMAT:DIRECTORY, calibrated:FILE, pairs:SCORER, 'numeric', 'symbolic', 'game24', 'countdown', judge:MODEL, "
    "genrm:MODEL, critic:MODEL, regex:PATTERN, schema:FILE, module:function, or several with + between them"
)
FORMATS = ("qwen-prm", "qwen-rm", "math-shepherd", "rlhflow", "rlhflow-orm", "skywork")
"""Formats that can be put in front of a directory or hub id."""
CALIBRATED, PAIRS = "calibrated:", "pairs:"
RULES: Mapping[str, Callable[[], Scorer]] = {
    "arithmetic": ArithmeticVerifier,
    "verifier": ArithmeticVerifier,
    "oracle": partial(verifier, gold=True),
    "numeric": numeric,
    "symbolic": symbolic,
    "game24": Game24,
    "countdown": partial(Game24, every=False),
}
PREFIXED = ("judge", "genrm", "critic", "regex", "schema")
"""Names that go on after a colon: `reason.scorers.named`."""
GOING_ON = (*FORMATS, *PREFIXED, CALIBRATED.removesuffix(":"))
HUB = re.compile(r"[\w-][\w.-]*/[\w.-]+")
HUB_FILES = (
    "*.json", "*.safetensors", "*.jinja", "tokenizer.model", "spm.model", "sentencepiece.bpe.model", "vocab.txt",
    "merges.txt",
)  # fmt: skip


def load_scorer(
    spec: str | os.PathLike[str] = "process",
    *,
    aggregate: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    memory_gib: float | None = None,
    policy: Policy | None = None,
) -> Scorer:
    """A scorer from a name, a directory, a hub id or a function.

    Args:
        spec: "process" (also "bundled") or "outcome" (also "bundled-outcome"): the bundled reward models; "arithmetic"
            (also "verifier") or "oracle": rule verifiers (`reason.scorers.verifier`); a directory or hub id of a reward
            model, with its format in front where nothing else tells it ("rlhflow:DIRECTORY"); "module:name" of a
            scorer, of a function without arguments that makes one, or of a `check(problem, text)`;
            "numeric" or "symbolic": oracles for answers; "game24" or "countdown"; "judge:MODEL", "genrm:MODEL" or
            "critic:MODEL": a language model as judge, MODEL as in `reason.load`; "regex:PATTERN" and "schema:FILE";
            "calibrated:FILE" of `reason calibrate`; "pairs:SCORER", which compares by its values; several with +
            between them: their mean (`ensemble`). A + that no scorer's name follows belongs to the file or model before
            it, and all that follows regex: is the pattern.
        aggregate: How a process scorer's values become one: "last" (the default), "min", "product" or "mean".
        device: "cpu", "cuda", "cuda:1"; None takes the GPU if there is one.
        dtype: "float32", "bfloat16", "float16"; None is float32 on a CPU and for our own format, else the checkpoint's.
        memory_gib: Bound on cached keys and values; None is the engine's default.
        policy: What will be scored. If its tokenizer is the scorer's, sampled tokens are taken as they are; without it
            every step's tokens are first checked to spell the step's text to the scorer.

    Raises:
        UsageError: There is no such scorer, it is not one, or an option does not apply to it.
        MissingExtraError: It needs torch and transformers, which are not installed.
    """
    name = os.fspath(spec)
    options: dict[str, Any] = {"aggregate": aggregate, "device": device, "dtype": dtype, "memory_gib": memory_gib}
    members = members_of(name)
    if len(members) > 1:
        from reason.scorers.ensembles import ensemble

        return ensemble([load_scorer(member, **options, policy=policy) for member in members])
    if name.startswith(CALIBRATED):
        from reason.scorers.calibration import load_calibrated

        return load_calibrated(name.removeprefix(CALIBRATED), **options, policy=policy)
    if name.startswith(PAIRS):
        from reason.scorers.pairs import Pairs

        return Pairs(load_scorer(name.removeprefix(PAIRS), **options, policy=policy))
    form, _, place = name.partition(":")
    prefixed = form in PREFIXED and form != name
    if form not in FORMATS and (name in RULES or prefixed or _is_reference(name)):
        given = [option for option, value in options.items() if value is not None]
        if given:
            raise UsageError(f"the scorer {name!r} is not a reward model: leave {', '.join(given)} out")
        if prefixed:
            from reason.scorers.named import from_prefix

            return from_prefix(name)
        return RULES[name]() if name in RULES else _from_module(name)
    if name in BUNDLED:
        folder = MODELS / BUNDLED[name]
        if not (folder / "config.json").is_file():
            raise UsageError(f"the bundled {BUNDLED[name]} scorer is missing here; install reason-toolkit again")
    else:
        folder = _find(place if form in FORMATS else name)
    _need_local()
    from reason.scorers import build

    kind = form if form in FORMATS else build.kind_of(folder, name)
    if aggregate is not None and not build.judges_steps(kind):
        raise UsageError(f"{name} judges whole solutions, so there is nothing to aggregate: leave aggregate out")
    loaded = build.load(folder, kind, device=device, dtype=dtype)
    return build.assemble(loaded, kind, name, aggregate=aggregate or "last", memory_gib=memory_gib, policy=policy)


def members_of(name: str) -> list[str]:
    """The scorers that a name with + stands for; the name alone, where it is one.

    Raises:
        UsageError: A member is empty.
    """
    if os.path.exists(name):
        return [name]
    pieces, members = name.split("+"), list[str]()
    while pieces:
        size = _pieces_of_first(pieces)
        members.append("+".join(pieces[:size]))
        pieces = pieces[size:]
    if len(members) > 1 and "" in members:
        raise UsageError(
            f"the scorer {name!r} has no name in place {members.index('') + 1} of the {len(members)} between its + "
            "signs: name a scorer there, or leave that + out"
        )
    return members


def _pieces_of_first(pieces: list[str]) -> int:
    """How many of the pieces between + signs are the first member."""
    first = _unpaired(pieces[0])
    form, colon, _ = first.partition(":")
    if first.startswith("regex:"):
        return len(pieces)
    goes_on = bool(colon) and form in GOING_ON
    for size in range(len(pieces), 1, -1):
        whole = _unpaired("+".join(pieces[:size]))
        if os.path.exists(whole.partition(":")[2] if goes_on else whole):
            return size
    size = 1
    while goes_on and size < len(pieces) and not _could_be_a_name(pieces[size]):
        size += 1
    return size


def _could_be_a_name(piece: str) -> bool:
    place = _unpaired(piece)
    form, _, rest = place.partition(":")
    if form in GOING_ON:
        return bool(rest)
    known = place in RULES or place in BUNDLED or _is_reference(place) or HUB.fullmatch(place.partition("@")[0])
    return bool(known) or (bool(place) and os.path.isdir(os.path.expanduser(place)))


def _unpaired(name: str) -> str:
    while name.startswith(PAIRS):
        name = name.removeprefix(PAIRS)
    return name


def not_from_files(name: str) -> str | None:
    """The first member that a file may not name: code to import, or a calibrated scorer; None if all may be."""
    for member in map(_unpaired, members_of(name)):
        form = member.partition(":")[0]
        if member.startswith(CALIBRATED) or (form not in (*FORMATS, *PREFIXED) and _is_reference(member)):
            return member
    return None


def _is_reference(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name) is not None and not FilePath(name).exists()


def _from_module(name: str) -> Scorer:
    """What `module:name` stands for: a scorer, a function that makes one, or a check."""
    module, _, attribute = name.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"scorer {name!r} cannot be imported ({error}); check the module and the name") from error
    if isinstance(found, Scorer) and not isinstance(found, type):
        return found
    if callable(found):
        needed = [p for p in inspect.signature(found).parameters.values() if p.default is p.empty and p.kind < 2]
        if len(needed) == 2:
            return verifier(found, name=name)
        made = found() if not needed else None
        if isinstance(made, Scorer):
            return made
    raise UsageError(
        f"{name} is not a scorer: it needs judge(paths), or to be a function without arguments that returns one, "
        "or check(problem, text)"
    )


def _find(name: str) -> FilePath:
    """The directory of that name, or the hub's copy of it on this machine."""
    folder = FilePath(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"the directory {name!r} holds no model (no config.json); a scorer is {FORMS}")
        return folder
    if folder.is_file():
        raise UsageError(f"{name!r} is a file; pass the scorer's directory")
    repository, _, revision = name.partition("@")
    if HUB.fullmatch(repository) is None or folder.parent.is_dir():
        raise UsageError(f"there is no scorer {name!r}: no such directory or name; a scorer is {FORMS}")
    _need_local()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        found = snapshot_download(repository, revision=revision or None, allow_patterns=list(HUB_FILES))
        return FilePath(found)
    except (OSError, HfHubHTTPError, LocalEntryNotFoundError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"scorer {name!r} cannot be loaded from the hub ({reason:.200}); check the name and the network"
        ) from None


def _need_local() -> None:
    missing = [package for package in ("torch", "transformers", "safetensors") if find_spec(package) is None]
    if missing:
        raise MissingExtraError(
            f"a reward model as scorer needs {' and '.join(missing)}: pip install 'reason-toolkit[local]'"
        )
