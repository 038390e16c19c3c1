"""mMARCO (Bonifacio et al. 2021): MS MARCO's dev questions and passages in 14 languages, under common ids."""

from collections.abc import Iterator
from pathlib import Path

from xlret.data.rows import ReadingReport
from xlret.data.sources.mmarco import LANGUAGES
from xlret.data.sources.qrels import read_qrels
from xlret.data.sources.texts import Text, tsv_texts
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.benchmarks.parallel import KeyedText, ParallelTexts
from xlret.evaluation.sets import RetrievalSet
from xlret.hub import PINNED, HubRepository


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set: the dev questions of all languages over the passages of all languages, the answer in each relevant.

    Mo is the monolingual task, Cr the cross-lingual and Mul the multilingual one. A language has 8.8 million passages, whose
    ids are held in memory and whose texts lie on disk. `directory` is the repository, or its folder `data`.
    """
    data = data_folder(directory)
    texts = ParallelTexts()
    add_queries(texts, data, languages)
    collection = (KeyedText(passage.id, lang, passage.text) for lang in languages for passage in passages_of(data, lang))
    yield texts.retrieval_set("mmarco", collection)


def data_folder(directory: Path) -> Path:
    """The folder `data` of the repository, or the directory itself."""
    return directory / "data" if (directory / "data").is_dir() else directory


def add_queries(texts: ParallelTexts, data: Path, languages: tuple[str, ...]) -> None:
    """Adds the judged dev questions of some languages; those that nobody judged are counted."""
    report = ReadingReport()
    qrels = read_qrels(first_existing(data, "qrels.dev.small.tsv", "qrels.dev.tsv"), report)
    relevant = {query: tuple(passage for passage, grade in row.items() if grade >= 1) for query, row in qrels.items()}
    for lang in languages:
        name = LANGUAGES[lang]
        queries = first_existing(
            data, f"google/queries/dev/{name}_queries.dev.small.tsv", f"google/queries/dev/{name}_queries.dev.tsv"
        )
        for query in tsv_texts(queries, report):
            if query.id in relevant:
                texts.add_query(query.id, lang, query.text, relevant[query.id])
            else:
                texts.leave_out("queries without a judgement")


def passages_of(data: Path, lang: str) -> Iterator[Text]:
    """All passages of one language."""
    return tsv_texts(first_existing(data, f"google/collections/{LANGUAGES[lang]}_collection.tsv"), ReadingReport())


def files_of(languages: tuple[str, ...]) -> list[str]:
    """The repository's files for some languages."""
    names = [LANGUAGES[lang] for lang in languages]
    return [
        "data/qrels.dev.small.tsv",
        *(f"data/google/queries/dev/{name}_queries.dev*.tsv" for name in names),
        *(f"data/google/collections/{name}_collection.tsv" for name in names),
    ]


MMARCO = Benchmark(
    name="mmarco",
    title="mMARCO, dev questions",
    size="6,980 questions, 8,841,823 passages a language",
    languages=tuple(sorted(LANGUAGES)),
    metric="mrr@10",
    licence="Apache 2.0; MS MARCO: non-commercial research",
    source="https://huggingface.co/datasets/unicamp-dl/mmarco",
    revision=PINNED["unicamp-dl/mmarco"],
    files="data/qrels.dev.small.tsv, data/google/{queries/dev,collections}/NAME_*.tsv",
    citation="""@article{bonifacio2021mmarco,
  title = {{mMARCO}: A Multilingual Version of the {MS} {MARCO} Passage Ranking Dataset},
  author = {Bonifacio, Luiz and Jeronymo, Vitor and Queiroz Abonizio, Hugo and Campiotti, Israel and Fadaee, Marzieh
    and Lotufo, Roberto and Nogueira, Rodrigo},
  journal = {arXiv:2108.13897},
  year = {2021}
}""",
    read=_sets,
    hub=(HubRepository("unicamp-dl/mmarco", PINNED["unicamp-dl/mmarco"], files_of),),
)
