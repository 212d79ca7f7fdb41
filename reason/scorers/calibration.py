"""Makes a scorer's values probabilities: a monotone map fitted on labelled solutions or steps, and how to tell.

    temperature   sigmoid(logit(v) / T)              one number, by maximum likelihood (Guo et al. 1706.04599)
    platt         sigmoid(a logit(v) + b)            two, with Platt's (1999) smoothed labels; a is kept above 0
    isotonic      a step function, linear between    pool adjacent violators (Ayer et al. 1955; Zadrozny & Elkan 2002)

All keep the order of the values, so best-of-n chooses the same solution before and after (isotonic regression has flat
pieces: there a millionth of the raw value is mixed in, which keeps it strict). What changes is everything that adds,
multiplies or compares values: weighted votes, aggregation over steps, ensembles, thresholds, beams that share out
their width. Labels may be soft (a share of right completions). How well values fit is told by the expected calibration
error over bins of equal count (Nguyen & O'Connor 1508.05154; bins of equal width leave most bins of a confident scorer
empty) and the Brier score.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reason.identity import identified, scorer_identity
from reason.search.strategy import one_of
from reason.types import Path, Policy, Score, Scorer, UsageError

METHODS = ("isotonic", "temperature", "platt")
EDGE = 1e-9
TIE = 1e-6
LOWEST, HIGHEST = 1e-3, 1e3
BINS = 15

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted map from values to probabilities.

    Attributes:
        method: "isotonic", "temperature" or "platt".
        slope, shift: Of the logit, for temperature (slope = 1 / T) and Platt.
        values, shares: The corners of the isotonic map, both rising.
        fitted_on: How many labelled values it was fitted on.
    """

    method: str
    slope: float = 1.0
    shift: float = 0.0
    values: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    fitted_on: int = 0

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)
        rising = all(bool(np.all(np.diff(side) >= 0)) for side in (self.values, self.shares) if side)
        if self.method == "isotonic" and not (self.values and len(self.values) == len(self.shares) and rising):
            raise UsageError("an isotonic calibration needs as many shares as values, both rising; fit it again")
        for name, side in (("values", self.values), ("shares", self.shares)):
            if outside := [number for number in side if not 0 <= number <= 1]:
                raise UsageError(f"a calibration's {name} must lie in [0, 1], and one is {outside[0]}; fit it again")
        if not (math.isfinite(self.slope) and math.isfinite(self.shift) and self.slope > 0):
            raise UsageError(f"a calibration's slope must be above 0 and is {self.slope}; fit it again")

    @property
    def temperature(self) -> float:
        """What logits are divided by."""
        return 1.0 / self.slope

    def apply(self, values: Sequence[float] | Floats) -> Floats:
        """The probabilities of values in [0, 1]; NaN stays NaN."""
        given = np.asarray(values, float)
        if self.method == "isotonic":
            return np.asarray((1 - TIE) * np.interp(given, self.values, self.shares) + TIE * np.clip(given, 0, 1))
        return _sigmoid(self.slope * _logit(given) + self.shift)

    def one(self, value: float) -> float:
        """The probability of one value."""
        return value if math.isnan(value) else float(self.apply([value])[0])


def fit(values: Sequence[float], labels: Sequence[float], method: str = "isotonic") -> Calibration:
    """Fit a calibration.

    Args:
        values: A scorer's values in [0, 1]; NaN (unscored) is left out with its label.
        labels: 0 or 1, or a share in [0, 1]; NaN is left out.
        method: "isotonic", "temperature" or "platt".

    Raises:
        UsageError: Unknown method, lengths that differ, values outside [0, 1], or too little to fit on.
    """
    one_of("method", method, METHODS)
    scored, truth = known_pairs(values, labels)
    if len(scored) < 2 or not 0 < float(truth.mean()) < 1:
        raise UsageError(
            f"there are {len(scored)} scored values, {float(truth.sum()):g} of them right: a calibration needs right "
            "and wrong ones; label more solutions"
        )
    if method == "isotonic":
        corners, shares = pool_adjacent_violators(scored, truth)
        return Calibration(method, values=tuple(corners), shares=tuple(shares), fitted_on=len(scored))
    logits = _logit(scored)
    if method == "temperature":
        return Calibration(method, slope=_fit_slope(logits, truth), fitted_on=len(scored))
    slope, shift = _fit_platt(logits, truth)
    return Calibration(method, slope, shift, fitted_on=len(scored))


