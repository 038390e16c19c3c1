"""An alias goes to whole releases that are no worse, in one step, and back."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from xlret.errors import CorruptError, UserError
from xlret.release import list_releases, make_release, promote, resolve, rollback, verify_release
from xlret.release.alias import history, read_alias
from xlret.release.promote import promote_or_keep
from xlret.release.record import CHECKSUM, RECORD, checksum_line, read_record
from xlret.search.vectors.fingerprint import encoder_files

Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path, encoder: Path, index: Path, evaluation: Callable[..., Path]) -> Made:
    """Makes releases, in `root`, whose evaluation has the numbers given."""

    def make(name: str, **changes: object) -> Path:
        return make_release(tmp_path / "root", name, encoder, index, evaluations=[evaluation(f"of-{name}", **changes)])

    return make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def test_a_release_that_is_no_worse_is_promoted(made: Made, root: Path) -> None:
    made("a", mul=0.5)
    made("better", mul=0.6)
    made("equal", mul=0.6)
    made("noise", mul=0.596)
    for name in ("a", "better", "equal", "noise"):
        assert promote(root, name).name == name
        assert (root / "current").read_text() == f"{name}\n"
        assert resolve(root) == root / name
    assert [step.release for step in history(root)] == ["a", "better", "equal", "noise"]
    assert {one.name: one.aliases for one in list_releases(root)} == {
        "a": (),
        "better": (),
        "equal": (),
        "noise": ("current",),
    }


def test_a_worse_release_is_not(made: Made, root: Path) -> None:
    made("a", mul=0.5, mo=0.9)
    made("worse", mul=0.4, mo=0.95)
    promote(root, "a")
    with pytest.raises(UserError, match=r"worse is not promoted: mul on made/dev is 0\.4000, 0\.1000 below .* 0\.5000"):
        promote(root, "worse")
    assert read_alias(root) == "a"
    assert len(history(root)) == 1
    promote(root, "worse", metric="mo")
    promote(root, "a")
    promote(root, "worse", tolerance=0.11)
    promote(root, "a")
    promote(root, "worse", force=True)
    assert history(root)[-1].forced
    assert read_alias(root) == "worse"


def test_what_is_refused_leaves_the_standing_release_or_is_an_error(made: Made, root: Path, encoder: Path) -> None:
    made("a", mul=0.5)
    made("worse", mul=0.4)
    with pytest.raises(UserError, match="no metric"):
        promote_or_keep(root, "a", metric="no metric")
    assert promote_or_keep(root, "a") == f"{root}/current now names a"
    kept = promote_or_keep(root, "worse")
    assert kept.startswith(f"{root}/current still names a: worse is not promoted: mul on made/dev is 0.4000")
    assert promote_or_keep(root, "worse", tolerance=0.2) == f"{root}/current now names worse"
    (root / "a" / "encoder" / "config.json").write_text("{}")
    with pytest.raises(CorruptError):
        promote_or_keep(root, "a")
    record = read_record(root / "worse")
    assert record.holds_encoder(encoder_files(encoder))
    assert not record.holds_encoder(encoder_files(encoder) | {"config.json": "0" * 64})
    assert not record.holds_encoder(encoder_files(encoder) | {"more.json": "0" * 64})


def test_a_worse_index_is_not(made: Made, root: Path) -> None:
    made("a")
    made("coarse", mul=0.9)
    _change(root / "coarse", lambda content: content["quality"].update(index={"recall@10": 0.9, "recall@100": 0.9}))
    promote(root, "a")
    with pytest.raises(UserError, match=r"recall@10 of the index is 0\.9000, 0\.1000 below"):
        promote(root, "coarse")
    _change(root / "coarse", lambda content: content["quality"].update(index={}))
    with pytest.raises(UserError, match="recall@10 of the index is not known of both"):
        promote(root, "coarse")
    promote(root, "coarse", force=True)


def test_what_was_not_measured_alike_is_not_compared(made: Made, root: Path) -> None:
    made("a")
    made("other-set", sets=[{"name": "made/dev", "queries": 80, "passages": 160}])
    made("other-benchmark", benchmark={"name": "xquad-r"})
    promote(root, "a")
    with pytest.raises(UserError, match="was measured on 80 queries, the standing one on 160"):
        promote(root, "other-set")
    with pytest.raises(UserError, match="the standing release was not measured on 'xquad-r', but on made/dev"):
        promote(root, "other-benchmark")
    with pytest.raises(UserError, match="other-benchmark was not measured on 'made/dev', but on xquad-r"):
        promote(root, "other-benchmark", benchmark="made/dev")
    for metric, message in (("rank_distance", "cannot be decided by 'rank_distance'"), ("cr", "cr was not measured")):
        with pytest.raises(UserError, match=message):
            promote(root, "a", metric=metric, alias="new" if metric == "cr" else "current")
    assert read_alias(root) == "a"
    assert read_alias(root, "new") is None


def test_the_first_release_needs_numbers_too(root: Path, encoder: Path, index: Path) -> None:
    make_release(root, "bare", encoder, index)
    with pytest.raises(UserError, match="bare was not measured on any benchmark; give --corpus"):
        promote(root, "bare")
    assert not (root / "current").exists()
    promote(root, "bare", force=True)
    assert resolve(root) == root / "bare"


def test_measurements_are_remembered(made: Made, root: Path, encoder: Path, index: Path) -> None:
    make_release(root, "bare", encoder, index)
    numbers = {"mul": 0.5, "queries": 160.0, "passages": 160.0}
    promote(root, "bare", measured={"bare": {"made/dev": numbers}})
    made("worse", mul=0.4)
    with pytest.raises(UserError, match="worse is not promoted"):
        promote(root, "worse")
    made("better", mul=0.7)
    promote(root, "better")
    # another release under the old name is not the one that was measured
    shutil.rmtree(root / "bare")
    make_release(root, "bare", encoder, index)
    _change(root / "bare", lambda content: content.update(created="2000-01-01T00:00:00+00:00"))
    with pytest.raises(UserError, match="not measured on any benchmark"):
        promote(root, "bare")


def test_damage_is_refused_whatever_is_said(made: Made, root: Path) -> None:
    made("a")
    made("bad", mul=0.9)
    promote(root, "a")
    path = root / "bad" / "encoder" / "config.json"
    path.chmod(0o644)
    path.write_text(path.read_text() + " ")
    for force in (False, True):
        with pytest.raises(CorruptError, match=r"bad/encoder/config\.json is damaged"):
            promote(root, "bad", force=force)
    assert read_alias(root) == "a"
    with pytest.raises(UserError, match="there is no release"):
        promote(root, "nowhere")
    for name in ("../root/a", "", "a/../a"):
        with pytest.raises(UserError, match="is no name of a release"):
            promote(root, name)
    for alias in ("../current", "a/b", ""):
        with pytest.raises(UserError, match="is no name of an alias"):
            promote(root, "a", alias)
    with pytest.raises(UserError, match="is a release; choose another name"):
        promote(root, "a", "bad")


def test_rolling_back_goes_further_each_time(made: Made, root: Path) -> None:
    for step, name in enumerate("abc"):
        made(name, mul=0.5 + step / 10)
        promote(root, name)
    assert rollback(root).name == "b"
    assert resolve(root) == root / "b"
    assert rollback(root).name == "a"
    with pytest.raises(UserError, match="'current' named no other release before"):
        rollback(root)
    promote(root, "c")
    assert rollback(root).name == "a"
    assert [(step.kind, step.release) for step in history(root)][-2:] == [("promote", "c"), ("rollback", "a")]
    promote(root, "b")
    shutil.rmtree(root / "a")
    with pytest.raises(UserError, match="there is no release"):
        rollback(root)
    assert resolve(root) == root / "b"


def test_promoting_the_standing_release_again_changes_nothing(made: Made, root: Path) -> None:
    made("a")
    made("b")
    for name in ("a", "b", "b", "b"):
        promote(root, name)
    assert rollback(root).name == "a"


def test_aliases_are_apart(made: Made, root: Path) -> None:
    made("a", mul=0.9)
    made("b", mul=0.5)
    promote(root, "a")
    promote(root, "b", "canary")
    assert (resolve(root), resolve(root, "canary")) == (root / "a", root / "b")
    assert {one.name: one.aliases for one in list_releases(root)} == {"a": ("current",), "b": ("canary",)}


def test_a_move_that_died_half_way_did_not_happen(made: Made, root: Path) -> None:
    for name in "abc":
        made(name)
        promote(root, name)
    written = (root / "current.history.jsonl").read_text()
    (root / "current").write_text("b\n")  # the history says c, the alias does not
    assert [step.release for step in history(root)] == ["a", "b"]
    assert rollback(root).name == "a"
    # an alias that somebody wrote by hand keeps the history
    (root / "current.history.jsonl").write_text(written)
    made("d")
    (root / "current").write_text("d\n")
    assert rollback(root).name == "c"
    (root / "current.history.jsonl").write_text("{")
    with pytest.raises(CorruptError, match=r"current\.history\.jsonl is damaged"):
        promote(root, "a")


_FLIP = """
import sys, itertools
from pathlib import Path
from xlret.release.promote import promote
root = Path(sys.argv[1])
for step in itertools.count():
    promote(root, "ab"[step % 2], force=True)
    print(step, flush=True)
