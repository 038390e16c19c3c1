"""NTREX-128 (Federmann, Kocmi and Xin 2022): parallel news as (sentence, the sentences around it) pairs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from xlret.config import PathSetting
from xlret.data.read import read_lines
from xlret.data.rows import ReadingReport, Row
from xlret.data.sources.base import SourceSettings, wanted
from xlret.errors import DataError, UserError
from xlret.text.languages import language, written_without_spaces


class NtrexSource(SourceSettings):
    """A folder with `newstest2019-{src,ref}.LANG.txt` (aligned lines) and `DOCUMENT_IDS.tsv`.

    The query of a group is a sentence; its passage is what stands around it in the same document, the sentence itself
    left out, so that matching takes more than finding equal words. Windows of neighbours hold each other's sentences, and all
    of a document is about one thing: a document is one cluster, never its own negative and never on both sides of a split.
    """

    format: Literal["ntrex"]
    path: PathSetting
    """The folder of NTREX-128."""
    window: int = Field(2, ge=1)
    """Sentences before and after."""
    languages: tuple[str, ...] | None = None
    """Only these; all that are there by default."""
    exclude: tuple[str, ...] = ()
    """All but these."""
    source: str = "NTREX-128, https://github.com/MicrosoftTranslator/NTREX"
    licence: str = "CC BY-SA 4.0"

    def rows(self, report: ReadingReport) -> Iterator[Row]:
        """A row for each sentence and language whose document has others.

        Raises:
            UserError: no such folder, or a language that it has not.
            DataError: a file is not aligned with the document ids.
        """
        files = _files(self.path)
        documents = [line for _, line in read_lines(self.path / "DOCUMENT_IDS.tsv", report)]
        for lang in wanted(files, self.languages, self.exclude, self.path):
            lines = list(read_lines(files[lang], report))
            if len(lines) != len(documents):
                raise DataError(f"{files[lang]} has {len(lines)} lines; DOCUMENT_IDS.tsv has {len(documents)}")
            joint = "" if written_without_spaces(lang) else " "
            sentences = [line.strip() for _, line in lines]
            for line, document in enumerate(documents):
                around = [
                    sentences[near]
                    for near in range(max(0, line - self.window), min(len(lines), line + self.window + 1))
                    if near != line and documents[near] == document and sentences[near]
                ]
                if around and sentences[line]:
                    group_id = f"ntrex/{document}#{line + 1}"
                    yield Row(group_id, lang, sentences[line], None, joint.join(around), f"ntrex/{document}", lines[line][0])


def _files(path: Path) -> dict[str, Path]:
    """The file of each language; the source text, which comes as `src`, is English without a region."""
    files = {language(file.name.split(".")[1]): file for file in sorted(path.glob("newstest2019-*.*.txt"))}
    if not files:
        raise UserError(f"no newstest2019-ref.LANG.txt in {path}; is this the folder NTREX-128 of NTREX?")
    return files
