from pathlib import Path

import pytest
import yaml
from pydantic import Field

from xlret.batches.settings import PlanSettings
from xlret.config import RECIPES, PathSetting, RecipeSetting, Settings, as_yaml, read_recipe, recipe_names, recipe_path
from xlret.errors import UserError
from xlret.files import path_variables
from xlret.model.settings import EncoderSettings
from xlret.storage.url import is_url
from xlret.switch.settings import SwitchSettings
from xlret.training.settings import TrainJob


class Inner(Settings):
    size: int = Field(3, ge=1)
    places: tuple[PathSetting, ...] = ()


class Outer(Settings):
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    either: float | Inner = 1.0


def test_recipe_and_overrides_are_read_and_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("inner: {size: 5}\nmany: [{size: 1}, {size: 2}]\n")
    job = read_recipe(Outer, path, ["inner.size=7", "many.1.size=9"])
    assert (job.inner.size, [one.size for one in job.many]) == (7, [1, 9])
    path.write_text(as_yaml(job))
    assert read_recipe(Outer, path) == job


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("innr.size=7", "innr: unknown key; allowed here: either, inner, many"),
        ("inner.sise=7", "inner.sise: unknown key; allowed here: places, size"),
        ("inner.size=many", "inner.size is 'many': Input should be a valid integer"),
        ("inner.size=0", "inner.size is 0: Input should be greater than or equal to 1"),
        ("inner=3", "inner is 3: Input should be a mapping of keys to values: places, size"),
        ("many=3", "many is 3: Input should be a list"),
        (
            "either=x",
            "either is 'x': Input should be a valid number, unable to parse string as a number, or: Input should",
        ),
        ("either={size: 0}", "either.size is 0: Input should be greater than or equal to 1"),
        ("inner.size", "is not of the form key.subkey=value"),
        ("inner.size=[1", "the value is not YAML"),
        ("many.4.size=1", "there is no '4' to set something in"),
    ],
)
def test_a_wrong_override_is_one_line_with_key_value_and_what_is_allowed(tmp_path: Path, override: str, sentence: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("many: [{size: 1}]")
    with pytest.raises(UserError) as error:
        read_recipe(Outer, path, [override])
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"[1, 2]", "must be a mapping"), (b"a: [", "not YAML"), (b"\xff\xfe\xff", "not YAML"), (None, "no such file")],
)
def test_a_recipe_that_is_none_is_said_so(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "recipe.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read_recipe(Outer, path)


@pytest.mark.parametrize("alpha", ["-0.1", "1.1", ".nan", "{shape: linear, start: 2, end: 0, steps: 5}", "much"])
def test_alpha_outside_0_to_1_is_refused(alpha: str) -> None:
    with pytest.raises(UserError, match="alpha"):
        read_recipe(PlanSettings, None, [f"alpha={alpha}"])


def test_impossible_combinations_are_refused() -> None:
    with pytest.raises(UserError, match=r"policy ml needs switch\.lexicons"):
        read_recipe(SwitchSettings, None, ["policy=ml"])
    with pytest.raises(UserError, match=r"batch_size 9 is not a multiple of ray\.workers 2"):
        read_recipe(TrainJob, None, ["name=x", "corpora=[a]", "plan.batch_size=9"])
    with pytest.raises(UserError, match="name"):
        read_recipe(TrainJob, None, ["name=../x", "corpora=[a]"])


def test_paths_are_absolute_and_variables_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLRET_HOME", str(tmp_path))
    monkeypatch.setenv("XLRET_SHARED", "/somewhere")
    inner = read_recipe(Inner, None, ["places=[a/b, '${XLRET_SHARED}/c', /d]"])
    assert inner.places == (tmp_path / "a/b", Path("/somewhere/c"), Path("/d"))
    with pytest.raises(UserError, match="variable that is not set"):
        read_recipe(Inner, None, ["places=['${NO_SUCH_VARIABLE_HERE}/c']"])
    (tmp_path / "model").mkdir()
    given = ("fresh", "model", "./no", "xlm-roberta-base")
    starts = [read_recipe(EncoderSettings, None, [f"start={one}"]).start for one in given]
    assert starts == ["fresh", str(tmp_path / "model"), str(tmp_path / "no"), "xlm-roberta-base"]


def test_relative_paths_may_start_at_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLRET_HOME", "s3://bucket/xlret/")
    read = read_recipe(Inner, None, ["places=[a/b, ./c, /d, s3://other/e]"]).places
    assert [str(path) for path in read] == ["s3://bucket/xlret/a/b", "s3://bucket/xlret/c", "/d", "s3://other/e"]
    assert [is_url(path) for path in read] == [True, True, False, True]
    assert path_variables()["XLRET_HOME"] == "s3://bucket/xlret"
    with pytest.raises(UserError, match=r"s3://bucket/xlret/\.\./x is no URL"):
        read_recipe(Inner, None, ["places=[../x]"])


def test_every_recipe_of_training_reads() -> None:
    of_training = [name for name in recipe_names() if "steps" in yaml.safe_load(recipe_path(name).read_text())]
    assert "quickstart" in of_training
    for name in of_training:
        assert read_recipe(TrainJob, name).steps > 0


def test_a_recipe_is_found_by_path_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert recipe_path("quickstart") == RECIPES / "quickstart.yaml"
    (tmp_path / "quickstart").write_text("steps: 3")  # what lies here is meant first
    assert recipe_path("quickstart").samefile(tmp_path / "quickstart")
    with pytest.raises(UserError, match=r"no recipe quickstart\.yaml: .* quickstart"):
        recipe_path("quickstart.yaml")


def test_a_recipe_that_another_names_is_a_name_or_a_path() -> None:
    class Named(Settings):
        base: RecipeSetting

    assert read_recipe(Named, None, ["base=quickstart"]).base == RECIPES / "quickstart.yaml"
    with pytest.raises(UserError, match=r"^base is \{'steps': 3\}: .*path"):
        read_recipe(Named, None, ["base={steps: 3}"])


def test_a_recipe_is_where_relative_paths_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A submitted job runs in a copy of the repository, and its recipe lies where it was submitted."""
    (tmp_path / "my.yaml").write_text("inner: {size: 5}\n")
    monkeypatch.setenv("XLRET_HOME", str(tmp_path))
    assert read_recipe(Outer, "my.yaml").inner.size == 5


def test_nothing_at_all_asks_for_a_recipe() -> None:
    with pytest.raises(UserError, match="give a recipe: a YAML file, or a name that xlret recipes lists"):
        read_recipe(TrainJob, None)
