"""Sentence templates of the atlas: one YAML file per language, checked against each other when they are loaded."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Formatter

import yaml

from xlret.data.atlas.facts import ANSWER, SUBJECT, world

LANGUAGES = ("ar", "de", "el", "en", "es", "fr", "hi", "id", "pt", "ru", "th", "tr", "vi", "zh")
"""Languages of the atlas: the eleven of XQuAD-R, and French, Indonesian and Portuguese."""


@dataclass(frozen=True)
class Phrasings:
    """Ways to ask for and to state one kind of fact; phrasing i says the same in every language."""

    questions: tuple[str, ...]
    passages: tuple[str, ...]


@dataclass(frozen=True)
class Templates:
    """All phrasings of one language, and its names of physical quantities, which CLDR lacks."""

    lang: str
    kinds: dict[str, Phrasings]
    quantities: dict[str, str]


@cache
def load_templates(lang: str) -> Templates:
    """The templates of one language.

    Raises:
        ValueError: the file lacks a kind, a phrasing or a placeholder that it must have.
    """
    text = (files("xlret.data.atlas") / "templates" / f"{lang}.yaml").read_text(encoding="utf-8")
    raw = yaml.safe_load(text)
    quantities = raw.pop("quantities", {})
    if set(raw) != set(SUBJECT) or set(quantities) != set(world()["quantities"]):
        raise ValueError(f"templates/{lang}.yaml: kinds or quantities missing or unknown")
    kinds = {kind: Phrasings(tuple(raw[kind]["questions"]), tuple(raw[kind]["passages"])) for kind in SUBJECT}
    for kind, phrasings in kinds.items():
        for question in phrasings.questions:
            if placeholders(question) != {SUBJECT[kind]}:
                raise ValueError(f"templates/{lang}.yaml: {kind}: {question!r} must name {SUBJECT[kind]} alone")
        for passage in phrasings.passages:
            if not {SUBJECT[kind], ANSWER[kind]} <= placeholders(passage):
                raise ValueError(f"templates/{lang}.yaml: {kind}: {passage!r} must name {SUBJECT[kind]} and {ANSWER[kind]}")
    return Templates(lang, kinds, quantities)


def placeholders(template: str) -> set[str]:
    """The names in braces.

    >>> sorted(placeholders("{city}: {territory} ({code})"))
    ['city', 'code', 'territory']
    """
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def fill(template: str, names: dict[str, str], lang: str) -> str:
    """The template with names filled in; one that opens the sentence gets a capital.

    >>> fill("{currency}: ¿qué es?", {"currency": "euro"}, "es"), fill("{unit}: ne?", {"unit": "inç"}, "tr")
    ('Euro: ¿qué es?', 'İnç: ne?')
    """
    text = template.format_map(names)
    if not template.startswith("{"):
        return text
    first = "İ" if lang == "tr" and text[0] == "i" else text[0].upper()
    return (first if len(first) == 1 else text[0]) + text[1:]
