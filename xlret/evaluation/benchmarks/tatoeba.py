"""Tatoeba as released with LASER v1 (Artetxe and Schwenk 2019): up to 1,000 sentences a language, each with its English one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xlret.data.read import read_lines, read_records
from xlret.data.rows import ReadingReport
from xlret.errors import DataError
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.sets import RetrievalSet
from xlret.hub import HubRepository
from xlret.text.languages import language

_CODES = """
afr amh ang ara arq arz ast awa aze bel ben ber bos bre bul cat cbk ceb ces cha cmn cor csb cym dan deu dsb dtp ell
epo est eus fao fin fra fry gla gle glg gsw heb hin hrv hsb hun hye ido ile ina ind isl ita jav jpn kab kat kaz khm
kor kur kzj lat lfn lit lvs mal mar max mhr mkd mon nds nld nno nob nov oci orv pam pes pms pol por ron rus slk slv
spa sqi srp swe swg swh tam tat tel tgl tha tuk tur tzl uig ukr urd uzb vie war wuu xho yid yue zsm
"""
_LANGUAGES = {code: language(code) for code in _CODES.split()}  # kzj is dtp today: both files are kept


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set a file pair, or a file of MTEB's copy (sentences as queries, their English ones as the pool), of those there.

    LASER's accuracy of xxx -> eng is recall@1: only the sentence of the same line counts, even where others are equal to it.
    """
    codes = [code for code, lang in _LANGUAGES.items() if lang in languages]
    names = {code: (f"tatoeba.{code}-eng.eng", f"tatoeba.{code}-eng.eng.gz", _copy(code)) for code in codes}
    present = [code for code in codes if any((directory / name).is_file() for name in names[code])]
    if languages != TATOEBA.languages or not present:
        present = codes  # asked for by name: a missing file is an error
    for code in present:
        lang, (queries, passages) = _LANGUAGES[code], _sentences(directory, code)
        if len(queries) != len(passages) or not queries:
            raise DataError(f"{directory}, {code}: {len(queries)} and {len(passages)} lines; they should be as many")
        numbers = [str(number) for number in range(1, len(queries) + 1)]
        yield RetrievalSet(
            f"tatoeba/{code}",
            tuple(sorted((lang, "en"))),
            [f"{lang}/{number}" for number in numbers],
            [lang] * len(queries),
            queries,
            [f"en/{number}" for number in numbers],
            ["en"] * len(queries),
            passages,
            [np.array([row], dtype=np.int64) for row in range(len(queries))],
        )


def _sentences(directory: Path, code: str) -> tuple[list[str], list[str]]:
    """The sentences of a language and their English ones."""
    if (directory / _copy(code)).is_file():
        pairs = []
        for where, record in read_records(directory / _copy(code), ReadingReport()):
            if not isinstance(record.get("sentence1"), str) or not isinstance(record.get("sentence2"), str):
                raise DataError(f"{where}: no sentence1 and sentence2; found: {', '.join(record)}")
            pairs.append((record["sentence1"], record["sentence2"]))
        return [source for source, _ in pairs], [english for _, english in pairs]
    stems = (f"tatoeba.{code}-eng.{side}" for side in (code, "eng"))
    paths = [first_existing(directory, stem, f"{stem}.gz") for stem in stems]
    sources, english = ([line for _, line in read_lines(path, ReadingReport())] for path in paths)
    return sources, english


def _copy(code: str) -> str:
    """The name of the file in MTEB's data set on the hub."""
    return f"{code}-eng/test.jsonl.gz"


TATOEBA = Benchmark(
    name="tatoeba",
    title="Tatoeba (LASER v1), xxx to English",
    size="88,877 sentences, up to 1,000 a language",
    languages=tuple(sorted(set(_LANGUAGES.values()))),
    metric="recall@1",
    licence="CC BY 2.0 FR",
    source="https://github.com/facebookresearch/LASER/tree/main/data/tatoeba/v1",
    revision="v1; its copy mteb/tatoeba-bitext-mining at ed9e4a974f867fd9736efcf222fc3a26487387a5",
    files="tatoeba.XXX-eng.XXX and tatoeba.XXX-eng.eng, or XXX-eng/test.jsonl.gz",
    citation="""@article{artetxe2019laser,
  title = {Massively Multilingual Sentence Embeddings for Zero-Shot Cross-Lingual Transfer and Beyond},
  author = {Artetxe, Mikel and Schwenk, Holger},
  journal = {Transactions of the Association for Computational Linguistics},
  volume = {7},
  pages = {597--610},
  year = {2019}
}""",
    read=_sets,
    hub=(
        HubRepository(
            "mteb/tatoeba-bitext-mining",
            "ed9e4a974f867fd9736efcf222fc3a26487387a5",
            lambda languages: [_copy(code) for code, lang in _LANGUAGES.items() if lang in languages],
        ),
    ),
    task="bitext retrieval",
)
