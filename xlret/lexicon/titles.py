"""A lexicon of parallel page titles from Wikipedia's SQL dumps or pair files, for the Wiki-CS policy."""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from xlret.errors import UserError
from xlret.lexicon.files import Entry, languages_of, pair_files, read_pairs
from xlret.lexicon.lexicon import Lexicon
from xlret.lexicon.sql_dump import read_rows
from xlret.text.case import fold
from xlret.text.languages import language

_NAMESPACE = re.compile(r"^[^\W\d_]+:(?=\S)")
_REMARK = re.compile(r"[(（][^()（）]*[)）]")
_JOINED_AT_ONCE = 100_000


def clean_title(title: str, lang: str) -> str:
    """A page's title as the paper cleans it: lower case (of its language), without what stands in brackets and without
    namespace.

    A namespace is a word with a colon and no space behind it; `Star Trek: Picard` has none.

    >>> clean_title("Mercury_(planet)", "en"), clean_title("Category:Rivers", "en"), clean_title("Star Trek: Picard", "en")
    ('mercury', 'rivers', 'star trek: picard')
    >>> clean_title("İstanbul", "tr"), clean_title("Irak", "tr")
    ('istanbul', 'ırak')
    """
    title = _NAMESPACE.sub("", title.replace("_", " ").strip())
    return fold(_REMARK.sub(" ", title), lang)


def titles_from_pairs(paths: Sequence[Path]) -> Lexicon:
    """A lexicon from files `xx-yy.tsv` of parallel titles (title TAB title), or directories of them.

    Raises:
        UserError, DataError: as `Lexicon.load`.
    """
    files = [file for path in paths for file in (pair_files(path) if path.is_dir() else [path])]
    entries: dict[tuple[str, str], list[Entry]] = {}
    for file in files:
        pair = languages_of(file)
        entries.setdefault(pair, []).extend(_cleaned(read_pairs(file), *pair))
    return Lexicon.from_entries(entries)


def titles_from_dumps(page: Path, langlinks: Path, source: str, languages: Iterable[str]) -> Lexicon:
    """A lexicon from two dumps of one Wikipedia: articles (`page`) and their links to other languages (`langlinks`).

    Redirects and other namespaces are left out, and so are titles cut within a character. Holds the articles' titles
    (about 30 bytes each) and the pairs found.

    Args:
        page: `XXwiki-DATE-page.sql.gz`.
        langlinks: `XXwiki-DATE-langlinks.sql.gz` of the same date.
        source: that Wikipedia's language.
        languages: which target languages, BCP-47.

    Raises:
        UserError: a file that cannot be read or holds another table, or nothing found.
        DataError: a row that cannot be read.
    """
    source = language(source)
    articles = _Articles(page)
    wanted = {language(lang) for lang in languages}
    pairs: dict[str, list[Entry]] = {}
    for ids, langs, titles in _links(langlinks, wanted):
        for title, lang, translation in zip(articles.titles(ids), langs, titles, strict=True):
            if title is not None:
                pairs.setdefault(lang, []).extend(_cleaned([Entry(title, translation, 1.0)], source, lang))
    if not pairs:
        raise UserError(
            f"{langlinks} links no article of {page} to {', '.join(sorted(wanted))}; check that both are of one wiki"
        )
    return Lexicon.from_entries({(source, lang): entries for lang, entries in sorted(pairs.items())})


class _Articles:
    """Titles of articles by page id: sorted ids and one array of texts."""

    def __init__(self, page: Path) -> None:
        ids, texts = array("q"), []
        columns = ("page_id", "page_namespace", "page_is_redirect", "page_title")
        chunks = []
        for number, namespace, redirect, title in read_rows(page, "page", columns):
            if namespace == "0" and redirect == "0" and number and title and _is_whole(title):
                ids.append(int(number))
                texts.append(title)
                if len(texts) == _JOINED_AT_ONCE:
                    chunks.append(pa.array(texts, pa.large_string()))
                    texts = []
        chunks.append(pa.array(texts, pa.large_string()))
        self._titles = pa.concat_arrays(chunks)
        unsorted = np.frombuffer(ids, dtype=np.int64)
        self._order = np.argsort(unsorted, kind="stable")
        self._ids = unsorted[self._order]

    def titles(self, ids: Sequence[int]) -> list[str | None]:
        """Titles of these pages; None for what is no article."""
        if not len(self._ids):
            return [None] * len(ids)
        wanted = np.asarray(ids, dtype=np.int64)
        positions = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
        titles = self._titles.take(pa.array(self._order[positions])).to_pylist()
        return [title if is_there else None for title, is_there in zip(titles, self._ids[positions] == wanted, strict=True)]


def _links(langlinks: Path, wanted: set[str]) -> Iterator[tuple[list[int], list[str], list[str]]]:
    """Page ids, languages and foreign titles, many at once."""
    codes: dict[str, str | None] = {}
    ids: list[int] = []
    langs: list[str] = []
    titles: list[str] = []
    for number, code, title in read_rows(langlinks, "langlinks", ("ll_from", "ll_lang", "ll_title")):
        if not number or not code or not title or not _is_whole(title):
            continue
        if code not in codes:
            codes[code] = _wiki_language(code)
        lang = codes[code]
        if lang is not None and lang in wanted:
            ids.append(int(number))
            langs.append(lang)
            titles.append(title)
        if len(ids) == _JOINED_AT_ONCE:
            yield ids, langs, titles
            ids, langs, titles = [], [], []
    yield ids, langs, titles


def _wiki_language(code: str) -> str | None:
    """The language of a wiki's code; None for those that are no language, such as `simple`."""
    try:
        return language(code)
    except UserError:
        return None


def _cleaned(entries: Iterable[Entry], source: str, target: str) -> Iterator[Entry]:
    for word, translation, score in entries:
        title, other = clean_title(word, source), clean_title(translation, target)
        if title and other:
            yield Entry(title, other, score)


def _is_whole(title: str) -> bool:
    try:
        title.encode()
    except UnicodeEncodeError:
        return False
    return True
