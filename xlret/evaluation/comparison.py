"""Several systems on the same queries: means with intervals, and tests of every pair, over queries and over seeds."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # type: ignore[import-untyped]  # its submodules load when they are used

from xlret.data.read import read_records
from xlret.data.rows import ReadingReport
from xlret.errors import DataError, UserError
from xlret.evaluation.significance import drawn_counts, holm, randomisation_test
from xlret.keys import generator
from xlret.shapes import FloatArray

LOWER_IS_BETTER = frozenset({"rank_distance", "max_rank", "max_rank_log", "to_pool@10", "to_relevant@10"})
_COLUMN_OF = {"mul": "average_precision"}
_WHO = ("id", "lang", "group")
_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class System:
    """One system: the values of its runs, one a seed, for the same queries."""

    name: str
    runs: Sequence[Mapping[str, Mapping[str, float]]]
    """For each seed, measure -> query id -> value; NaN where the query has none."""
    groups: Mapping[str, str]
    """Query id -> group; queries of a group ask the same in several languages."""
    langs: Mapping[str, str] = field(default_factory=dict)
    """Query id -> its language, where it is known."""
    sets: frozenset[tuple[str, str]] = frozenset()
    """Name and fingerprint of every set that a run of it was measured on, where they are known."""


@dataclass(frozen=True)
class Mean:
    """A system's mean of a measure."""

    system: str
    measure: str
    mean: float
    low: float
    high: float
    seeds: int
    spread: float
    """Standard deviation of the means of its seeds; NaN for one."""


@dataclass(frozen=True)
class PairTest:
    """System A against system B in one measure."""

    a: str
    b: str
    measure: str
    difference: float
    """Mean of A minus mean of B."""
    low: float
    high: float
    p_t: float
    """Paired t test over units, means over seeds."""
    p_permutation: float
    """Paired randomisation test over the same; see `significance.randomisation_test`."""
    p_bootstrap: float
    """From the bootstrap of the interval: over units, and over seeds where a system has several."""
    p_holm: float
    """What decides, corrected by Holm over all pairs and measures: of the bootstrap where seeds vary, else of permutations."""

    @property
    def winner(self) -> str | None:
        """The better system where the difference stands at the 5 % level; None otherwise."""
        if self.p_holm >= 0.05 or self.difference == 0:
            return None
        return self.a if (self.difference > 0) != (self.measure in LOWER_IS_BETTER) else self.b


@dataclass(frozen=True)
class Comparison:
    """Everything about some systems."""

    systems: tuple[str, ...]
    measures: tuple[str, ...]
    means: tuple[Mean, ...]
    tests: tuple[PairTest, ...]
    queries: int
    """Queries that all have, over all languages."""
    units: Mapping[str, int]
    """Measure -> groups of queries with a value everywhere, which the tests are over."""
    dropped: Mapping[str, int]
    """Measure -> queries that lack a value in some run."""
    over_seeds: bool
    """Whether some system has several seeds."""
    unequal_sets: tuple[str, ...] = ()
    """Sets whose texts or judgements are not the same in all runs."""


def read_system(name: str, directory: Path) -> System:
    """A system from the directory of an evaluation, or from a directory whose sub-directories are evaluations of its seeds.

    Raises:
        UserError: neither; seeds with other queries.
        DataError: a queries.csv that `xlret evaluate` has not written.
    """
    directory = directory.parent if directory.name == "evaluation.json" else directory
    runs = (
        [directory]
        if (directory / "queries.csv").is_file()
        else sorted(path.parent for path in directory.glob("*/queries.csv"))
    )
    if not runs:
        raise UserError(f"{directory} is no evaluation and holds none (no queries.csv); give what xlret evaluate --out wrote")
    tables = [_read(run / "queries.csv") for run in runs]
    _, groups, langs = tables[0]
    for run, (_, others, _) in zip(runs, tables, strict=True):
        if others != groups:
            raise UserError(f"{run} and {runs[0]} have different queries; the seeds of a system need the same")
    sets = frozenset(
        (each["name"], each["sha256"]) for run in runs for each in _written_sets(run / "evaluation.json") if "sha256" in each
    )
    return System(name, [values for values, _, _ in tables], groups, langs, sets)


