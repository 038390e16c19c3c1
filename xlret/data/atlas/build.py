"""Writing the atlas: three corpora and two kinds of lexicon in one directory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import babel
from babel.core import get_global

from xlret.data.atlas.phrasings import LANGUAGES
from xlret.data.atlas.rows import HELD_OUT, Split, atlas_rows, names_of, split_facts
from xlret.data.atlas.wordlists import Pair, name_pairs, title_pairs, word_pairs
from xlret.data.corpus import Row, write_corpus
from xlret.files import directory_beside, write_text

_LICENCE = "names and facts: Unicode License v3 (Unicode CLDR); sentences: as xlret"


@dataclass(frozen=True)
class AtlasReport:
    """What `build_atlas` wrote.

    Attributes:
        directory: where.
        rows: split -> number of (query, passage) rows.
        facts: split -> kind -> number of facts.
        words, titles: language -> number of pairs with English.
    """

    directory: Path
    rows: dict[Split, int]
    facts: dict[Split, dict[str, int]]
    words: dict[str, int]
    titles: dict[str, int]

    def __str__(self) -> str:
        kinds = ", ".join(self.facts["train"])
        lines = [
            f"atlas in {self.directory}: {len(LANGUAGES)} languages ({' '.join(LANGUAGES)}), {HELD_OUT} in test only",
            f"  kinds of fact: {kinds}",
            *(
                f"  {split:5}  {self.rows[split]:6,} (query, passage) rows of {sum(self.facts[split].values()):5,} facts"
                for split in self.rows
            ),
            f"  lexicon  {sum(self.words.values()):,} word pairs of English with {len(self.words)} languages",
            f"  titles   {sum(self.titles.values()):,} name pairs",
        ]
        return "\n".join(lines)


def build_atlas(directory: Path, *, seed: int = 0, replace: bool = False) -> AtlasReport:
    """Writes the embedded corpus; equal Babel version and seed give equal bytes. Takes about ten seconds on one core.

    The directory then has `train`, `dev` and `test` (each a ParallelCorpus; no fact is in two of them, and the language
    `HELD_OUT` is in `test` alone), `lexicon/en-xx.txt` (word TAB word, lower case, as MUSE) and `titles/en-xx.tsv`
    (names TAB name, one side or both of several words), the last two for the languages of training.

    Args:
        directory: appears when all of it is written.
        seed: decides which facts are held out and which phrasings meet.
        replace: whether an existing directory gives way.

    Raises:
        UserError: `directory` exists and `replace` is false, or it cannot be written.
    """
    directory = Path(directory)
    rows: dict[Split, int] = {}
    facts: dict[Split, dict[str, int]] = {}
    words: dict[str, int] = {}
    titles: dict[str, int] = {}
    revision = f"CLDR {get_global('cldr')['version']}, Babel {babel.__version__}, seed {seed}"
    with directory_beside(directory, replace=replace) as fresh:
        for split in get_args(Split):
            counted = _Counted(atlas_rows(split, seed=seed))
            made_by = f"xlret.data.atlas.build_atlas(seed={seed}): {split}"
            write_corpus(fresh / split, counted, source="xlret atlas", licence=_LICENCE, revision=revision, made_by=made_by)
            rows[split] = counted.rows
            facts[split] = {}
            for fact in split_facts(seed)[split]:
                facts[split][fact.kind] = facts[split].get(fact.kind, 0) + 1
        for lang in LANGUAGES:
            if lang in ("en", HELD_OUT):
                continue
            pairs = name_pairs(names_of("en"), names_of(lang))
            words[lang] = _write_pairs(fresh / "lexicon" / f"en-{lang}.txt", word_pairs(pairs, lang))
            titles[lang] = _write_pairs(fresh / "titles" / f"en-{lang}.tsv", title_pairs(pairs))
    return AtlasReport(directory, rows, facts, words, titles)


class _Counted:
    """Rows on their way, counted."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = 0
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.rows += 1
            yield row


def _write_pairs(path: Path, pairs: list[Pair]) -> int:
    write_text(path, "".join(f"{english}\t{name}\n" for english, name in pairs))
    return len(pairs)
