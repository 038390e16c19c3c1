"""Aliases: small files in the directory of releases that name one of them, moved in one step, with their history beside."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xlret.artifacts import locked
from xlret.errors import CorruptError, UserError
from xlret.files import write_text
from xlret.release.record import CURRENT_ALIAS, RECORD, checked_name
from xlret.storage.url import path_of

_HISTORY = ".history.jsonl"
_LONGEST = 1000
"""Characters of an alias that are read; a name has 64 at most."""


class Move(BaseModel):
    """One line of an alias's history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["promote", "rollback"]
    release: str
    """Where the alias went."""
    at: str
    """UTC, ISO 8601."""
    record_sha256: str
    """Of the release.json that it was: a release made anew under an old name is another one."""
    benchmark: str | None = None
    """What the promotion was decided by."""
    quality: dict[str, dict[str, float]] = Field(default_factory=dict)
    """The release's numbers on it, where they were measured for the promotion."""
    forced: bool = False


def read_alias(root: Path, alias: str = CURRENT_ALIAS) -> str | None:
    """The release that an alias names; None where there is no such alias.

    Raises:
        UserError: the name of the alias is not allowed.
        CorruptError: the file holds no name of a release.
    """
    path = path_of(root) / checked_name(alias, "an alias")
    if not path.is_file() or path.is_symlink():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(_LONGEST)
    try:
        return checked_name(text.removesuffix("\n"))
    except UserError as error:
        raise CorruptError(f"{path} does not hold the name of a release; promote one again") from error


def aliases(root: Path) -> dict[str, str]:
    """Every alias of a directory of releases and the release it names."""
    named = {}
    for path in sorted(path_of(root).iterdir()):
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(_HISTORY):
            name = read_alias(root, path.name)
            if name is not None:
                named[path.name] = name
    return named


def resolve(path: Path, alias: str = CURRENT_ALIAS) -> Path:
    """The directory of a release: `path` itself if it is one, else what `alias` names in the directory of releases `path`.

    Raises:
        UserError: neither, or the alias names a release that is gone.
    """
    path = path_of(path)
    if (path / RECORD).is_file():
        return path
    name = read_alias(path, alias) if path.is_dir() else None
    if name is None:
        raise UserError(f"{path} is no release and has no alias {alias!r}; make one with xlret release make, then promote it")
    if not (path / name / RECORD).is_file():
        raise UserError(f"{path / alias} names the release {name!r}, which is not there; promote another")
    return path / name


def release_named(root: Path, name: str) -> str:
    """The release that a name means: its own, or what an alias of the directory of releases names; else the name itself.

    Raises:
        UserError: it is no name that a release or an alias may have.
        CorruptError: the alias holds no name of a release.
    """
    if (path_of(root) / checked_name(name) / RECORD).is_file():
        return name
    return read_alias(root, name) or name


@contextmanager
def moving(root: Path) -> Iterator[None]:
    """Keeps other processes from moving aliases of `root` until the block ends.

    Raises:
        UserError: there is no such directory, or nothing may be written there.
    """
    path = path_of(root) / ".lock"
    if not path.parent.is_dir():
        raise UserError(f"there is no directory of releases {root}; xlret release make makes it")
    with locked(path):
        yield


def move(root: Path, alias: str, step: Move) -> None:
    """Writes the step to the history, then the alias in one rename. To be called inside `moving`.

    A process that dies between the two has moved nothing: `history` leaves out what did not take effect.
    """
    path = path_of(root) / checked_name(alias, "an alias")
    if path.is_dir():
        raise UserError(f"{path} is a release; choose another name for the alias")
    steps = [*history(root, alias), step]
    write_text(path.with_name(alias + _HISTORY), "".join(past.model_dump_json() + "\n" for past in steps))
    write_text(path, step.release + "\n")


def history(root: Path, alias: str = CURRENT_ALIAS) -> list[Move]:
    """The steps that led to where the alias is, oldest first.

    Raises:
        CorruptError: the history is damaged.
    """
    path, standing = path_of(root) / (checked_name(alias, "an alias") + _HISTORY), read_alias(root, alias)
    if standing is None or not path.is_file():
        return []
    try:
        steps = [Move.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValidationError, UnicodeDecodeError) as error:
        raise CorruptError(f"{path} is damaged; remove it (rollback then knows no earlier release)") from error
    for most in range(len(steps), 0, -1):
        if standing_after(steps[:most])[-1] == standing:
            return steps[:most]
    return steps  # somebody wrote the alias by hand


def standing_after(steps: list[Move]) -> list[str]:
    """Releases that rolling back would go to, the present one last.

    A promotion goes on top; a rollback takes off what lies above the release it goes to.
    """
    stack: list[str] = []
    for step in steps:
        if step.kind == "rollback" and step.release in stack:
            while stack[-1] != step.release:
                stack.pop()
        elif stack[-1:] != [step.release]:
            stack.append(step.release)
    return stack
