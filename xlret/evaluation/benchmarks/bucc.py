"""BUCC 2018 (Zweigenbaum et al. 2018): translations hidden among sentences, four languages and English."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xlret.data.read import read_columns, read_records
from xlret.data.rows import ReadingReport
from xlret.data.sources.texts import tsv_texts
from xlret.errors import DataError
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.sets import Bitext, Mining, RetrievalSet
from xlret.hub import HubRepository

_PARTS = {"dev": ("dev", "sample"), "test": ("test", "training")}
"""XTREME's parts and what BUCC itself calls them in the archives of its `sample-gold` and `training-gold`."""
_DEV_SHARE = 10
"""Of the hub's copy, one sentence of so many is dev."""


class _Sentences(NamedTuple):
    """The two sides of a part with the ids of their sentences, and the gold pairs by id."""

    sources: dict[str, str]
    targets: dict[str, str]
    gold: list[tuple[str, str]]

    def bitext(self) -> Bitext:
        rows = [{sentence_id: row for row, sentence_id in enumerate(side)} for side in (self.sources, self.targets)]
        gold = list(dict.fromkeys((rows[0][source], rows[1][target]) for source, target in self.gold))
        return Bitext(list(self.sources.values()), list(self.targets.values()), np.array(gold, np.int64))


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set a language: the sentences that have a translation over all English ones of `test`; F1 is over all pairs of it.

    The threshold of the margin comes from `dev`. Files are `LANG-en.PART.{LANG,en,gold}` in the directory or its folder
    `bucc2018`, where a part is called as XTREME does or as BUCC's own archives do: its `sample` is dev and its `training` is
    test, since the pairs of BUCC's own test set are not published.

    The hub's copy has the training part alone. Its dev is a cut of it, by the SHA-256 of the source sentences (a target goes
    with its pair), so that a reader elsewhere finds the same; test is what is left, about nine tenths.
    """
    folder = directory / "bucc2018" if (directory / "bucc2018").is_dir() else directory
    for lang in languages:
        copies = sorted((directory / f"{lang}-en").glob("*.parquet"))
        caution, left_out = None, {}
        if copies:
            dev, test, apart = _cut(_copy(copies[0]))
            caution = "dev and test are a cut of BUCC's training part: not the numbers that others report"
            left_out = {"pairs whose sentences are in dev and test": apart} if apart else {}
        else:
            dev, test = (_part(folder, lang, part) for part in _PARTS)
        mining = Mining(dev.bitext(), test.bitext())
        answers: dict[int, list[int]] = {}
        for source, target in mining.test.gold_G2.tolist():
            answers.setdefault(source, []).append(target)
        source_ids, sources = list(test.sources), sorted(answers)
        yield RetrievalSet(
            f"bucc/{lang}",
            tuple(sorted((lang, "en"))),
            [source_ids[row] for row in sources],
            [lang] * len(sources),
            [mining.test.source_texts[row] for row in sources],
            list(test.targets),
            ["en"] * len(test.targets),
            mining.test.target_texts,
            [np.unique(answers[row]).astype(np.int64) for row in sources],
            left_out=left_out,
            caution=caution,
            mining=mining,
        )


def _part(folder: Path, lang: str, part: str) -> _Sentences:
    stems = [start + f"{lang}-en.{name}" for name in _PARTS[part] for start in ("", f"{lang}-en/")]
    report = ReadingReport()

    def path(side: str) -> Path:
        return first_existing(folder, *(f"{stem}.{side}{end}" for stem in stems for end in ("", ".gz")))

    sides = []
    for side in (lang, "en"):
        texts: dict[str, str] = {}
        for sentence in tsv_texts(path(side), report):
            if sentence.id in texts:
                raise DataError(f"{sentence.where}: sentence {sentence.id!r} is there twice")
            texts[sentence.id] = sentence.text
        sides.append(texts)
    sources, targets = sides
    gold = []
    for where, pair in read_columns(path("gold"), ("source", "target"), report):
        if pair["source"] not in sources or pair["target"] not in targets:
            raise DataError(f"{where}: {pair['source']!r} and {pair['target']!r} are not both sentences of {lang}-en.{part}")
        gold.append((pair["source"], pair["target"]))
    if not gold:
        raise DataError(f"{path('gold')} names no pair")
    return _Sentences(sources, targets, gold)


def _copy(path: Path) -> _Sentences:
    """MTEB's copy: one record with the list of sentences of each side, and pairs of their numbers from 1."""
    where, record = next(iter(read_records(path, ReadingReport())))
    try:
        sources, targets = ({str(number): text for number, text in enumerate(record[f"sentence{side}"], 1)} for side in (1, 2))
        gold = [(str(source), str(target)) for source, target in record["gold"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: no sentence1, sentence2 and gold ({error}); found: {', '.join(record)}") from error
    unknown = next((pair for pair in gold if pair[0] not in sources or pair[1] not in targets), None)
    if unknown is not None or not gold:
        raise DataError(f"{where}: {f'pair {unknown} names no sentence' if unknown else 'gold is empty'}")
    return _Sentences(sources, targets, gold)


def _cut(whole: _Sentences) -> tuple[_Sentences, _Sentences, int]:
    """Dev, test, and how many pairs are in neither since one of their sentences went to each."""

    def is_dev(text: str) -> bool:
        return int(hashlib.sha256(text.encode()).hexdigest(), 16) % _DEV_SHARE == 0

    dev_source = {sentence_id: is_dev(text) for sentence_id, text in whole.sources.items()}
    dev_target: dict[str, bool] = {}
    for source, target in whole.gold:
        dev_target.setdefault(target, dev_source[source])
    dev_target = {sentence_id: dev_target.get(sentence_id, is_dev(text)) for sentence_id, text in whole.targets.items()}

    def part(dev: bool) -> _Sentences:
        return _Sentences(
            {sentence_id: text for sentence_id, text in whole.sources.items() if dev_source[sentence_id] == dev},
            {sentence_id: text for sentence_id, text in whole.targets.items() if dev_target[sentence_id] == dev},
            [(source, target) for source, target in whole.gold if dev_source[source] == dev_target[target] == dev],
        )

    dev, test = part(True), part(False)
    if not dev.gold or not test.gold:
        raise DataError(f"{len(whole.gold)} pairs are too few to cut dev and test from")
    return dev, test, len(whole.gold) - len(dev.gold) - len(test.gold)


BUCC = Benchmark(
    name="bucc",
    title="BUCC 2018, translations mined by the margin of cosines",
    size="35,000 pairs of test to find",
    languages=("de", "fr", "ru", "zh"),
    metric="f1",
    licence="research only, as its organisers say",
    source="https://comparable.limsi.fr/bucc2018/bucc2018-task.html (LANG-en.sample-gold and LANG-en.training-gold)",
    revision="2018; its copy mteb/BUCC at 414572247440f0ccacf7eb0bb70a31533a0e5443",
    files="LANG-en.{sample,training}.{LANG,en,gold} (id TAB text; gold: id TAB id), or LANG-en/*.parquet",
    citation="""@inproceedings{zweigenbaum2018bucc,
  title = {Overview of the Third {BUCC} Shared Task: Spotting Parallel Sentences in Comparable Corpora},
  author = {Zweigenbaum, Pierre and Sharoff, Serge and Rapp, Reinhard},
  booktitle = {Proceedings of the 11th Workshop on Building and Using Comparable Corpora},
  year = {2018}
}""",
    read=_sets,
    hub=(
        HubRepository(
            "mteb/BUCC",
            "414572247440f0ccacf7eb0bb70a31533a0e5443",
            lambda languages: [f"{lang}-en/*.parquet" for lang in languages],
        ),
    ),
    task="bitext mining",
)
