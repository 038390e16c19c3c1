"""What systems are called in a comparison: as the user says, else by as much of their paths as tells them apart."""

from collections.abc import Sequence
from pathlib import Path

from xlret.errors import UserError


def named_systems(arguments: Sequence[str]) -> dict[str, str]:
    """Name -> what it names, of arguments of the form NAME=WHAT or WHAT, in their order.

    Raises:
        UserError: two systems of one name.

    >>> named_systems(["runs/plain/model", "runs/hybrid/model", "e5=intfloat/multilingual-e5-small"])
    {'plain': 'runs/plain/model', 'hybrid': 'runs/hybrid/model', 'e5': 'intfloat/multilingual-e5-small'}
    """
    parts = [_split(argument) for argument in arguments]
    unnamed = iter(_short_names([Path(system) for name, system in parts if name is None]))
    names = [name or next(unnamed) for name, _ in parts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two systems are called {twice[0]}; name them, as in {twice[0]}-2={parts[names.index(twice[0])][1]}")
    return dict(zip(names, (system for _, system in parts), strict=True))


def _split(argument: str) -> tuple[str | None, str]:
    name, separator, system = argument.partition("=")
    return (name, system) if separator and name and "/" not in name else (None, argument)


def _short_names(paths: list[Path]) -> list[str]:
    """The ends of the paths, as much of them as tells them apart, without what all have at their end."""
    if not paths:
        return []
    parts = [(path.parent if path.name == "evaluation.json" else path).parts for path in paths]
    while min(map(len, parts)) > 1 and len(parts) > 1 and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
