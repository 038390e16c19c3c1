"""`xlret serve` before Ray is started: what it refuses, and what it prints for a cluster's machines."""

import socket
from pathlib import Path

import pytest

from xlret.commands.app import main
from xlret.config import read_recipe
from xlret.errors import UserError
from xlret.ports import free_port
from xlret.serve.ray.start import fast_environment, serving
from xlret.serve.settings import ServeSettings


def test_a_missing_release_is_one_line(tmp_path: Path) -> None:
    for arguments, said in (
        ([], "--release is needed"),
        (["--release", str(tmp_path / "no")], "no release"),
        (["--release", str(tmp_path)], "no alias"),
        (["--release", str(tmp_path), "--port", "99999"], "port"),
        (["--release", str(tmp_path), "--set", "shards=2"], "unknown key"),
    ):
        with pytest.raises(UserError, match=said):
            main(["serve", *arguments])


def test_a_taken_port_and_a_cluster_not_made_for_it_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = read_recipe(ServeSettings, None, [f"release={tmp_path}", f"port={taken.getsockname()[1]}"])
        with pytest.raises(UserError, match="choose another --port"), serving(settings, pytest.fail):
            pass
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.delenv("RAY_SERVE_ENABLE_HA_PROXY", raising=False)
    with pytest.raises(UserError, match=r"xlret serve --environment DIR"), serving(settings, pytest.fail):
        pass
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "1")
    with pytest.raises(UserError, match=r"no Ray answers at RAY_ADDRESS=127\.0\.0\.1:1"), serving(settings, pytest.fail):
        pass


def test_the_environment_for_a_cluster_is_lines_for_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "a directory"
    assert main(["serve", "--environment", str(directory)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "export RAY_SERVE_ENABLE_HA_PROXY=1" in lines
    assert f"export RAY_SERVE_HAPROXY_BINARY_PATH='{directory}/haproxy'" in lines
    assert (directory / "haproxy").stat().st_mode & 0o777 == 0o700


def test_without_haproxy_the_switches_that_need_it_are_off(tmp_path: Path) -> None:
    names = fast_environment(ServeSettings(front="ray"), tmp_path)
    assert "RAY_SERVE_ENABLE_HA_PROXY" not in names
    assert "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S" in names
    assert free_port() != 0


@pytest.mark.parametrize("word", ["on", "off", "auto"])
def test_a_reranker_is_turned_on_and_off_by_words_that_yaml_takes_for_others(word: str) -> None:
    assert read_recipe(ServeSettings, None, [f"rerank={word}"]).rerank == word
