"""Data sets from the Hugging Face hub: chosen files of named repositories, each at one commit, in the hub's own cache."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants, errors

from xlret.errors import UserError


@dataclass(frozen=True)
class HubRepository:
    """Some files of a data set on the hub."""

    name: str
    """Such as `miracl/miracl`."""
    revision: str | None
    """The commit; None where none is known: the newest is taken, and which it was is said."""
    files: Callable[[tuple[str, ...]], Sequence[str]]
    """Patterns of the files that are needed for some languages (BCP-47)."""


PINNED: Mapping[str, str] = {
    "miracl/miracl": "5be20db9509754dadad47689368639fcec739c00",
    "miracl/miracl-corpus": "d921ec7e349ce0d28daf30b2da9da5ee698bef0d",
    "nthakur/swim-ir-cross-lingual": "a9a859e7cfd0e4dc36e6b12dbf2ae24f77f79803",
    "unicamp-dl/mmarco": "4618200568100aa0bf7fbf494d8d022e7ecab9a6",
}
"""The commits at which data sets are read for evaluation and for training alike, unless another is asked for."""


@dataclass(frozen=True)
class HubFiles:
    """Where downloaded files are, and what they are."""

    directory: Path
    """Holds the files of all repositories under their names there."""
    commits: Mapping[str, str]
    """The commit of each repository."""


def download(repositories: Sequence[HubRepository], languages: tuple[str, ...]) -> HubFiles:
    """The files of some repositories for some languages; what the cache has is not fetched again.

    `HF_HUB_OFFLINE=1` takes what the cache has and asks nobody; `HF_HOME`, `HF_ENDPOINT` and `HF_TOKEN` are honoured too. No
    code of a repository is run.

    Raises:
        UserError: no such repository or commit, the hub cannot be reached, or the cache lacks it while offline.
    """
    snapshots = {repository.name: _snapshot(repository, languages) for repository in repositories}
    commits = {name: path.name for name, path in snapshots.items()}
    if len(snapshots) == 1:
        return HubFiles(next(iter(snapshots.values())), commits)
    return HubFiles(_together(snapshots), commits)


def listed(name: str, revision: str | None) -> dict[str, int]:
    """The files of a data set on the hub and their bytes; nothing is fetched.

    Raises:
        UserError: no such repository or commit, or the hub cannot be reached.
    """
    try:
        entries = list(huggingface_hub.HfApi().list_repo_tree(name, repo_type="dataset", revision=revision, recursive=True))
    except _ERRORS as error:
        raise _said(name, revision, error) from error
    return {entry.path: entry.size for entry in entries if isinstance(entry, huggingface_hub.hf_api.RepoFile)}


def cached_bytes(repository: HubRepository) -> int:
    """How much of a repository is in the cache, in bytes, all commits together; 0 if nothing."""
    folder = Path(constants.HF_HUB_CACHE) / f"datasets--{repository.name.replace('/', '--')}" / "blobs"
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) if folder.is_dir() else 0


def _snapshot(repository: HubRepository, languages: tuple[str, ...]) -> Path:
    try:
        return Path(
            huggingface_hub.snapshot_download(
                repository.name,
                repo_type="dataset",
                revision=repository.revision,
                allow_patterns=list(repository.files(languages)),
            )
        )
    except _ERRORS as error:
        raise _said(repository.name, repository.revision, error) from error


_ERRORS = (
    errors.HfHubHTTPError,
    errors.HFValidationError,
    errors.LocalEntryNotFoundError,
    errors.OfflineModeIsEnabled,
    OSError,
)


def _said(name: str, revision: str | None, error: Exception) -> UserError:
    """What the user can do about an error of the hub."""
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(f"the hub's data set {name} has no commit {revision}; fetch the files by hand and give --data")
    if isinstance(error, errors.RepositoryNotFoundError | errors.GatedRepoError | errors.HFValidationError):
        return UserError(
            f"the hub has no data set {name!r}, or does not show it to you ({type(error).__name__}); "
            "check the name, or log in with `hf auth login`"
        )
    offline = "HF_HUB_OFFLINE is set and the cache lacks it" if constants.HF_HUB_OFFLINE else str(error).split("\n")[0]
    return UserError(f"the hub's data set {name} cannot be had: {offline}; give a directory instead")


def _together(snapshots: Mapping[str, Path]) -> Path:
    """A directory with a link to every file of the snapshots, under its name there; made once for the same commits.

    Folders are made anew, so that repositories may have folders of one name.
    """
    named = "+".join(f"{name.replace('/', '--')}@{path.name[:12]}" for name, path in snapshots.items())
    directory = Path(constants.HF_HUB_CACHE) / "xlret" / "files" / named
    for path in snapshots.values():
        for entry in path.rglob("*"):
            if entry.is_file():
                link = directory / entry.relative_to(path)
                link.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileExistsError):
                    os.symlink(entry, link)
    return directory
