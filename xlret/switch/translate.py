"""Translate-Test: texts translated into English word by word, the baseline of arXiv 2305.05295."""

from collections.abc import Sequence
from pathlib import Path

from xlret.errors import UserError
from xlret.lexicon.lexicon import Lexicon
from xlret.lexicon.transform import inverted
from xlret.switch.settings import SwitchSettings
from xlret.switch.switcher import Switcher
from xlret.text.languages import language


class WordTranslator:
    """Translates texts into one language word by word: the best candidate each, words without one stay.

    Lexicons from other languages into `target` are used as they are; those from `target` are turned round for languages
    that have no other.

    Args:
        lexicon: any.
        target: the language to translate into.
        languages: the languages to translate from; all by default. (Those without spaces need PyICU.)

    Raises:
        UserError: no lexicon is into or from `target`, or for one of `languages`; or PyICU is needed and missing.
    """

    def __init__(self, lexicon: Lexicon, target: str = "en", languages: Sequence[str] | None = None) -> None:
        self.target = language(target)
        direct = {source: table for source, table in lexicon.tables.items() if self.target in table.targets}
        lexicons = [Lexicon({source: table.only([self.target])}) for source, table in direct.items()]
        if self.target in lexicon.tables:
            other_way = lexicon.tables[self.target]
            missing = [lang for lang in other_way.targets if lang not in direct]
            if missing:
                lexicons.append(inverted(Lexicon({self.target: other_way.only(missing)})))
        if not lexicons:
            raise UserError(
                f"no lexicon into or from {self.target}; it has {', '.join(lexicon.sources)} -> {', '.join(lexicon.targets)}"
            )
        tables = {source: table for usable in lexicons for source, table in usable.tables.items()}
        if languages is not None:
            wanted = {
                source: Lexicon(tables).table(language(source)) for source in languages if language(source) != self.target
            }
            if without := sorted(source for source, table in wanted.items() if table is None):
                raise UserError(
                    f"no lexicon from {', '.join(without)} into {self.target}; there is one for {', '.join(sorted(tables))}"
                )
            tables = {table.source: table for table in wanted.values() if table is not None}
        settings = SwitchSettings(policy="bl", lexicons=(Path("in memory"),), languages=(self.target,), p=1.0, choice="first")
        self._lexicon = Lexicon(tables)
        self._switcher = Switcher(self._lexicon, settings) if tables else None  # none: every text is in `target` already

    @classmethod
    def load(cls, paths: Sequence[Path], target: str = "en", languages: Sequence[str] | None = None) -> "WordTranslator":
        """A translator from lexicon files; see `Lexicon.load`."""
        return cls(Lexicon.load(paths), target, languages)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that it translates from."""
        return self._lexicon.sources

    def translate(self, text: str, lang: str) -> str:
        """The text word by word; as it is if it is in the target language already.

        Raises:
            UserError: there is no lexicon for `lang`.
        """
        if language(lang) == self.target:
            return text
        if self._switcher is None or self._lexicon.table(lang) is None:
            known = ", ".join(self.languages) or "none, as only texts in it were to be translated"
            raise UserError(f"no lexicon from {lang} into {self.target}; there is one for {known}")
        return self._switcher.switch(text, lang, ("translate",)).text
