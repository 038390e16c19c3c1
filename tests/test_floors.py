"""Who may import whom: rooms stand on floors, and nothing looks up. Also which rooms a notebook may use without Ray."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

GROUND = (
    "errors", "keys", "storage", "files", "session", "ports", "processors", "shapes", "pages", "charts", "artifacts",
    "provenance", "hub", "calls", "monitoring",
)  # fmt: skip
FLOORS = (
    GROUND,
    ("text", "config"),
    ("lexicon",),
    ("switch", "tokens", "data"),
    ("batches", "model"),
    ("search",),
    ("evaluation", "mine", "release"),
    ("training", "serve"),
    ("api", "sweep"),
    ("commands",),
    ("__main__",),
)
"""From the ground up. A room may import rooms of lower floors, and of its own floor where that makes no circle."""

WITHOUT_RAY = ("text", "lexicon", "switch", "tokens", "data", "batches", "model", "evaluation")
WITH_RAY = {"xlret.batches.stream"}
"""Files of those rooms that may import Ray all the same."""


def floor_of(room: str) -> int:
    return next(floor for floor, rooms in enumerate(FLOORS) if room in rooms)


def modules() -> dict[str, Path]:
    paths = sorted((ROOT / "xlret").rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path}: imports are absolute here"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "xlret" and len(parts) > 1 else None


def arrows(files: dict[str, Path]) -> set[tuple[str, str, str]]:
    """(room, imported room, importing module) for every import that leaves its room."""
    known = {room for floor in FLOORS for room in floor}
    return {
        (room, other, module)
        for module, path in files.items()
        if (room := room_of(module))
        for name in imports(path)
        if (other := room_of(name)) and other != room and other in known
    }


def looking_up(files: dict[str, Path]) -> list[str]:
    return sorted(f"{module} -> {other}" for room, other, module in arrows(files) if floor_of(other) > floor_of(room))


def test_every_room_has_a_floor() -> None:
    known = {room for floor in FLOORS for room in floor}
    assert {room for module in modules() if (room := room_of(module))} <= known


def test_no_floor_looks_up() -> None:
    assert looking_up(modules()) == []


def test_an_import_that_looks_up_is_seen(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def late():\n    from xlret.serve.http import app\n")
    assert looking_up({"xlret.text.bad": tmp_path / "bad.py"}) == ["xlret.text.bad -> serve"]


def test_rooms_make_no_circle() -> None:
    after: dict[str, set[str]] = {}
    for room, other, _ in arrows(modules()):
        after.setdefault(room, set()).add(other)
    left = dict(after)
    while left:
        free = [room for room in left if not left[room] & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for room in free:
            del left[room]


@pytest.mark.parametrize("room", WITHOUT_RAY)
def test_a_notebook_needs_no_ray_for(room: str) -> None:
    naming = [m for m, path in modules().items() if room_of(m) == room and any(n.split(".")[0] == "ray" for n in imports(path))]
    assert set(naming) <= WITH_RAY


def test_the_library_never_imports_jobs() -> None:
    assert [module for module, path in modules().items() if any(n.split(".")[0] == "jobs" for n in imports(path))] == []
