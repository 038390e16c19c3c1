"""What a prepared corpus says of itself: counts, ranges, checksums, and where it came from."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xlret.artifacts import FileEntry, check_entry, entry_of, first_fault
from xlret.data.pool import GroupPool
from xlret.errors import CorruptError, UserError
from xlret.files import write_text
from xlret.text.sides import Side

MANIFEST = "manifest.json"
GROUPS = "groups.arrow"
HARD_NEGATIVES = "hard_negatives.arrow"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SideEntry(_Part):
    """One language of one side: which groups have it. Row r of its file is the r-th of them."""

    side: Side
    lang: str
    rows: int = Field(ge=1)
    ranges: tuple[tuple[int, int], ...]
    """Half-open ranges of group ordinals."""

    @property
    def file(self) -> str:
        """Name of its file in the corpus directory."""
        return side_file(self.side, self.lang)

    def pool(self) -> GroupPool:
        """The groups of this side."""
        return GroupPool(*np.array(self.ranges, dtype=np.int64).T)


class CorpusManifest(_Part):
    """`manifest.json` of a prepared corpus."""

    schema_version: Literal[1] = 1
    n_groups: int = Field(ge=1)
    n_clusters: int = Field(ge=1)
    sides: tuple[SideEntry, ...]
    files: dict[str, FileEntry]
    source: str
    licence: str
    revision: str
    made_by: str
    """The job and its settings that wrote this directory."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of what the corpus holds: equal for equal files, whatever the path or the provenance."""
        parts = [f"{name} {entry.sha256}" for name, entry in sorted(self.files.items())]
        parts += [f"{entry.file} {entry.ranges}" for entry in self.sides]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def side_file(side: Side, lang: str) -> str:
    """The file of one side and language: `query.de.arrow`."""
    return f"{side}.{lang}.arrow"


def file_entries(directory: Path, names: Iterable[str]) -> dict[str, FileEntry]:
    """Sizes and checksums of files, which are read whole."""
    return {name: entry_of(directory / name) for name in sorted(names)}


def write_manifest(directory: Path, manifest: CorpusManifest) -> None:
    """Writes `manifest.json` into `directory`."""
    write_text(directory / MANIFEST, manifest.model_dump_json(indent=1) + "\n")


def read_manifest(directory: Path, *, verify: bool) -> CorpusManifest:
    """Reads and checks the manifest of a corpus directory: sizes always, checksums where `verify` (reads every byte).

    Raises:
        UserError: no such directory, or one without a manifest.
        CorruptError: the manifest is not whole, or a file is missing or not as it was written.
    """
    path = directory / MANIFEST
    if not directory.is_dir():
        maker = "xlret prepare --atlas corpora/atlas" if "atlas" in directory.parts else "xlret prepare RECIPE"
        raise UserError(f"no corpus at {directory}; prepare one first: {maker}")
    if not path.is_file():
        raise UserError(f"{directory} holds no {MANIFEST}, so it is no prepared corpus; make one with xlret prepare")
    try:
        manifest = CorpusManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CorruptError(
            f"{path} is damaged or of another version: {first_fault(error)}; prepare the corpus again"
        ) from error
    expected = {GROUPS, *(entry.file for entry in manifest.sides)}
    if set(manifest.files) - {HARD_NEGATIVES} != expected:
        raise CorruptError(f"{path} is damaged: its files and its sides do not agree; prepare the corpus again")
    for name, entry in manifest.files.items():
        check_entry(directory / name, entry, listed_in=MANIFEST, remedy="prepare the corpus again", checksum=verify)
    return manifest