"""


def test_a_killed_promotion_leaves_a_whole_release(made: Made, root: Path) -> None:
    made("a")
    made("b")
    promote(root, "a")
    draw = random.Random(0)
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", _FLIP, str(root)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for step in range(draw.randint(1, 5)):
                assert process.stdout.readline() == f"{step}\n"
                verify_release(resolve(root))  # a reader at any moment
            time.sleep(draw.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        verify_release(resolve(root))
        assert history(root)[-1].release == read_alias(root)
    standing = read_alias(root)
    promote(root, "b" if standing == "a" else "a", force=True)
    assert rollback(root).name == standing


def test_two_promotions_at_once_both_end_in_the_history(made: Made, root: Path) -> None:
    made("a")
    made("b")
    promote(root, "a")
    code = "import sys; from pathlib import Path; from xlret.release.promote import promote\n"
    code += "for _ in range(10): promote(Path(sys.argv[1]), sys.argv[2], force=True)"
    both = [subprocess.Popen([sys.executable, "-c", code, str(root), name]) for name in "ab"]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    names = [step.release for step in history(root)]
    assert (names.count("a"), names.count("b")) == (11, 10)
    assert names[-1] == read_alias(root)
    assert sorted(one.name for one in root.iterdir()) == [".lock", "a", "b", "current", "current.history.jsonl"]


def _change(release: Path, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    content = json.loads((release / RECORD).read_text())
    change(content)
    (release / RECORD).write_text(json.dumps(content))
    (release / CHECKSUM).write_bytes(checksum_line(release / RECORD))


def test_a_full_disk_moves_nothing(made: Made, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made("a")
    made("b")
    promote(root, "a")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="no space left on the disk"):
        promote(root, "b")
    monkeypatch.undo()
    assert resolve(root) == root / "a"
    assert rollback_is_refused(root)


def rollback_is_refused(root: Path) -> bool:
    with pytest.raises(UserError, match="named no other release before"):
        rollback(root)
    return True
