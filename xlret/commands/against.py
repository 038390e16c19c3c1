"""What of benchmarks is in prepared corpora: `xlret prepare --against` and `xlret corpus --against`."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from xlret.data.corpus import ParallelCorpus
from xlret.data.prepare import AgainstSettings
from xlret.errors import UserError
from xlret.evaluation.benchmarks import benchmark
from xlret.evaluation.sets import RetrievalSet
from xlret.files import expand_path, shared_directory
from xlret.shapes import IntArray
from xlret.text.overlap import RUN, SHARE, Overlap, OverlapIndex
from xlret.text.sides import SIDES, Side

Against = Annotated[
    tuple[str, ...], Parameter(converter=lambda _, tokens: tuple(n for t in tokens for n in t.value.split(",")))
]
"""Names of benchmarks, `xquad-r tatoeba` or `xquad-r,tatoeba`, each with `=DIRECTORY` where its files are elsewhere."""
_SHOWN = 10
"""How many of the texts that were found are printed."""


def against_settings(names: Sequence[str], *, hub: bool) -> dict[str, AgainstSettings]:
    """What the command line says, as a recipe does; with `hub` what is not on this machine comes from there.

    >>> against_settings(["xquad-r=/data/xquad"], hub=False)["xquad-r"].data.name
    'xquad'
    """
    settings = {}
    for named in names:
        name, _, directory = named.partition("=")
        if directory:
            settings[name] = AgainstSettings(data=expand_path(Path(directory)))
        else:
            settings[name] = AgainstSettings(hub=hub and not (shared_directory() / "data" / name).is_dir())
    return settings


def check_benchmarks(against: Mapping[str, AgainstSettings]) -> None:
    """Whether the benchmarks can be read, before anything that takes long.

    Raises:
        UserError: an unknown name; files that are not there.
    """
    for name, settings in against.items():
        about = benchmark(name)
        if settings.hub and not about.hub:
            raise UserError(f"{name} is not on the hub in this form; {about.how_to_fetch}, give {name}=DIRECTORY")
        if not settings.hub and not _directory(name, settings).is_dir():
            fetched = ", or fetch it with --hub" if about.hub else ""
            raise UserError(
                f"no such directory: {_directory(name, settings)}; give {name}=DIRECTORY with {about.files} from "
                f"{about.source}{fetched}"
            )


def tell_benchmark_texts(corpora: Sequence[Path], against: Mapping[str, AgainstSettings], console: Console) -> int:
    """Looks for the texts of benchmarks in prepared corpora and prints what there is of them.

    Args:
        corpora: directories of corpora that are trained on.
        against: name of a benchmark -> where it is.
        console: where to print.

    Returns:
        How many texts of benchmarks stand in the corpora.

    Raises:
        UserError: a benchmark or a corpus cannot be read.
    """
    check_benchmarks(against)
    owners, texts = _benchmark_texts(against)
    index = OverlapIndex(texts)
    origins = _look_through(index, corpora)
    overlaps = index.overlaps()
    table = Table("benchmark", "language", title="benchmarks' texts in these corpora", title_justify="left", title_style="bold")
    for column in ("texts", "in the corpora"):
        table.add_column(column, justify="right")
    known, met = Counter(owners), Counter(owners[overlap.text] for overlap in overlaps)
    for name in against:
        languages = sorted(lang for owner, lang in known if owner == name)
        counts = [sum(count for (owner, _), count in counter.items() if owner == name) for counter in (known, met)]
        table.add_row(name, f"all {len(languages)}", *(f"{count:,}" for count in counts))
        for lang in languages:
            if met[name, lang]:
                table.add_row("", lang, f"{known[name, lang]:,}", f"{met[name, lang]:,}")
    console.print(table)
    console.print(
        f"{index.looked_through:,} texts looked through; a text counts where {SHARE:.0%} of its runs of {RUN} words stand in "
        "them, a shorter one where it is one of them",
        markup=False,
    )
    for overlap in sorted(overlaps, key=lambda overlap: -overlap.share)[:_SHOWN]:
        console.print(_sentence(overlap, owners, texts, origins), markup=False)
    if len(overlaps) > _SHOWN:
        console.print(f"and {len(overlaps) - _SHOWN:,} more")
    return len(overlaps)


@dataclass(frozen=True)
class _Origin:
    """Where some of the texts that were looked through are from."""

    start: int
    """How many came before."""
    corpus: ParallelCorpus
    side: Side
    lang: str
    groups: IntArray


def _benchmark_texts(against: Mapping[str, AgainstSettings]) -> tuple[list[tuple[str, str]], list[str]]:
    """Every text once, and its (benchmark, language)."""
    texts: dict[tuple[str, str, str], None] = {}
    for name, settings in against.items():
        for retrieval_set in _sets(name, settings):
            for langs, side in (
                (retrieval_set.query_langs, retrieval_set.query_texts),
                (retrieval_set.passage_langs, retrieval_set.passage_texts),
            ):
                texts |= dict.fromkeys((name, lang, text) for lang, text in zip(langs, side, strict=True))
    return [(name, lang) for name, lang, _ in texts], [text for _, _, text in texts]


def _sets(name: str, settings: AgainstSettings) -> Iterator[RetrievalSet]:
    if settings.hub:
        return benchmark(name).load_from_hub(settings.languages)
    return benchmark(name).load(_directory(name, settings), settings.languages)


def _directory(name: str, settings: AgainstSettings) -> Path:
    return settings.data or shared_directory() / "data" / name


def _look_through(index: OverlapIndex, corpora: Sequence[Path]) -> list[_Origin]:
    origins = []
    for path in corpora:
        corpus = ParallelCorpus.open(path)
        for lang in corpus.languages:
            for side in SIDES:
                pool = corpus.side(side, lang)
                groups = pool.take(np.arange(len(pool)))
                origins.append(_Origin(index.looked_through, corpus, side, lang, groups))
                for start in range(0, len(groups), 10_000):
                    index.look_through(_texts(origins[-1], groups[start : start + 10_000]))
    return origins


def _texts(origin: _Origin, groups: IntArray) -> list[str]:
    fetch = origin.corpus.queries if origin.side == "query" else origin.corpus.passages
    return fetch(origin.lang, groups)


def _sentence(overlap: Overlap, owners: Sequence[tuple[str, str]], texts: Sequence[str], origins: Sequence[_Origin]) -> str:
    origin = origins[bisect_right(origins, overlap.other, key=lambda origin: origin.start) - 1]
    group = origin.groups[overlap.other - origin.start : overlap.other - origin.start + 1]
    (group_id,), (text,) = origin.corpus.group_ids(group), _texts(origin, group)
    name, lang = owners[overlap.text]
    return (
        f"{name} {lang} {texts[overlap.text]!r:.100} ({overlap.share:.0%}): {origin.corpus.path}, group {group_id}, "
        f"{origin.side} in {origin.lang}: {text!r:.100}"
    )
