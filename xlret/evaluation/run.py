"""Evaluates an encoder from its name to the tables and files that an evaluation leaves."""

import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from xlret.config import as_yaml, settings_from
from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.evaluation import report
from xlret.evaluation.balance_effect import TOP, calibration_of, effect_json, effect_rows
from xlret.evaluation.balanced_ranking import BalancedRanking
from xlret.evaluation.benchmarks import benchmark
from xlret.evaluation.evaluate import Evaluation, evaluate
from xlret.evaluation.rerank import reranking
from xlret.evaluation.retrieve import FloatMatrix
from xlret.evaluation.save import read_scores, scores_of, write_evaluation
from xlret.evaluation.sets import RetrievalSet, from_corpus
from xlret.evaluation.settings import EvaluateSettings
from xlret.evaluation.significance import compare
from xlret.evaluation.summary import CORRELATED, summary
from xlret.evaluation.translate_test import translated
from xlret.files import expand_path, sha256_of
from xlret.lexicon.lexicon import Lexicon
from xlret.model.encoder import Encoder, start_encoder
from xlret.model.reranker import Reranker
from xlret.model.settings import EncoderSettings
from xlret.search.calibration import Calibration
from xlret.search.vectors.fingerprint import encoder_files
from xlret.switch.translate import WordTranslator
from xlret.text.sides import Side
from xlret.tokens.card import CARD, read_card


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
    calibration = None if settings.calibration is None else Calibration.load(settings.calibration)
    reranker = None if settings.reranker is None else Reranker.load(settings.reranker, device=_device())
    lexicon = None if settings.translate_test is None else Lexicon.load([settings.translate_test])
    sets: Iterable[RetrievalSet] = retrieval_sets(settings)
    model = _load(encoder, settings)
    if lexicon is not None:  # all of them before the first is encoded: a language that is missing shows at once
        sets = [translated(one, WordTranslator(lexicon, "en", one.languages)) for one in sets]
    seconds = {"encoding": 0.0, "search": 0.0}
    done: list[tuple[RetrievalSet, Evaluation]] = []
    effects: dict[str, Any] = {}
    reranked: dict[str, Any] = {}
    for one in sets:
        began = time.monotonic()
        queries = _vectors(model, one.query_texts, "query", settings, f"{one.name}: queries")
        passages = _vectors(model, one.passage_texts, "passage", settings, f"{one.name}: passages")
        encoded = time.monotonic()
        depth = max(settings.run_depth if out else 0, CORRELATED if one.query_groups else 0, TOP)
        found = evaluate(one, queries, passages, depth=depth)
        both = {"none": found}
        if settings.balance != "none":
            made = calibration or calibration_of(one, passages)
            found = evaluate(one, queries, passages, depth=depth, reorder=BalancedRanking(settings.balance, queries, made))
            both[settings.balance] = found
            effects[one.name] = effect_json(one, both) | {"calibrated_from": str(settings.calibration or made.made_from)}
        if reranker is not None:
            score = partial(reranker.score, tokens_per_batch=settings.tokens_per_batch, precision=settings.precision)
            both = {"encoder alone": found}
            found = evaluate(one, queries, passages, depth=depth, reorder=reranking(one, score, settings.rerank_depth))
            both["reranked"] = found
            reranked[one.name] = effect_json(one, both)
        seconds["encoding"] += encoded - began
        seconds["search"] += time.monotonic() - encoded
        report.print_evaluation(found, held_out=settings.held_out, console=console)
        if len(both) > 1:
            title = f"the best {settings.rerank_depth} passages of each query before and after reranking"
            if reranker is None:
                title = f"balance of languages before and after, calibrated from {effects[one.name]['calibrated_from']}"
            report.print_rows(*effect_rows(one, both), title, console)
        done.append((one, found))
    about = None if settings.benchmark is None else benchmark(settings.benchmark)
    values = summary(encoder, settings, about, done, held_out=settings.held_out, seconds=seconds)
    values |= {"encoder_files": _files(encoder), "balance": effects or None}
    values["reranker"] = None
    if settings.reranker is not None:
        values["reranker"] = {"sha256": sha256_of(settings.reranker / "model.safetensors"), "effects": reranked}
    differences, incomparable = None, None
    try:
        differences = None if others is None else compare(scores_of(done), others)
    except UserError as error:
        incomparable = error  # what was measured is written all the same
    if differences is not None:
        report.print_differences(differences, console=console)
        values["comparison"] = {"with": str(compare_with), "tests": [vars(one) for one in differences]}
    if about is not None and len(done) > 1:
        console.print(f"mean {about.metric} of {len(done)} sets: {report.number(values[about.metric])}", markup=False)
    if out is not None:
        write_evaluation(
            out,
            done,
            values,
            title=f"{encoder} on {settings.benchmark or settings.corpus}",
            settings=f"encoder: {encoder}\n{as_yaml(settings)}",
            held_out=settings.held_out,
            differences=differences,
            run_depth=settings.run_depth,
            replace=replace,
        )
        console.print(f"written to {out}", markup=False)
    if incomparable is not None:
        raise incomparable
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
    return start_encoder(settings_from(EncoderSettings, values), None, 0).to(_device())


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def retrieval_sets(settings: EvaluateSettings) -> Iterator[RetrievalSet]:
    """What there is to evaluate on, each read when it is asked for."""
    if settings.benchmark is not None and settings.data is not None:
        return benchmark(settings.benchmark).load(settings.data, settings.languages)
    assert settings.corpus is not None
    return iter([from_corpus(ParallelCorpus.open(settings.corpus), languages=settings.languages, groups=settings.groups)])


def _vectors(model: Encoder, texts: Sequence[str], side: Side, settings: EvaluateSettings, show: str) -> FloatMatrix:
    """A vector for each text, [N, D]; texts that are equal are encoded once and get the same vector, bit for bit."""
    place: dict[str, int] = {}
    rows = [place.setdefault(text, len(place)) for text in texts]
    found = model.encode(
        list(place), side, precision=settings.precision, tokens_per_batch=settings.tokens_per_batch, progress=show
    )
    return found[rows]


def _files(encoder: str) -> dict[str, str] | None:
    """Checksums of an encoder that xlret saved, so that a release knows whose numbers these are; None for any other."""
    directory = expand_path(Path(encoder))
    return encoder_files(directory) if (directory / CARD).is_file() else None
