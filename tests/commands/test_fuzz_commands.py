"""Whatever a user gives, a command ends with status 0, or with status 2 and one line; never with a traceback.

What is given are damaged, empty, foreign and mistyped files, recipes and numbers. Everything runs in this process; trainings
and services are given what stops them before Ray starts.
"""

import gzip
import io
import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xlret.commands.app import main
from xlret.commands.frame import run

quick = settings(
    max_examples=12, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

TEXTS = st.one_of(
    st.sampled_from(["", " ", "de", "en", "zz", "0", "-1", "1e999", "nan", "true", "null", "../x", "a\tb", "a,b", "\u00a0"]),
    st.text(max_size=8),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 10**12), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=4,
)
COLUMNS = st.sampled_from(["id", "docid", "group_id", "lang", "query", "title", "text", "x"])
RECORDS = st.lists(
    st.dictionaries(COLUMNS, VALUES, max_size=6),
    max_size=4,
)
RAW = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.text(max_size=40).map(lambda text: text.encode("utf-16", "surrogatepass")),
    RECORDS.map(lambda records: "\n".join(map(json.dumps, records)).encode()),
    RECORDS.map(lambda records: json.dumps(records).encode()),
    st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=4).map(
        lambda rows: "\n".join(["id\tlang\ttext", *("\t".join(row) for row in rows)]).encode("utf-8", "surrogatepass")
    ),
)
FILES = st.one_of(RAW, RAW.map(gzip.compress), RAW.map(lambda content: gzip.compress(content)[:-4]))
NUMBERS = st.one_of(st.integers(-2, 5), st.sampled_from([10**30, -(10**30)]), st.floats(), TEXTS).map(str)


def outcome(argv: Iterable[object]) -> tuple[int, str]:
    """Status and standard error of a command, as its process would leave them."""
    errors = io.StringIO()
    with redirect_stderr(errors), redirect_stdout(io.StringIO()), pytest.raises(SystemExit) as stop:
        run(lambda: main([str(word) for word in argv]))
    return int(str(stop.value.code)), errors.getvalue()


def check(argv: Iterable[object]) -> int:
    """Asserts what this file is about; returns the status."""
    words = [str(word) for word in argv]
    status, errors = outcome(words)
    assert status in (0, 2), (words, errors)
    if status == 2:
        last = errors.splitlines()[-1]
        assert last.startswith("error: "), (words, errors)
        assert errors.count("error: ") == 1 or errors.count("\n") == 1, (words, errors)
    return status


