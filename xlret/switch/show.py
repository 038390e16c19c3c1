"""Switched texts for people: in colours on a terminal, or as a page of HTML."""

import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.text import Text

from xlret.switch.switched import Switched

_COLOURS = ("#1b7f3b", "#b3261e", "#1d4ed8", "#9333ea", "#b45309", "#0e7490", "#be185d", "#4d7c0f")
"""Dark enough to be read on white; languages take them in alphabetical order, again from the first after the last."""


class Sample(NamedTuple):
    """One text of a sample page: which row and side it is, its language, and what became of it."""

    row: str
    lang: str
    switched: Switched


def colours(languages: Iterable[str]) -> dict[str, str]:
    """A colour per language."""
    return {lang: _COLOURS[number % len(_COLOURS)] for number, lang in enumerate(sorted(set(languages)))}


def as_terminal_text(found: Switched, colour_of: dict[str, str]) -> Text:
    """The text with every switched word in the colour of its language."""
    shown, done = Text(), 0
    for span in found.spans:
        shown.append(found.text[done : span.start])
        shown.append(found.text[span.start : span.stop], style=f"bold {colour_of[span.lang]}")
        done = span.stop
    shown.append(found.text[done:])
    return shown


def terminal_legend(found: Sequence[Switched], colour_of: dict[str, str]) -> Text:
    """The languages in their colours with how many words went to each, and the share of switched words."""
    counts = _counts(found)
    shown = Text()
    for lang in sorted(counts):
        shown.append(lang, style=f"bold {colour_of[lang]}")
        shown.append(f" {counts[lang]}  ")
    words, switched = sum(one.words for one in found), sum(one.switched for one in found)
    return shown.append(f"switched {switched} of {words} words" + (f" ({switched / words:.0%})" if words else ""))


def as_html(found: Switched, lang: str, colour_of: dict[str, str]) -> str:
    """The text as one paragraph; switched words are marked with their language, and show the original when pointed at."""
    parts, done = [], 0
    for span in found.spans:
        parts.append(_escaped(found.text[done : span.start]))
        words, original = _escaped(found.text[span.start : span.stop]), _escaped(span.original)
        parts.append(f'<b lang="{span.lang}" style="color:{colour_of[span.lang]}" title="{span.lang}: {original}">{words}</b>')
        done = span.stop
    parts.append(_escaped(found.text[done:]))
    return f'<p lang="{_escaped(lang)}" dir="auto">{"".join(parts)}</p>'


def sample_table(samples: Sequence[Sample]) -> str:
    """A piece of HTML for a run's report: a legend with counts, and a table of texts."""
    found = [sample.switched for sample in samples]
    counts = _counts(found)
    colour_of = colours(counts)
    legend = " &nbsp; ".join(f'<b style="color:{colour_of[lang]}">{lang}</b> {counts[lang]:,}' for lang in sorted(counts))
    words, switched = sum(one.words for one in found), sum(one.switched for one in found)
    share = f"{switched:,} of {words:,} words switched" + (f" ({switched / words:.1%})" if words else "")
    rows = "\n".join(
        f"<tr><td>{_escaped(sample.row)}</td><td>{_escaped(sample.lang)}</td>"
        f"<td>{as_html(sample.switched, sample.lang, colour_of)}</td><td>{sample.switched.ratio:.0%}</td></tr>"
        for sample in samples
    )
    return (
        f"<p>{legend or 'nothing was switched'} &nbsp; {share}</p>\n"
        f"<table><thead><tr><th>row</th><th>language</th><th>text</th><th>switched</th></tr></thead>\n<tbody>\n{rows}\n</tbody></table>"
    )


def sample_page(samples: Sequence[Sample], title: str) -> str:
    """`sample_table` as a page of its own, without any other file."""
    return page_of(title, sample_table(samples))


def page_of(title: str, body: str) -> str:
    """A page of HTML with a heading, that needs no other file; the title is escaped here, the body is HTML."""
    style = (
        "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}"
        "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.3rem .6rem;text-align:start;"
        "vertical-align:top}td p{margin:0}pre{background:#f4f4f4;padding:1rem;overflow-x:auto}"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_escaped(title)}</title>'
        f"<style>{style}</style></head>\n<body><h1>{_escaped(title)}</h1>\n{body}\n</body></html>\n"
    )


def _counts(found: Iterable[Switched]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in found:
        for span in one.spans:
            counts[span.lang] = counts.get(span.lang, 0) + span.words
    return counts


def _escaped(text: str) -> str:
    """Safe in HTML and in UTF-8: a lone surrogate becomes U+FFFD."""
    return html.escape(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