def known_pairs(values: Sequence[float] | Floats, labels: Sequence[float] | Floats) -> tuple[Floats, Floats]:
    """Values and labels where both are known.

    Raises:
        UsageError: They differ in length, or lie outside [0, 1].
    """
    scored, truth = np.asarray(values, float), np.asarray(labels, float)
    if scored.shape != truth.shape:
        raise UsageError(f"there are {len(scored)} values and {len(truth)} labels: pass one label per value")
    known = ~(np.isnan(scored) | np.isnan(truth))
    scored, truth = scored[known], truth[known]
    for name, side in (("values", scored), ("labels", truth)):
        if len(side) and not (side.min() >= 0 and side.max() <= 1):
            raise UsageError(f"{name} reach from {side.min():g} to {side.max():g}: calibration is for values in [0, 1]")
    return scored, truth


def pool_adjacent_violators(values: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """Isotonic regression: the rising map with the least squared error to the labels.

    Equal values are one point of their mean label; a point whose label is below its predecessor's is merged with it
    until none is.

    Returns:
        The first and last value of every block, and its mean label beside each: the map's corners.
    """
    points, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    sums = np.bincount(place, labels, minlength=len(points))
    blocks: list[tuple[float, float, int, int]] = []  # sum of labels, weight, first and last point
    for index, (total, count) in enumerate(zip(sums, counts, strict=True)):
        block = (float(total), float(count), index, index)
        while blocks and blocks[-1][0] * block[1] >= block[0] * blocks[-1][1]:
            before = blocks.pop()
            block = (before[0] + block[0], before[1] + block[1], before[2], block[3])
        blocks.append(block)
    corners, shares = [], []
    for total, count, first, last in blocks:
        for end in dict.fromkeys((first, last)):
            corners.append(points[end])
            shares.append(total / count)
    return np.asarray(corners), np.asarray(shares)


def _logit(values: Floats) -> Floats:
    inside = np.clip(values, EDGE, 1 - EDGE)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits)))


def _fit_slope(logits: Floats, labels: Floats) -> float:
    """The slope in [LOWEST, HIGHEST] with the least log-loss: it is convex, so its derivative is bisected."""

    def rises(slope: float) -> bool:
        return bool(((_sigmoid(slope * logits) - labels) * logits).sum() > 0)

    low, high = math.log(LOWEST), math.log(HIGHEST)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if rises(math.exp(middle)) else (middle, high)
    return math.exp((low + high) / 2)


def _fit_platt(logits: Floats, labels: Floats) -> tuple[float, float]:
    """Slope and shift by Newton's method with halved steps; a slope at or below LOWEST means: no use, keep the mean."""
    right = float(labels.sum())
    wrong = len(labels) - right
    target = labels * (right + 1) / (right + 2) + (1 - labels) / (wrong + 2)
    point = np.array([1.0, 0.0])
    inputs = np.stack([logits, np.ones_like(logits)])

    def loss(at: Floats) -> float:
        return float((np.logaddexp(0.0, at @ inputs) - target * (at @ inputs)).sum())

    for _ in range(100):
        chance = _sigmoid(point @ inputs)
        gradient = inputs @ (chance - target)
        curvature = (inputs * (chance * (1 - chance))) @ inputs.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-10 and loss(point - size * step) > loss(point):
            size /= 2
        point = point - size * step
        if float(np.abs(size * step).max()) < 1e-10:
            break
    if point[0] > LOWEST:
        return float(point[0]), float(point[1])
    mean = float(target.mean())
    return LOWEST, math.log(mean / (1 - mean))


def expected_calibration_error(
    values: Sequence[float] | Floats, labels: Sequence[float] | Floats, bins: int = BINS
) -> float:
    """Mean distance between the mean value and the mean label of a bin, weighted by its size; NaN for none."""
    found = reliability(values, labels, bins)
    total = sum(entry.count for entry in found)
    return math.fsum(entry.count * abs(entry.value - entry.share) for entry in found) / total if total else math.nan


def brier(values: Sequence[float] | Floats, labels: Sequence[float] | Floats) -> float:
    """Mean squared distance of values and labels; NaN for none."""
    scored, truth = known_pairs(values, labels)
    return float(((scored - truth) ** 2).mean()) if len(scored) else math.nan


@dataclass(frozen=True, slots=True)
class Bin:
    """Labelled values of about the same height: their mean, their mean label, and how many they are."""

    value: float
    share: float
    count: int


