"""Tatoeba as released with LASER v1 (Artetxe and Schwenk 2019): up to 1,000 sentences a language, each with its English one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xlret.data.read import read_lines
from xlret.data.rows import ReadingReport
from xlret.errors import DataError
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.sets import RetrievalSet
from xlret.text.languages import language

_CODES = """
afr amh ang ara arq arz ast awa aze bel ben ber bos bre bul cat cbk ceb ces cha cmn cor csb cym dan deu dsb dtp ell
epo est eus fao fin fra fry gla gle glg gsw heb hin hrv hsb hun hye ido ile ina ind isl ita jav jpn kab kat kaz khm
kor kur kzj lat lfn lit lvs mal mar max mhr mkd mon nds nld nno nob nov oci orv pam pes pms pol por ron rus slk slv
spa sqi srp swe swg swh tam tat tel tgl tha tuk tur tzl uig ukr urd uzb vie war wuu xho yid yue zsm
"""
_LANGUAGES = {code: language(code) for code in _CODES.split()}  # kzj is dtp today: both files are kept


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set a file pair (its sentences as queries, their English ones as the pool), for those that are there.

    LASER's accuracy of xxx -> eng is recall@1: only the sentence of the same line counts, even where others are equal to it.
    """
    codes = [code for code, lang in _LANGUAGES.items() if lang in languages]
    present = [code for code in codes if list(directory.glob(f"tatoeba.{code}-eng.eng*"))]
    if languages != TATOEBA.languages or not present:
        present = codes  # asked for by name: a missing file is an error
    for code in present:
        lang, pair = _LANGUAGES[code], f"tatoeba.{code}-eng"
        sides = []
        for side in (code, "eng"):
            path = first_existing(directory, f"{pair}.{side}", f"{pair}.{side}.gz")
            sides.append([line for _, line in read_lines(path, ReadingReport())])
        queries, passages = sides
        if len(queries) != len(passages) or not queries:
            raise DataError(f"{directory}/{pair}: {len(queries)} and {len(passages)} lines; they should be as many")
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


TATOEBA = Benchmark(
    name="tatoeba",
    title="Tatoeba (LASER v1), xxx to English",
    size="88,877 sentences, up to 1,000 a language",
    languages=tuple(sorted(set(_LANGUAGES.values()))),
    metric="recall@1",
    licence="CC BY 2.0 FR",
    source="https://github.com/facebookresearch/LASER/tree/main/data/tatoeba/v1",
    revision="v1",
    files="tatoeba.XXX-eng.XXX and tatoeba.XXX-eng.eng",
    citation="""@article{artetxe2019laser,
  title = {Massively Multilingual Sentence Embeddings for Zero-Shot Cross-Lingual Transfer and Beyond},
  author = {Artetxe, Mikel and Schwenk, Holger},
  journal = {Transactions of the Association for Computational Linguistics},
  volume = {7},
  pages = {597--610},
  year = {2019}
}""",
    read=_sets,
    task="bitext retrieval",
)
