"""URLs as paths: joined, pickled, written to recipes, and refused where they hold what belongs into the environment."""

import pickle
from pathlib import Path

import pytest

from xlret.config import PathSetting, Settings, as_yaml, settings_from
from xlret.errors import UserError
from xlret.files import expand_path
from xlret.storage.url import Url, as_url, is_url, shown


class Job(Settings):
    storage: PathSetting


def test_a_url_is_joined_as_a_path_is_and_stays_one() -> None:
    run = expand_path(Path("s3://bucket/runs//mine/"))
    assert isinstance(run, Url)
    assert str(run / "model") == "s3://bucket/runs/mine/model"
    assert [str(run.parent), run.name, str(run.with_name("other"))] == ["s3://bucket/runs", "mine", "s3://bucket/runs/other"]
    assert (run.scheme, run.authority, run.key) == ("s3", "bucket", "runs/mine")
    again = pickle.loads(pickle.dumps(run))
    assert (type(again), again) == (Url, run)
    assert as_url(Path(str(run))) == run, "through a plain path, which has lost a slash"


def test_variables_of_the_environment_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "mine")
    assert str(expand_path(Path("gs://$BUCKET/corpora"))) == "gs://mine/corpora"


def test_a_recipe_holds_the_url_as_it_was_given() -> None:
    job = settings_from(Job, {"storage": "s3://bucket/runs"})
    assert as_yaml(job) == "storage: s3://bucket/runs\n"
    assert settings_from(Job, {"storage": str(job.storage)}) == job


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://host/x", "allowed are local paths and URLs s3://, gs://, hdfs://"),
        ("s3:///x/../y", "s3://x/../y is no URL"),
        ("s3://AKID:hush@bucket/x", "come from the environment alone"),
        ("s3://AKID:hush/hush@bucket/x", "come from the environment alone"),
        ("https://AKID:hush/h@hush@host/x", "allowed are local paths"),
        ("hdfs://AKID:hush/hush@node:9000/x", "come from the environment alone"),
        ("s3://bucket/x?secret_key=hush", "come from the environment alone"),
        ("hdfs://hush@node:9000/x", "come from the environment alone"),
        ("s3://bucket:9000/x", "come from the environment alone"),
    ],
)
def test_what_no_url_may_hold_is_refused_and_not_shown(text: str, said: str) -> None:
    with pytest.raises(UserError, match="x") as refused:
        settings_from(Job, {"storage": text})
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)
    assert "AKID" not in str(refused.value)


def test_secrets_of_urls_are_taken_out_of_texts() -> None:
    assert shown("a s3://k:s@b/x?t=1 and gs://b/y") == "a s3://b/x and gs://b/y"
    assert shown("s3://k:s+/s@s@b/x: 's3://k:s/s@b' gs://b/y@2") == "s3://b/x: 's3://b' gs://b/y@2"
    assert shown("corpora/mine, not a URL: x@y") == "corpora/mine, not a URL: x@y"


@pytest.mark.parametrize("text", ["corpora/mine", "/a/b", "name=/a", "wiki.jsonl", "a:b"])
def test_local_paths_are_no_urls(text: str) -> None:
    assert not is_url(text)
