"""Evaluates an encoder: `python -m jobs.evaluate --encoder DIR_OR_NAME --benchmark xquad-r --data DIR`."""

import argparse
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from rich.console import Console

from jobs.cli import run_job
from xlret.config import EncoderSettings, PathSetting, Settings, as_yaml, settings_from
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.evaluation import report
from xlret.evaluation.benchmarks import BENCHMARKS, benchmark
from xlret.evaluation.bias import mean_rank_correlation
from xlret.evaluation.evaluate import POOLED, Evaluation, evaluate
from xlret.evaluation.metrics import mean
from xlret.evaluation.retrieve import FloatMatrix
from xlret.evaluation.save import read_scores, scores_of, write_evaluation
from xlret.evaluation.sets import RetrievalSet, from_corpus
from xlret.evaluation.significance import compare
from xlret.files import expand_path
from xlret.model.encoder import Encoder, start_encoder
from xlret.text.languages import language
from xlret.text.tokenise import CARD, SideName, read_card

EXAMPLE = f"""\
examples:
  python -m jobs.evaluate --encoder runs/NAME/model --benchmark xquad-r --data ../shared/data/xquad-r --out runs/NAME/xquad-r
  python -m jobs.evaluate --encoder runs/NAME/model --corpus corpora/mine/dev --held-out sw
  python -m jobs.evaluate --encoder intfloat/multilingual-e5-small --query-prompt "query: " --passage-prompt "passage: " \\
      --benchmark tatoeba --data ../shared/data/tatoeba --languages de sw
  python -m jobs.evaluate ... --out new --compare old/evaluation.json     # paired tests, corrected for their number

benchmarks: {", ".join(f"{one.name} ({one.title})" for one in BENCHMARKS.values())}

what the table shows, mAP over exact rankings of all passages:
  Mo    queries of a language over passages of the same language, mean over languages
  Cr    over passages of one other language, mean over all ordered pairs
  Mul   over all passages of all languages at once, the answers in every language relevant, mean over query languages
  rank distance  last minus first rank of the translations of an answer in that pool; small: no language is preferred

what --out gets: evaluation.json (all numbers, settings, versions, time), report.html (with the matrix as a heat map),
queries.csv (what --compare reads), qrels.trec and run.trec (the best --run-depth passages of each query, for trec_eval).
"""


_CORRELATED = 100
"""The depth of mean rank correlation."""
_PACKAGES = ("xlret", "torch", "transformers", "tokenizers", "numpy")


