"""The wheel: all of xlret, its templates and recipes too, and nothing else at the top."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_wheel_holds_every_file_of_xlret_and_no_package_of_jobs(tmp_path: Path) -> None:
    tracked = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, tracked):  # a copy: building leaves files in the source directory
        if name.split("/")[0] in ("xlret", "jobs", "pyproject.toml", "README.md") and (ROOT / name).exists():
            target = tmp_path / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path / "wheel")]
    subprocess.run([*command, str(tmp_path / "source")], check=True, capture_output=True, timeout=300)
    [wheel] = (tmp_path / "wheel").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in tracked if name.startswith("xlret/") and (ROOT / name).exists()} - names == set()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"xlret"}
