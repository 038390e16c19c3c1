"""Writing to a real S3 server: whole or not seen, nothing overwritten unasked, and what a store refuses in one line."""

import os
from collections.abc import Callable
from pathlib import Path

import moto.settings
import pytest
from moto.moto_server import werkzeug_app

from xlret.artifacts import locked
from xlret.errors import UserError
from xlret.files import directory_beside, edited_directory, local, remove_tree, write_json, write_text
from xlret.storage import cache as caching
from xlret.storage import publish as publishing
from xlret.storage import remote
from xlret.storage.publish import publish
from xlret.storage.url import Url, as_url


@pytest.fixture
def url(store: dict[str, str], request: pytest.FixtureRequest) -> Url:
    return as_url(f"s3://bucket/{request.node.name}")


def made(directory: Path, **contents: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (directory / name).write_text(content)
    return directory


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in local(directory).iterdir()}


def change(url: Url, content: str, then: Callable[[], object]) -> None:
    with edited_directory(url) as copy:
        write_text(copy / "a", content)
        if isinstance(outcome := then(), BaseException):
            raise outcome


def test_nobody_sees_half_of_a_directory(url: Url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = made(tmp_path / "d", a="1", b="2")
    upload = remote.upload

    def interrupted(source: Path, target: Url) -> None:
        if target.name == "b":
            raise KeyboardInterrupt
        upload(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(remote, "upload", interrupted)
        with pytest.raises(KeyboardInterrupt):
            publish(directory, url)
    assert (url / "a").exists()
    assert not url.exists()
    with pytest.raises(UserError, match=f"{url} is not whole: it is being written, or that was interrupted"):
        local(url)
    with pytest.raises(UserError, match=f"{url} is not whole"):
        local(url / "a")
    publish(directory, url)
    assert contents(url) == {"a": "1", "b": "2"}


def test_other_content_stands_unless_it_may_go(url: Url, tmp_path: Path) -> None:
    publish(made(tmp_path / "d", a="1", b="2"), url)
    publish(tmp_path / "d", url)  # the same once more
    made(tmp_path / "d", a="changed", c="3")
    (tmp_path / "d" / "b").unlink()
    with pytest.raises(UserError, match=f"{url} exists already, with other content"):
        publish(tmp_path / "d", url)
    assert contents(url) == {"a": "1", "b": "2"}
    publish(tmp_path / "d", url, replace=True)
    assert contents(url) == {"a": "changed", "c": "3"}
    assert not (url / "b").exists()


def test_what_others_wrote_is_never_replaced(url: Url, tmp_path: Path) -> None:
    (url / "thesis.tex").write_bytes(b"years of work")
    with pytest.raises(UserError, match="holds what xlret has not written there"):
        publish(made(tmp_path / "d", a="1"), url, replace=True)
    assert (url / "thesis.tex").read_bytes() == b"years of work"


def test_only_what_is_new_is_sent(url: Url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(made(tmp_path / "d", a="1", b="2"), url)
    sent = []
    monkeypatch.setattr(publishing.remote, "upload", lambda source, target: sent.append(target.name))
    made(tmp_path / "d", b="changed", c="3")
    publish(tmp_path / "d", url, replace=True)
    assert sent == ["c", "b"], "new names first, those that readers may be at last"


def test_a_directory_is_changed_as_a_whole(url: Url) -> None:
    with directory_beside(url) as fresh:
        made(fresh, a="1")
    with edited_directory(url) as copy:
        write_text(copy / "a", "2")
        write_json(copy / "b", [])
    assert contents(url) == {"a": "2", "b": "[]\n"}
    with pytest.raises(KeyboardInterrupt):
        change(url, "3", KeyboardInterrupt)
    assert contents(url)["a"] == "2"
    with pytest.raises(UserError, match="changed by somebody else meanwhile"):
        change(url, "4", lambda: change(url, "5", int))
    assert contents(url)["a"] == "5"
    remove_tree(url)
    assert not url.exists()
    with pytest.raises(UserError, match="there is nothing at"), edited_directory(url):
        pass


def test_what_killed_processes_left_is_cleared(cache: Path) -> None:
    left = caching.work_path() / "fresh-left"
    left.mkdir(parents=True)
    with caching.work_directory() as first, caching.work_directory() as second:
        assert not left.exists()
        assert first.is_dir(), "in use"
        assert second.is_dir()
    assert not any(path.name.startswith("fresh-") for path in (cache / "work").iterdir())


def test_one_process_of_a_machine_at_a_time(url: Url) -> None:
    with (
        locked(url / ".lock", "busy"),
        pytest.raises(UserError, match=rf"busy \(it is process {os.getpid()}"),
        locked(url / ".lock", "busy"),
    ):
        pass


def test_what_a_store_refuses_is_one_line(url: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="s3://no-such-bucket/x cannot be written: there is no such bucket; make it"):
        write_text(as_url("s3://no-such-bucket/x"), "x")
    monkeypatch.setattr(moto.settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0.0)  # from here on the store wants keys that it knows
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    with pytest.raises(UserError, match=f"{url} cannot be written: the store does not know the key; set AWS_ACC") as refused:
        write_text(url, "x")
    assert "hush" not in str(refused.value)
    assert "OTHER" not in str(refused.value)
    with pytest.raises(UserError, match=f"{url} cannot be read: the store refuses; set AWS_ACCESS_KEY_ID and AWS_SEC"):
        local(url)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setattr(werkzeug_app.DomainDispatcherApplication, "__call__", refuse_unsigned)
    with pytest.raises(UserError, match=f"{url} cannot be read: the store refuses; set AWS_ACCESS_KEY_ID and AWS_SEC"):
        local(url)


def refuse_unsigned(self: object, environ: dict[str, str], start_response: Callable[..., object]) -> list[bytes]:
    """What S3 answers where nobody says who asks; moto breaks down over that."""
    assert "HTTP_AUTHORIZATION" not in environ
    start_response("403 Forbidden", [("content-length", "0")])
    return []
