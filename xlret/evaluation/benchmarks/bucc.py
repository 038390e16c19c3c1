"""BUCC 2018 (Zweigenbaum et al. 2018): translations hidden among sentences, four languages and English."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xlret.data.read import read_columns
from xlret.data.rows import ReadingReport
from xlret.data.sources.texts import tsv_texts
from xlret.errors import DataError
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.sets import Bitext, Mining, RetrievalSet


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set a language: the sentences that have a translation over all English ones of `test`; F1 is over all pairs of it.

    The threshold of the margin comes from `dev`. Files are `LANG-en.PART.{LANG,en,gold}`, as XTREME lays them out, in the
    directory or its folder `bucc2018`.
    """
    folder = directory / "bucc2018" if (directory / "bucc2018").is_dir() else directory
    for lang in languages:
        (dev, _, _), (test, source_ids, target_ids) = (_bitext(folder, lang, part) for part in ("dev", "test"))
        sources = np.unique(test.gold_G2[:, 0])
        yield RetrievalSet(
            f"bucc/{lang}",
            tuple(sorted((lang, "en"))),
            [source_ids[row] for row in sources],
            [lang] * len(sources),
            [test.source_texts[row] for row in sources],
            target_ids,
            ["en"] * len(target_ids),
            test.target_texts,
            [np.unique(test.gold_G2[test.gold_G2[:, 0] == row, 1]) for row in sources],
            mining=Mining(dev, test),
        )


def _bitext(folder: Path, lang: str, part: str) -> tuple[Bitext, list[str], list[str]]:
    """The bitext, the ids of its sources and those of its targets."""
    stem, report = f"{lang}-en.{part}", ReadingReport()
    sides = []
    for side in (lang, "en"):
        path = first_existing(folder, f"{stem}.{side}", f"{stem}.{side}.gz")
        texts: dict[str, str] = {}
        for sentence in tsv_texts(path, report):
            if sentence.id in texts:
                raise DataError(f"{sentence.where}: sentence {sentence.id!r} is there twice")
            texts[sentence.id] = sentence.text
        sides.append(texts)
    sources, targets = sides
    source_row, target_row = ({sentence_id: row for row, sentence_id in enumerate(side)} for side in sides)
    gold: dict[tuple[int, int], None] = {}
    for where, pair in read_columns(first_existing(folder, f"{stem}.gold", f"{stem}.gold.gz"), ("source", "target"), report):
        if pair["source"] not in source_row or pair["target"] not in target_row:
            raise DataError(f"{where}: {pair['source']!r} and {pair['target']!r} are not both sentences of {stem}")
        gold[source_row[pair["source"]], target_row[pair["target"]]] = None
    if not gold:
        raise DataError(f"{folder}/{stem}.gold names no pair")
    bitext = Bitext(list(sources.values()), list(targets.values()), np.array(list(gold), np.int64))
    return bitext, list(sources), list(targets)


BUCC = Benchmark(
    name="bucc",
    title="BUCC 2018, translations mined by the margin of cosines",
    size="35,000 pairs of test to find",
    languages=("de", "fr", "ru", "zh"),
    metric="f1",
    licence="research only, as its organisers say",
    source="https://comparable.limsi.fr/bucc2018/bucc2018-task.html, cut into dev and test by XTREME's scripts",
    revision="2018",
    files="LANG-en.{dev,test}.{LANG,en,gold} (id TAB text; gold: id TAB id)",
    by_hand=(
        "fetch the archives of training and test from the task's page, cut them with XTREME's scripts and put "
        "LANG-en.{dev,test}.* into one folder; the hub has only the pairs, without the other sentences"
    ),
    citation="""@inproceedings{zweigenbaum2018bucc,
  title = {Overview of the Third {BUCC} Shared Task: Spotting Parallel Sentences in Comparable Corpora},
  author = {Zweigenbaum, Pierre and Sharoff, Serge and Rapp, Reinhard},
  booktitle = {Proceedings of the 11th Workshop on Building and Using Comparable Corpora},
  year = {2018}
}""",
    read=_sets,
    task="bitext mining",
)
