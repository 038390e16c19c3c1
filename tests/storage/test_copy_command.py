"""`xlret copy`: there and back, and what may not be overwritten."""

from pathlib import Path

import pytest

from xlret.commands.app import main
from xlret.errors import UserError
from xlret.files import local


def test_what_was_written_is_named_by_its_url(store: dict[str, str], lexicon: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", str(lexicon), "s3://bucket/muse"]) == 0
    assert main(["lexicon", "convert", "s3://bucket/muse", "--into", "s3://bucket/lexicon"]) == 0
    assert "written to s3://bucket/lexicon\n" in capsys.readouterr().out


def test_there_and_back(store: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "corpus" / "sides").mkdir(parents=True)
    (tmp_path / "corpus" / "manifest.json").write_text("{}")
    (tmp_path / "corpus" / "sides" / "en.arrow").write_bytes(b"x" * 2_000_000)
    for _ in range(2):  # the same once more changes nothing
        assert main(["copy", str(tmp_path / "corpus"), "s3://bucket/copied"]) == 0
    assert "s3://bucket/copied: 2 files, 2.0 MB" in capsys.readouterr().out
    assert main(["copy", "s3://bucket/copied", str(tmp_path / "back")]) == 0
    assert (tmp_path / "back" / "sides" / "en.arrow").read_bytes() == b"x" * 2_000_000
    (tmp_path / "back" / "manifest.json").write_text("changed")  # unlike the cache's it is ours
    with pytest.raises(UserError, match="s3://bucket/copied exists already, with other content"):
        main(["copy", str(tmp_path / "back"), "s3://bucket/copied"])
    main(["copy", str(tmp_path / "back"), "s3://bucket/copied", "--replace"])
    assert (local(Path("s3://bucket/copied")) / "manifest.json").read_text() == "changed"
    main(["copy", str(tmp_path / "back" / "manifest.json"), "s3://bucket/copied-file"])
    with pytest.raises(UserError, match="s3://bucket/copied-file exists already"):
        main(["copy", str(tmp_path / "back" / "manifest.json"), "s3://bucket/copied-file"])
    main(["copy", "s3://bucket/copied-file", str(tmp_path / "file")])
    assert (tmp_path / "file").read_text() == "changed"
    with pytest.raises(UserError, match=f"there is nothing at {tmp_path}/none"):
        main(["copy", str(tmp_path / "none"), "s3://bucket/none"])
