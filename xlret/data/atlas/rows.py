"""From facts to rows: which facts are held out, which phrasings meet, and what each language says."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from xlret.data.atlas.facts import ANSWER, SUBJECT, Fact, all_facts
from xlret.data.atlas.names import Names, unambiguous
from xlret.data.atlas.phrasings import LANGUAGES, fill, load_templates
from xlret.data.corpus import Row
from xlret.keys import key_of

Split = Literal["train", "dev", "test"]

HELD_OUT = "pt"
"""Only in the test rows: a language that training never sees, near to Spanish and French, which it does see.

Portuguese needs no letter that they and Vietnamese lack, so that a tokenizer trained without it can still spell it; whether
its questions are understood is for the encoder alone.
"""

_TEST, _DEV = 0.12, 0.05
_MIN_LANGUAGES = 10  # facts that fewer languages can name are left out
_PAIRINGS = {"script": 1, "homeland": 1}  # kinds with many facts; the others have two


def atlas_rows(split: Split, *, seed: int = 0) -> Iterator[Row]:
    """The rows of one split.

    A group is one fact in one pairing of a question phrasing with a passage phrasing; its cluster is the fact. A fact is
    in one split only, in all its phrasings and languages; what else is said of its subject may be in another, and so may
    a kindred fact (that Hungarian is at home in Hungary is not that most people of Hungary speak it).

    Args:
        split: `train` and `dev` lack the language `HELD_OUT`; `test` has all languages.
        seed: decides which facts are held out and which phrasings meet.
    """
    for fact in split_facts(seed)[split]:
        for question, passage in _pairings(fact, seed):
            for lang in LANGUAGES:
                row = _row(fact, lang, question, passage)
                if row is not None and (split == "test" or lang != HELD_OUT):
                    yield row


def split_facts(seed: int) -> dict[Split, list[Fact]]:
    """The facts of each split: of every kind 12 % in test and 5 % in dev, chosen by a hash of seed, kind and subject."""
    splits: dict[Split, list[Fact]] = {"train": [], "dev": [], "test": []}
    for kind in SUBJECT:
        facts = [fact for fact in _usable_facts() if fact.kind == kind]
        facts.sort(key=lambda fact: key_of("atlas", "split", seed, fact.kind, fact.subject))
        n_test, n_dev = round(_TEST * len(facts)), round(_DEV * len(facts))
        splits["test"] += facts[:n_test]
        splits["dev"] += facts[n_test : n_test + n_dev]
        splits["train"] += facts[n_test + n_dev :]
    return splits


@lru_cache(maxsize=1)
def _usable_facts() -> tuple[Fact, ...]:
    """The facts that enough languages can put into words."""
    return tuple(fact for fact in all_facts() if sum(_named(fact, lang) is not None for lang in LANGUAGES) >= _MIN_LANGUAGES)


@lru_cache(maxsize=len(LANGUAGES))
def names_of(lang: str) -> Names:
    """The names of one language of the atlas."""
    return Names(lang, load_templates(lang).quantities)


@lru_cache(maxsize=len(LANGUAGES))
def _clear_subjects(lang: str) -> frozenset[tuple[str, str]]:
    """(kind, subject) of the facts whose question has one right answer in this language: no other subject is called so."""
    clear: set[tuple[str, str]] = set()
    for kind, placeholder in SUBJECT.items():
        subject_of = {fact.terms[placeholder]: fact.subject for fact in all_facts() if fact.kind == kind}
        clear.update((kind, subject_of[term]) for term in unambiguous(subject_of, names_of(lang)))
    return frozenset(clear)


def _named(fact: Fact, lang: str) -> dict[str, str] | None:
    """Placeholder -> name; None where a name is missing or shared, or where the question would contain its answer."""
    if (fact.kind, fact.subject) not in _clear_subjects(lang):
        return None
    names: dict[str, str] = {}
    for placeholder, term in fact.terms.items():
        name = names_of(lang).name(term)
        if name is None:
            return None
        names[placeholder] = name
    return names if names[ANSWER[fact.kind]].casefold() != names[SUBJECT[fact.kind]].casefold() else None


def _pairings(fact: Fact, seed: int) -> list[tuple[int, int]]:
    """Which question phrasings meet which passage phrasings, equal in all languages."""
    phrasings = load_templates("en").kinds[fact.kind]
    start = key_of("atlas", "pairing", seed, fact.kind, fact.subject)
    n_questions, n_passages = len(phrasings.questions), len(phrasings.passages)
    first_question, first_passage = start % n_questions, start // n_questions % n_passages
    return [((first_question + i) % n_questions, (first_passage + i) % n_passages) for i in range(_PAIRINGS.get(fact.kind, 2))]


def _row(fact: Fact, lang: str, question: int, passage: int) -> Row | None:
    names = _named(fact, lang)
    if names is None:
        return None
    phrasings = load_templates(lang).kinds[fact.kind]
    fact_id = f"{fact.kind}/{fact.subject}"
    return Row(
        group_id=f"{fact_id}/q{question}p{passage}",
        lang=lang,
        query=fill(phrasings.questions[question], names, lang),
        title=None,
        text=fill(phrasings.passages[passage], names, lang),
        cluster=fact_id,
    )