def measures_of(directory: Path) -> tuple[str, ...]:
    """`mul` and the measures that an evaluation was asked for by name."""
    directory = directory.parent if directory.name == "evaluation.json" else directory
    files = [directory / "evaluation.json", *sorted(directory.glob("*/evaluation.json"))]
    path = next((file for file in files if file.is_file()), None)
    sets = [] if path is None else _written_sets(path)
    return ("mul", *dict.fromkeys(name for each in sets for name in each.get("measures", [])))


def compare_systems(systems: Sequence[System], measures: Sequence[str], *, seed: int = 0, samples: int = 10_000) -> Comparison:
    """Means and tests of all pairs of systems in all measures; all tests together are one family for Holm's correction.

    A question in several languages is one unit, by the mean over its languages. Intervals and bootstrap p-values come from one
    paired, hierarchical bootstrap: units are drawn with replacement, the same for all systems, and each system's seeds too
    (Davison and Hinkley 1997, 3.8), so that a difference that another seed would undo does not stand. With two or three seeds
    the drawn spread is too small: read such p-values as a lower bound.

    Raises:
        UserError: fewer than two systems, other queries, a measure that one lacks, or no query with a value.

    Cost: samples x units random numbers for each measure, and as many for each pair (see `randomisation_test`).
    """
    if len(systems) < 2 or len({system.name for system in systems}) != len(systems):
        raise UserError(f"comparing needs two systems or more, of different names; given: {', '.join(s.name for s in systems)}")
    for system in systems[1:]:
        if system.groups != systems[0].groups:
            only = sorted(system.groups.items() ^ systems[0].groups.items())[0][0]
            raise UserError(
                f"{systems[0].name} and {system.name} have other queries ({len(systems[0].groups)} and {len(system.groups)}; "
                f"such as {only!r}); evaluate all on the same set and languages"
            )
    means: list[Mean] = []
    raw: list[tuple[PairTest, float]] = []
    units, dropped = {}, {}
    over_seeds = any(len(system.runs) > 1 for system in systems)
    for measure in measures:
        values_RN, owner_R, dropped[measure] = _units(systems, measure)
        units[measure] = values_RN.shape[1]
        drawn_SB = _drawn_means(values_RN, owner_R, seed, samples)
        by_seed = [values_RN[owner_R == number] for number in range(len(systems))]
        for system, runs_MN, drawn_B in zip(systems, by_seed, drawn_SB, strict=True):
            low, high = np.percentile(drawn_B, [2.5, 97.5])
            spread = float(runs_MN.mean(axis=1).std(ddof=1)) if len(runs_MN) > 1 else float("nan")
            means.append(Mean(system.name, measure, float(runs_MN.mean()), float(low), float(high), len(runs_MN), spread))
        for first, second in combinations(range(len(systems)), 2):
            a_N, b_N = by_seed[first].mean(axis=0), by_seed[second].mean(axis=0)
            test = _pair_test(
                (systems[first].name, systems[second].name),
                measure,
                a_N,
                b_N,
                drawn_SB[first] - drawn_SB[second],
                seed,
            )
            raw.append((test, test.p_bootstrap if over_seeds else test.p_permutation))
    corrected = holm([p for _, p in raw])
    tests = [PairTest(**{**vars(test), "p_holm": p}) for (test, _), p in zip(raw, corrected, strict=True)]
    names = tuple(system.name for system in systems)
    fingerprints = Counter(name for name, _ in frozenset[tuple[str, str]]().union(*(system.sets for system in systems)))
    return Comparison(
        names,
        tuple(measures),
        tuple(means),
        tuple(tests),
        len(systems[0].groups),
        units,
        dropped,
        over_seeds,
        tuple(sorted(name for name, count in fingerprints.items() if count > 1)),
    )


def column_of(measure: str) -> str:
    """What queries.csv calls a measure."""
    return _COLUMN_OF.get(measure, measure)