def reliability(values: Sequence[float] | Floats, labels: Sequence[float] | Floats, bins: int = BINS) -> list[Bin]:
    """Bins of equal count by rising value; values that agree to five places are never split, so there may be fewer.

    Raises:
        UsageError: No bins, or as `known_pairs`.
    """
    if bins < 1:
        raise UsageError(f"bins is {bins}: pass at least 1 (15 is usual)")
    scored, truth = known_pairs(values, labels)
    order = np.argsort(scored, kind="stable")
    scored, truth = scored[order], truth[order]
    places = np.round(scored, 5)
    ends = [round(len(scored) * (i + 1) / bins) for i in range(bins)]
    found, start = [], 0
    for end in ends:
        end = int(np.searchsorted(places, places[end - 1], "right")) if end else 0
        if end > start:
            found.append(Bin(float(scored[start:end].mean()), float(truth[start:end].mean()), end - start))
            start = end
    return found


def calibrate(scorer: Scorer, calibration: Calibration) -> Scorer:
    """The scorer with its values, step values and line values passed through the calibration.

    Its other members (`parameters`, `name`, `compare`, `count_tokens` …) remain. Values must lie in [0, 1].
    """
    return Calibrated(scorer, calibration)


class Calibrated:
    """See `calibrate`.

    Attributes:
        calibration: The map.
    """

    def __init__(self, scorer: Scorer, calibration: Calibration) -> None:
        self._scorer = scorer
        self.calibration = calibration

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._scorer, name)

    @property
    def identity(self) -> str:
        """What its judgements are kept by in a store."""
        return identified(self, scorer=scorer_identity(self._scorer), calibration=self.calibration)

    async def judge(self, paths: Sequence[Path]) -> list[Score]:
        """One score per path; what is unscored stays so."""
        return [self._mapped(score) for score in await self._scorer.judge(paths)]

    def _mapped(self, score: Score) -> Score:
        one = self.calibration.one
        return replace(
            score, value=one(score.value), steps=tuple(map(one, score.steps)), parts=tuple(map(one, score.parts))
        )


def save_calibration(
    file: str | FilePath, calibration: Calibration, *, scorer: str, aggregate: str | None, facts: Mapping[str, Any]
) -> None:
    """Write a calibration as JSON, with the scorer it belongs to.

    Args:
        file: Written, its directory made if missing.
        calibration: The map.
        scorer: What `load_scorer` loads the scorer by.
        aggregate: How its line values were aggregated.
        facts: What else to keep: how it was fitted, and how well it does.
    """
    place = FilePath(file)
    place.parent.mkdir(parents=True, exist_ok=True)
    content = {"scorer": scorer, "aggregate": aggregate, "calibration": asdict(calibration), **facts}
    place.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_calibration(file: str | FilePath) -> tuple[Calibration, str, str | None]:
    """A calibration, its scorer's name and the aggregation of that scorer's values.

    Raises:
        UsageError: There is no such file, or it holds no calibration.
    """
    remedy = "write one with reason calibrate --out FILE"
    try:
        content = json.loads(FilePath(file).read_text(encoding="utf-8"))
        fields = dict(content["calibration"])
        for side in ("values", "shares"):
            fields[side] = tuple(map(float, fields.get(side, ())))
        name, aggregate = content["scorer"], content.get("aggregate")
        if not isinstance(name, str) or not isinstance(aggregate, str | None):
            raise TypeError("scorer and aggregate must be strings")
        return Calibration(**fields), name, aggregate
    except OSError as error:
        raise UsageError(f"the calibration {file} cannot be read ({error.strerror}); {remedy}") from None
    except UsageError as error:
        raise UsageError(f"the calibration {file} cannot be used: {error}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{file} holds no calibration ({type(error).__name__}: {error}); {remedy}") from None


def load_calibrated(
    file: str | FilePath, *, aggregate: str | None = None, policy: Policy | None = None, **options: Any
) -> Scorer:
    """The scorer that a calibration file names, calibrated.

    A file is data: it may not name Python code (`module:function`), nor a scorer that is calibrated already.

    Args:
        file: What `reason calibrate` wrote.
        aggregate: Must be the file's, if given: values of another aggregation mean something else.
        policy, options: As in `load_scorer`.

    Raises:
        UsageError: The file cannot be read, names a scorer that it may not, or another aggregation is asked for.
    """
    from reason.scorers.load import load_scorer, not_from_files

    calibration, name, fitted = read_calibration(file)
    if refused := not_from_files(name):
        raise UsageError(
            f"the calibration {file} names the scorer {refused!r}, and a file may name neither code nor another "
            "calibration: load that scorer yourself and pass it to calibrate(scorer, read_calibration(FILE)[0])"
        )
    if aggregate not in (None, fitted, "last" if fitted is None else fitted):
        raise UsageError(
            f"{file} was fitted on values aggregated by {fitted or 'last'!r}, not by {aggregate!r}: leave aggregate "
            f"out, or run reason calibrate --aggregate {aggregate}"
        )
    return calibrate(load_scorer(name, aggregate=fitted, policy=policy, **options), calibration)