class EvaluateSettings(Settings):
    """What an encoder is evaluated on, and how its texts are encoded."""

    benchmark: str | None = None
    """One of the benchmarks by name; or else `corpus`."""
    data: PathSetting | None = None
    """Directory with the benchmark's published files."""
    corpus: PathSetting | None = None
    """A prepared corpus, as its own benchmark."""
    groups: int | None = Field(None, ge=1)
    """At most so many groups of the corpus."""
    languages: tuple[str, ...] | None = None
    held_out: tuple[str, ...] = ()
    """Languages that the encoder was not trained on; shown by themselves."""
    query_prompt: str | None = None
    passage_prompt: str | None = None
    max_query_tokens: int | None = Field(None, ge=4)
    """None: what the encoder's directory says, else 96 as in LAReQA."""
    max_passage_tokens: int | None = Field(None, ge=4)
    """None: what the encoder's directory says, else 256 as in LAReQA."""
    precision: Literal["float32", "bfloat16"] = "float32"
    tokens_per_batch: int = Field(8192, ge=1)
    run_depth: int = Field(1000, ge=0)
    """Passages of each query in run.trec; 0 writes none. XQuAD-R to depth 1000 takes 800 MB."""

    @field_validator("languages", "held_out", mode="after")
    @classmethod
    def _codes(cls, codes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return codes if codes is None else tuple(language(code) for code in codes)

    @model_validator(mode="after")
    def _one_set(self) -> "EvaluateSettings":
        if (self.benchmark is None) == (self.corpus is None):
            raise ValueError("give either a benchmark with its data or a corpus")
        one = None if self.benchmark is None else benchmark(self.benchmark)
        if one is not None and self.data is None:
            raise ValueError(f"benchmark {one.name} needs data: a directory with {one.files} from {one.source}")
        return self


def main(argv: Sequence[str] | None = None) -> int:
    """Encodes, searches, prints the tables, writes what --out asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.evaluate",
        description="Evaluates an encoder within, across and over all languages, the way the papers do.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--encoder", required=True, help="a directory saved by xlret or sentence-transformers, or a hub name")
    add("--benchmark", help="name of a benchmark, see below")
    add("--data", help="directory with the benchmark's published files")
    add("--corpus", help="a prepared corpus instead of a benchmark")
    add("--groups", type=int, help="at most so many groups of the corpus")
    add("--languages", nargs="+", help="only these languages, as queries and passages")
    add("--held-out", nargs="+", help="languages that were held out of training, to be shown by themselves")
    add("--query-prompt", help="text before each query (default: as the encoder says)")
    add("--passage-prompt", help="text before each passage (default: as the encoder says)")
    add("--max-query-tokens", type=int, help="default: as the encoder says, else 96")
    add("--max-passage-tokens", type=int, help="default: as the encoder says, else 256")
    add("--precision", help="float32 (default) or bfloat16, faster on GPUs and recent processors")
    add("--tokens-per-batch", type=int, help="padded tokens encoded at once (default 8192)")
    add("--run-depth", type=int, help="passages of each query in run.trec (default 1000; 0: no run)")
    add("--out", type=Path, help="directory to write to")
    add("--replace", action="store_true", help="replace an evaluation that is there already")
    add("--compare", type=Path, metavar="EVALUATION.json", help="test the difference to another evaluation of the same set")
    values = {key: value for key, value in vars(parser.parse_args(argv)).items() if value is not None}
    encoder, out, other = values.pop("encoder"), values.pop("out", None), values.pop("compare", None)
    replace = values.pop("replace")
    evaluate_encoder(encoder, settings_from(EvaluateSettings, values), out, replace=replace, compare_with=other)
    return 0


def evaluate_encoder(
    encoder: str, settings: EvaluateSettings, out: Path | None, *, replace: bool = False, compare_with: Path | None = None
) -> list[Evaluation]:
    """Evaluates an encoder on every set of a benchmark, prints the tables and writes `out`, in one step at the end.

    Args:
        encoder: a directory or a hub name.
        settings: what to evaluate on.
        out: directory for evaluation.json and its kin; None only prints.
        replace: whether an earlier evaluation in `out` gives way.
        compare_with: `evaluation.json` of another encoder on the same set.

    Raises:
        UserError: something of these cannot be used.
    """
    console = Console(highlight=False)
    out = None if out is None else expand_path(out)
    if out is not None and out.exists() and not (replace and (out / "evaluation.json").is_file()):
        raise UserError(f"{out} exists already; choose another place{'' if replace else ', or add --replace'}")
    others = None if compare_with is None else read_scores(expand_path(compare_with))
    sets, model = _sets(settings), _load(encoder, settings)
    seconds = {"encoding": 0.0, "search": 0.0}
    done: list[tuple[RetrievalSet, Evaluation]] = []
    for one in sets:
        began = time.monotonic()
        queries = _vectors(model, one.query_texts, "query", settings, f"{one.name}: queries")
        passages = _vectors(model, one.passage_texts, "passage", settings, f"{one.name}: passages")
        encoded = time.monotonic()
        depth = max(settings.run_depth if out else 0, _CORRELATED if one.query_groups else 0)
        found = evaluate(one, queries, passages, depth=depth)
        seconds["encoding"] += encoded - began
        seconds["search"] += time.monotonic() - encoded
        report.print_evaluation(found, held_out=settings.held_out, console=console)
        done.append((one, found))
    summary = _summary(encoder, settings, done, seconds)
    differences = None if others is None else compare(scores_of(done), others)
    if differences is not None:
        report.print_differences(differences, console=console)
        summary["comparison"] = {"with": str(compare_with), "tests": [vars(one) for one in differences]}
    if settings.benchmark is not None and len(done) > 1:
        metric = benchmark(settings.benchmark).metric
        console.print(f"mean {metric} of {len(done)} sets: {report.number(summary[metric])}", markup=False)
    if out is not None:
        write_evaluation(
            out,
            done,
            summary,
            title=f"{encoder} on {settings.benchmark or settings.corpus}",
            settings=f"encoder: {encoder}\n{as_yaml(settings)}",
            held_out=settings.held_out,
            differences=differences,
            run_depth=settings.run_depth,
            replace=replace,
        )
        console.print(f"written to {out}", markup=False)
    return [found for _, found in done]


def _load(name: str, settings: EvaluateSettings) -> Encoder:
    """The encoder, with the settings' prompts and length limits in place of its own."""
    directory, own = expand_path(Path(name)), {"max_query_tokens": 96, "max_passage_tokens": 256}
    if name == "fresh":
        raise UserError("there is no encoder `fresh` to evaluate; name a directory or a hub name")
    if (directory / CARD).is_file():
        card = read_card(directory)
        own = {key: getattr(card, key) for key in (*own, "pooling", "query_prompt", "passage_prompt")}
    keys = ("query_prompt", "passage_prompt", "max_query_tokens", "max_passage_tokens")
    given = {key: getattr(settings, key) for key in keys if getattr(settings, key) is not None}
    values = {"start": name, **own, **given}
    return start_encoder(settings_from(EncoderSettings, values), None, 0).to("cuda" if torch.cuda.is_available() else "cpu")


def _sets(settings: EvaluateSettings) -> Iterator[RetrievalSet]:
    if settings.benchmark is not None and settings.data is not None:
        return benchmark(settings.benchmark).load(settings.data, settings.languages)
    assert settings.corpus is not None
    return iter([from_corpus(ParallelCorpus.open(settings.corpus), languages=settings.languages, groups=settings.groups)])


def _vectors(model: Encoder, texts: Sequence[str], side: SideName, settings: EvaluateSettings, show: str) -> FloatMatrix:
    """A vector for each text, [N, D]; texts that are equal are encoded once and get the same vector, bit for bit."""
    place: dict[str, int] = {}
    rows = [place.setdefault(text, len(place)) for text in texts]
    found = model.encode(
        list(place), side, precision=settings.precision, tokens_per_batch=settings.tokens_per_batch, progress=show
    )
    return found[rows]


def _summary(
    encoder: str, settings: EvaluateSettings, done: Sequence[tuple[RetrievalSet, Evaluation]], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """The content of evaluation.json; numbers at the top are means over the sets."""
    found = [one for _, one in done]
    names = ("mo", "cr", "mul", "micro", "rank_distance")
    about = None if settings.benchmark is None else benchmark(settings.benchmark)
    return {
        "encoder": encoder,
        "settings": settings.model_dump(mode="json"),
        **{name: mean(np.array([getattr(one, name) for one in found])) for name in names},
        **{name: mean(np.array([one.pooled[name] for one in found])) for name in POOLED},
        "held_out": {one.name: one.rows_of(settings.held_out) for one in found} if settings.held_out else None,
        "sets": [report.as_json(one) | _correlation(of, one) for of, one in done],
        "benchmark": about and {key: getattr(about, key) for key in ("name", "metric", "licence", "source", "revision")},
        "seconds": dict(seconds),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "hardware": {
            "machine": platform.platform(),
            "cpus": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def _correlation(of: RetrievalSet, one: Evaluation) -> dict[str, float]:
    """MRC@100 where it is known which queries are the same question."""
    top = one.retrieved.top_QK[:, :_CORRELATED]
    return {f"mrc@{_CORRELATED}": mean_rank_correlation(top, of.query_groups, of.query_langs)} if of.query_groups else {}


if __name__ == "__main__":
    run_job(main)
