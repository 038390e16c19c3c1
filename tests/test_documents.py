"""What the documents say of the code is so: files and tests that they name exist, links lead somewhere, examples run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
HISTORY = {"LOG.md", "RESULTS.md"}  # what was, with the names of then


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.name not in HISTORY], ids=lambda path: path.name)
def test_files_and_tests_that_are_named_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    functions = {name for name in re.findall(r"`(test_\w+)`", text) if f"def {name}(" not in tests}
    assert functions == set()
    paths = set(re.findall(r"(?:xlret|tests|docs|jobs|cluster)/[\w./-]*\.(?:py|md|yaml|ipynb|png)\b", text))
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_every_room_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = {path.name for path in (ROOT / "xlret").iterdir() if (path / "__init__.py").is_file()} - {"recipes"}
    assert sorted(room for room in rooms if f"| `{room}` |" not in text) == []


@pytest.mark.parametrize("results", sorted((ROOT / "docs" / "results").glob("*.jsonl")), ids=lambda path: path.stem)
def test_results_name_no_path_of_a_machine(results: Path) -> None:
    assert not re.findall(r'"(?:/|file:|~)[^"]*"', results.read_text(encoding="utf-8"))


def test_the_notebook_is_the_script() -> None:
    notebook = json.loads((ROOT / "docs/examples/ten_lines.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    script = (ROOT / "docs/examples/ten_lines.py").read_text(encoding="utf-8").split('"""', 2)[2]
    assert "\n".join(cells).split() == script.split()


SMALLER = {"steps=200": "steps=4", '"atlas/train"': '"atlas/dev"', '"atlas/test"': '"atlas/dev"'}


@pytest.mark.parametrize("changes", [SMALLER, pytest.param({}, marks=pytest.mark.slow)], ids=["smaller", "as it stands"])
def test_the_ten_line_example_runs(tmp_path: Path, changes: dict[str, str]) -> None:
    """With fewer steps and texts, which decide nothing here but the time; as it stands its answers are right, too."""
    script = (ROOT / "docs/examples/ten_lines.py").read_text(encoding="utf-8")
    for words, fewer in changes.items():
        assert words in script
        script = script.replace(words, fewer)
    (tmp_path / "example.py").write_text(script, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("mAP within a language 0.") for line in lines), done.stdout
    hits = [re.fullmatch(r"-?[01]\.\d{3}  (\w\w)  (\S.*)", line) for line in lines[-5:]]
    assert all(hits), done.stdout
    assert len({hit[1] for hit in hits if hit}) > 1, "quota lets languages take turns"
    if not changes:
        answers = {hit[1] for hit in hits if hit and re.search("Keny|Кени|肯尼亚|केन्या|كيني|Κένυα|เคนยา", hit[2])}
        assert len(answers) > 1, done.stdout


def test_the_reference_is_built_from_docstrings(tmp_path: Path) -> None:
    """Of some modules; `make docs` builds it of all."""
    command = [sys.executable, "-m", "pdoc", "--docformat", "google", "--output-directory", str(tmp_path)]
    modules = ["xlret.batches.plan", "xlret.batches.settings"]
    subprocess.run([*command, *modules], check=True, capture_output=True, timeout=200, cwd=ROOT)
    page = (tmp_path / "xlret" / "batches" / "plan.html").read_text(encoding="utf-8")
    assert "The global batch of step" in page