def _written_sets(path: Path) -> list[dict[str, Any]]:
    """What an `evaluation.json` says of each set; none where there is no such file."""
    sets: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")).get("sets", []) if path.is_file() else []
    return sets


def _read(path: Path) -> tuple[dict[str, dict[str, float]], dict[str, str], dict[str, str]]:
    """Measure -> query -> value, query -> group, and query -> language."""
    values: dict[str, dict[str, float]] = {}
    groups: dict[str, str] = {}
    langs: dict[str, str] = {}
    for where, record in read_records(path, ReadingReport()):
        try:
            query_id = record["id"]
            groups[query_id], langs[query_id] = record["group"], record["lang"]
            for column, value in record.items():
                if column not in _WHO:
                    values.setdefault(column, {})[query_id] = float(value or "nan")
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where}: not a row of an evaluation's queries.csv: {error}") from error
    return values, groups, langs


def _units(systems: Sequence[System], measure: str) -> tuple[FloatArray, FloatArray, int]:
    """Values [runs, units] of a measure, which system each run is of, and how many queries lack a value."""
    column = column_of(measure)
    rows, owners = [], []
    ids = sorted(systems[0].groups)
    for number, system in enumerate(systems):
        for run in system.runs:
            if column not in run:
                known = ", ".join("mul" if name == "average_precision" else name for name in run)
                raise UserError(f"{system.name} has no values of {measure!r}; it has {known}")
            rows.append([run[column][query_id] for query_id in ids])
            owners.append(number)
    values_RQ = np.array(rows)
    usable_Q = ~np.isnan(values_RQ).any(axis=0)
    if not usable_Q.any():
        raise UserError(f"no query has a value of {measure!r} in every run")
    groups = np.array([systems[0].groups[query_id] for query_id in ids], dtype=np.str_)[usable_Q]
    _, unit_Q = np.unique(groups, return_inverse=True)
    sizes_N = np.bincount(unit_Q)
    values_RN = np.stack([np.bincount(unit_Q, values_Q[usable_Q]) / sizes_N for values_Q in values_RQ])
    return values_RN, np.array(owners), int(np.count_nonzero(~usable_Q))


def _drawn_means(values_RN: FloatArray, owner_R: FloatArray, seed: int, samples: int) -> FloatArray:
    """The means of all systems over drawn units and seeds, [systems, samples]; the units of a sample are the same for all."""
    n_units, rng = values_RN.shape[1], generator(seed, "comparison")
    parts = []
    size = max(1, _AT_ONCE // n_units)
    for start in range(0, samples, size):
        counts_BN = drawn_counts(rng, min(size, samples - start), n_units)
        parts.append(values_RN @ counts_BN.T / n_units)
    means_RB = np.concatenate(parts, axis=1)
    drawn = []
    for number in range(int(owner_R.max()) + 1):
        runs_MB = means_RB[owner_R == number]
        chosen_MB = rng.integers(0, len(runs_MB), runs_MB.shape)
        drawn.append(np.take_along_axis(runs_MB, chosen_MB, axis=0).mean(axis=0))
    return np.stack(drawn)


def _pair_test(
    names: tuple[str, str], measure: str, a_N: FloatArray, b_N: FloatArray, drawn_B: FloatArray, seed: int
) -> PairTest:
    low, high = np.percentile(drawn_B, [2.5, 97.5])
    one_side = min(np.count_nonzero(drawn_B <= 0), np.count_nonzero(drawn_B >= 0))
    p_bootstrap = float(min(1.0, 2 * (one_side + 1) / (len(drawn_B) + 1)))
    difference_N = a_N - b_N
    if np.ptp(difference_N) <= 1e-12:  # no variance but that of rounding: no t
        p_t = 1.0 if abs(difference_N[0]) <= 1e-12 else float("nan")
    else:
        p_t = float(scipy.stats.ttest_rel(a_N, b_N).pvalue)
    p_permutation = randomisation_test(a_N, b_N, seed=seed)
    return PairTest(
        *names, measure, float(difference_N.mean()), float(low), float(high), p_t, p_permutation, p_bootstrap, float("nan")
    )
