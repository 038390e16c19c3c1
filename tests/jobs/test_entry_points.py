"""Every command runs as a submitted job, and what is uploaded for it is small."""

from pathlib import Path

from ray._private.runtime_env.packaging import get_excludes_from_ignore_files

from xlret.commands.app import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
UPLOADED_BYTES = 3 * 2**20


def test_every_command_has_an_entry_point() -> None:
    for command in COMMANDS:
        source = (ROOT / "jobs" / f"{command}.py").read_text(encoding="utf-8")
        assert f'run("{command}")' in source, command


def test_the_working_directory_of_a_job_is_small_and_holds_the_code() -> None:
    uploaded = dict(uploaded_files())
    assert "jobs/train.py" in uploaded
    assert "xlret/recipes/quickstart.yaml" in uploaded
    assert "xlret/serve/page/app.js" in uploaded
    assert not [name for name in uploaded if name.startswith(("tests/", "docs/"))]
    assert sum(uploaded.values()) < UPLOADED_BYTES


def uploaded_files() -> list[tuple[str, int]]:
    """What Ray would put into the package of this repository, by its own reading of the ignore lists."""
    excluded = get_excludes_from_ignore_files(ROOT, include_gitignore=True)
    defaults = {".git", ".venv", "__pycache__"}  # Ray's own
    files = []
    for top in sorted(ROOT.iterdir()):
        if top.name in defaults or any(is_excluded(top) for is_excluded in excluded):
            continue
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and not defaults & set(path.parts) and not any(is_excluded(path) for is_excluded in excluded):
                files.append((str(path.relative_to(ROOT)), path.stat().st_size))
    return files
