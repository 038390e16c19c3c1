"""`xlret benchmarks`: which evaluation sets xlret knows, under what terms, and what of them is on this machine."""

import json as as_json

from cyclopts import App
from rich.console import Console

from xlret.commands.frame import new_app
from xlret.evaluation.benchmarks import BENCHMARKS, Benchmark, benchmark
from xlret.evaluation.report import print_rows
from xlret.files import shared_directory
from xlret.hub import cached_bytes

EPILOGUE = """\
examples:
  xlret benchmarks
  xlret benchmarks miracl-hard
  xlret evaluate --encoder NAME --benchmark belebele --hub --languages en de sw

Benchmarks with a repository under "hub" can be fetched by name: evaluate --hub
takes the files that the languages need, at the commit that `revision` names, into
the cache of the hub (HF_HOME); HF_HUB_OFFLINE=1 takes what is there and asks
nobody. The others are fetched by hand: `xlret benchmarks mlqa-r` says what and
from where; --data names the folder.
"on disk" looks into that cache and into $XLRET_SHARED/data/NAME.
"""
app: App = new_app("benchmarks", "List the benchmarks, their licences, and which are on this machine.", EPILOGUE)


@app.default
def benchmarks(name: str | None = None, /, *, json: bool = False) -> int:
    """Prints a row a benchmark, or all about one.

    Args:
        name: all about this one, with its files and its BibTeX
        json: print JSON
    """
    about = [_facts(each) for each in ([benchmark(name)] if name else BENCHMARKS.values())]
    if json:
        print(as_json.dumps(about, ensure_ascii=False, indent=2))
    elif name:
        for key, value in about[0].items():
            print(f"{key}: {', '.join(value) if isinstance(value, list) else value}")
    else:
        columns = ("name", "task", "languages", "size", "metric", "licence", "hub", "on disk")
        rows = [[_in_short(key, row) for key in columns] for row in about]
        print_rows(columns, rows, None, Console(highlight=False, width=220))
    return 0


def _in_short(key: str, facts: dict[str, str | list[str]]) -> str:
    """A fact for a column of the list."""
    if key == "languages":
        return str(len(facts[key]))
    if key == "hub" and facts[key] == "-":
        return "-" if facts["to fetch by hand"] == "-" else "by hand"
    first, *others = str(facts[key]).split(", ") if key == "hub" else [str(facts[key])]
    return f"{first} +{len(others)}" if others else first


def _facts(about: Benchmark) -> dict[str, str | list[str]]:
    folder = shared_directory() / "data" / about.name
    on_disk = []
    if folder.is_dir():
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        on_disk = [f"$XLRET_SHARED/data/{about.name} ({size / 1e6:,.1f} MB)"]
    cached = sum(cached_bytes(repository) for repository in about.hub)
    return {
        "name": about.name,
        "title": about.title,
        "task": about.task,
        "languages": list(about.languages),
        "size": about.size,
        "metric": about.metric,
        "licence": about.licence,
        "source": about.source,
        "revision": about.revision,
        "files": about.files,
        "to fetch by hand": about.by_hand or "-",
        "hub": ", ".join(repository.name for repository in about.hub) or "-",
        "on disk": "; ".join([*on_disk, *([f"{cached / 1e6:,.1f} MB in the hub's cache"] if cached else [])]) or "-",
        "citation": about.citation,
    }