def damaged(directory: Path, target: Path, change: Callable[[bytes], bytes], which: int) -> Path:
    """A copy of a directory in which one file is changed."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(directory, target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    path = files[which % len(files)]
    path.chmod(0o644)
    path.write_bytes(change(path.read_bytes()))
    return target


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    """A small index in two shards."""
    pytest.importorskip("faiss")
    directory = tmp_path_factory.mktemp("fuzzed")
    rows = [{"id": f"p{row}", "lang": ("de", "en")[row % 2], "text": f"text {row}", "year": row} for row in range(40)]
    (directory / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    source = ["--passages", directory / "rows.jsonl", "--encoder", encoder, "--encode.encoders=0"]
    assert check(["index", "build", directory / "index", *source, "--shards=2", "--threads=1"]) == 0
    return directory / "index"


CHANGES = st.one_of(
    st.just(lambda content: b""),
    st.just(lambda content: content[: len(content) // 2]),
    st.just(lambda content: content + b"\0"),
    st.just(lambda content: b"{}"),
    st.just(lambda content: b"[1, null]"),
    st.just(lambda content: b"\xff" * 40),
    RAW.map(lambda content: lambda _: content),
)


@quick
@given(
    content=FILES,
    ending=st.sampled_from(["jsonl", "jsonl.gz", "csv", "tsv", "parquet", "json", "txt", "CSV"]),
    flags=st.lists(st.sampled_from(["--replace", "--on-bad-row=skip", "--on-bad-row=x", "--set=max_characters=0"]), max_size=2),
    values=st.fixed_dictionaries({}, optional=dict.fromkeys(("dev", "columns", "lang", "format", "read"), VALUES)),
)
def test_prepare(tmp_path: Path, content: bytes, ending: str, flags: list[str], values: dict[str, object]) -> None:
    path = tmp_path / f"rows.{ending}"
    path.write_bytes(content)
    file = {"path": str(path), **{key: value for key, value in values.items() if key in ("columns", "lang")}}
    read = {"format": "rows", "files": [file], **({"format": values["format"]} if "format" in values else {})}
    corpus = {"read": values.get("read", read), **({"dev": values["dev"]} if "dev" in values else {})}
    recipe = {"output": str(tmp_path / "corpora"), "corpora": {"x": corpus}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8", errors="replace")
    check(["prepare", tmp_path / "recipe.yaml", *flags])


@quick
@given(content=FILES, command=st.sampled_from(["prepare", "train", "sweep", "serve", "quickstart"]))
def test_recipes_that_are_none(tmp_path: Path, content: bytes, command: str) -> None:
    (tmp_path / "recipe.yaml").write_bytes(content)
    check(
        [
            command,
            tmp_path / "recipe.yaml",
            "--set",
            f"storage={tmp_path}",
            "--set",
            "corpora=[/absent]",
            "--set",
            "release=/absent",
        ]
    )


KEYS = st.sampled_from(
    [
        "name",
        "steps",
        "seed",
        "plan",
        "plan.alpha",
        "plan.alpha.start",
        "plan.languages",
        "plan.exclude",
        "plan.batch_size",
        "switch.p",
        "switch.policy",
        "switch.lexicons",
        "switch.languages",
        "encoder.start",
        "encoder.fresh",
        "encoder.dimensions",
        "encoder.pooling",
        "dev.corpora",
        "dev.languages",
        "ray.workers",
        "loss",
        "optimiser.learning_rate",
        "reranker.negatives",
        "model",
        "corpora.0",
        "corpora.1.x",
        "x",
        ".",
        "..",
    ]
)


@quick
@given(overrides=st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=3), which=st.integers(0, 20), change=CHANGES)
def test_train(
    tmp_path: Path, corpora: Path, overrides: list[tuple[str, object]], which: int, change: Callable[[bytes], bytes]
) -> None:
    """The corpus is damaged or absent, so that no training begins."""
    corpus = damaged(corpora / "dev", tmp_path / "corpus", change, which)
    (corpus / "manifest.json").unlink(missing_ok=True)
    words = [f"--set={key}={json.dumps(value)}" for key, value in overrides]
    assert check(["train", "--set=name=x", f"--set=storage={tmp_path}/runs", f"--set=corpora=[{corpus}]", *words]) == 2


@quick
@given(
    content=FILES,
    name=st.sampled_from(["en-de.txt", "en-de.tsv", "en-de.txt.gz", "de.txt", "x", "en-en.txt"]),
    command=st.sampled_from(["convert", "invert", "pivot", "filter", "statistics", "titles-of", "induce"]),
    number=NUMBERS,
    text=TEXTS,
)
def test_lexicon(tmp_path: Path, content: bytes, name: str, command: str, number: str, text: str) -> None:
    path, into = tmp_path / name, ["--into", tmp_path / "out", "--replace"]
    path.write_bytes(content)
    argv = {
        "convert": [path, f"--languages={text}", *into],
        "invert": [path, *into],
        "pivot": [path, f"--min-score={number}", f"--pairs={text}", *into],
        "filter": [path, f"--top={number}", f"--longest={number}", *into],
        "statistics": [path, f"--lang={text}"],
        "titles-of": [path, "--style", "titles", *into],
        "induce": [path, path, "--pair", "en-de", f"--limit={number}", *into],
    }[command]
    check(["lexicon", "convert" if command == "titles-of" else command, *argv])


@quick
@given(
    content=FILES,
    ending=st.sampled_from(["jsonl", "jsonl.gz", "csv", "tsv", "parquet", "txt"]),
    flags=st.lists(
        st.one_of(
            st.sampled_from(
                ["--skip-bad-rows", "--lang=de", "--lang=", "--languages=en", "--factory=Flat9", "--shards=0", "--corpus=x"]
            ),
            NUMBERS.map(lambda number: f"--recall={number}"),
            NUMBERS.map(lambda number: f"--encode.passages-per-part={number}"),
        ),
        max_size=3,
    ),
)
def test_index_build(tmp_path: Path, encoder: Path, content: bytes, ending: str, flags: list[str]) -> None:
    pytest.importorskip("faiss")
    path = tmp_path / f"passages.{ending}"
    path.write_bytes(content)
    for left in tmp_path.glob("index*"):
        shutil.rmtree(left)
    here = ["--encoder", encoder, "--encode.encoders", "0", "--threads", "1"]
    check(["index", "build", tmp_path / "index", "--passages", path, *here, *flags])


@quick
@given(which=st.integers(0, 30), change=CHANGES, number=NUMBERS, text=TEXTS)
def test_index_changed(
    tmp_path: Path, index: Path, encoder: Path, which: int, change: Callable[[bytes], bytes], number: str, text: str
) -> None:
    copy = damaged(index, tmp_path / "index", change, which)
    (tmp_path / "ids").write_bytes(change(b"a\nb\n"))
    check(["index", "search", copy, "--", text])
    check(["index", "search", copy, "x", f"--encoder={encoder}", f"--top-k={number}", f"--languages={text}"])
    check(["index", "delete", copy, tmp_path / "ids"])
    check(["index", "compact", copy, f"--shards={number}", "--threads=1"])


@quick
@given(
    which=st.integers(0, 20),
    change=CHANGES,
    flags=st.lists(
        st.one_of(
            st.tuples(
                st.sampled_from(["languages", "held-out", "groups", "balance", "precision", "translate-test", "reranker"]),
                TEXTS,
            ),
            st.tuples(st.sampled_from(["run-depth", "tokens-per-batch", "max-query-tokens"]), NUMBERS),
        ),
        max_size=2,
    ),
    damage_encoder=st.booleans(),
)
def test_evaluate(
    tmp_path: Path,
    corpora: Path,
    encoder: Path,
    which: int,
    change: Callable[[bytes], bytes],
    flags: list[tuple[str, str]],
    damage_encoder: bool,
) -> None:
    model = damaged(encoder, tmp_path / "model", change, which) if damage_encoder else encoder
    corpus = corpora / "dev" if damage_encoder else damaged(corpora / "dev", tmp_path / "corpus", change, which)
    check(
        [
            "evaluate",
            "--encoder",
            model,
            "--corpus",
            corpus,
            "--groups=2",
            *(f"--{flag}={value}" for flag, value in flags if flag != "groups"),
        ]
    )


@quick
@given(which=st.integers(0, 40), change=CHANGES, name=TEXTS, number=NUMBERS)
def test_release(
    tmp_path: Path, index: Path, encoder: Path, which: int, change: Callable[[bytes], bytes], name: str, number: str
) -> None:
    root = tmp_path / "root"
    if not root.exists():
        assert check(["release", "make", "good", "--encoder", encoder, "--index", index, "--root", root, "--copy"]) == 0
        shutil.copytree(root / "good", tmp_path / "good")
    damaged(tmp_path / "good", root / "good", change, which)
    check(["release", "verify", "good", "--root", root])
    check(["release", "list", "--root", root])
    check(["release", "promote", "good", "--root", root, f"--tolerance={number}", f"--benchmark={name}"])
    check(["release", "rollback", "--root", root, f"--alias={name}"])
    (tmp_path / "evaluation.json").write_bytes(change(b"{}"))
    parts = ["--encoder", encoder, "--index", index, "--evaluation", tmp_path / "evaluation.json"]
    check(["release", "make", "--root", root, *parts, "--", name or "x"])
    assert check(["serve", "--release", tmp_path / "absent", f"--port={number}", f"--set=host={name}"]) == 2


@quick
@given(
    command=st.sampled_from(["index build", "release make", "switch", "corpus", "recipes", "lexicon invert"]),
    words=st.lists(st.one_of(TEXTS, st.sampled_from(["--set", "--help=", "-h=1", "--", "--out", "--languages"])), max_size=4),
)
def test_words(command: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check([*command.split(), *words])
