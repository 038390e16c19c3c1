"""CIRAL (Adeyemi et al. 2024): English questions, news passages in Hausa, Somali, Swahili and Yoruba."""

from collections.abc import Iterator
from pathlib import Path

from xlret.data.rows import ReadingReport
from xlret.data.sources.judged import read_judged_files
from xlret.evaluation.benchmarks.base import Benchmark, first_existing
from xlret.evaluation.sets import RetrievalSet, from_judged
from xlret.hub import HubRepository

_NAMES = {"ha": "hausa", "so": "somali", "sw": "swahili", "yo": "yoruba"}
_SPLIT = "test-b"
"""The larger of the two test sets; both have the same form."""


def _sets(directory: Path, languages: tuple[str, ...]) -> Iterator[RetrievalSet]:
    """One set a language of passages: its English questions (test set B) over its passages, 82,000 (yo) to 949,000 (sw)."""
    for lang in languages:
        folder, name = f"ciral-{_NAMES[lang]}", f"ciral-v1.0-{lang}-{_SPLIT}.tsv"
        judged = read_judged_files(
            first_existing(directory, f"{folder}/topics/topics.{name}"),
            [first_existing(directory, *(f"passages-v1.0/{_NAMES[lang]}_passages.jsonl{end}" for end in ("", ".gz")))],
            first_existing(directory, f"{folder}/qrels/qrels.{name}"),
            lang="en",
            passage_lang=lang,
            report=ReadingReport(),
        )
        yield from_judged(f"ciral/{lang}", judged, prefix=f"{lang}/")


CIRAL = Benchmark(
    name="ciral",
    title="CIRAL, English questions (test B) to passages in African languages",
    size="1,219 questions, up to 949,000 passages a language",
    languages=tuple(_NAMES),
    metric="nDCG@20",
    measures=("nDCG@20", "R@100"),
    licence="Apache 2.0",
    source="https://huggingface.co/datasets/CIRAL/ciral and CIRAL/ciral-corpus",
    revision="fc0e263cc8e89bf89415d8e6c0bc8dfbdf3a3dc2 and cbaa143f9213f971b0692d00c8665187868842ae",
    files="ciral-NAME/{topics,qrels}/*.ciral-v1.0-LANG-test-b.tsv and passages-v1.0/NAME_passages.jsonl",
    citation="""@inproceedings{adeyemi2024ciral,
  title = {{CIRAL}: A Test Collection for {CLIR} Evaluations in {A}frican Languages},
  author = {Adeyemi, Mofetoluwa and Oladipo, Akintunde and Zhang, Xinyu and Alfonso-Hermelo, David and Rezagholizadeh, Mehdi
    and Chen, Boxing and Omotayo, Abdul-Hakeem and Abdulmumin, Idris and Etori, Naome A. and others},
  booktitle = {Proceedings of SIGIR},
  year = {2024}
}""",
    read=_sets,
    hub=(
        HubRepository(
            "CIRAL/ciral",
            "fc0e263cc8e89bf89415d8e6c0bc8dfbdf3a3dc2",
            lambda languages: [f"ciral-{_NAMES[lang]}/*/*-{_SPLIT}.tsv" for lang in languages],
        ),
        HubRepository(
            "CIRAL/ciral-corpus",
            "cbaa143f9213f971b0692d00c8665187868842ae",
            lambda languages: [f"passages-v1.0/{_NAMES[lang]}_passages.jsonl" for lang in languages],
        ),
    ),
)
