"""From an encoder and texts to a language component in a file and, where it is one linear map, an encoder that carries it."""

import heapq
from collections.abc import Iterable
from pathlib import Path

import torch
from rich.console import Console

from xlret.data.corpus import ParallelCorpus
from xlret.errors import UserError
from xlret.evaluation import report
from xlret.evaluation.debias.choice import Trial, candidates, trials
from xlret.evaluation.debias.settings import DebiasSettings
from xlret.evaluation.measure import Method, encoded
from xlret.evaluation.sets import from_corpus
from xlret.evaluation.summary import vector_files
from xlret.files import expand_path
from xlret.keys import key_of
from xlret.model.debias.component import DebiasMethod, LanguageComponent
from xlret.model.debias.estimate import LanguageMeans, component_from, language_means
from xlret.model.debias.linear import with_projection
from xlret.model.encoder import Encoder
from xlret.search.passages import Passage, passages_of_corpus, read_passages
from xlret.text.languages import language

DEFAULT_METHOD: DebiasMethod = "project"


def make_component(
    encoder: str,
    out: Path,
    settings: DebiasSettings,
    *,
    module: Path | None = None,
    replace: bool = False,
    console: Console | None = None,
) -> LanguageComponent:
    """Encodes texts, estimates the language component (chosen on dev groups, if there are), and writes it.

    Args:
        encoder: a directory or a hub name.
        out: the file to write.
        settings: from which texts, and how.
        module: directory for an encoder that carries the component, where the method is `project`.
        replace: whether what is there already gives way.
        console: where to print; standard output by default.

    Raises:
        UserError: something of these cannot be used, too few texts, `out` is there already, no method is better than none.
    """
    console = console or Console(highlight=False)
    out, module = expand_path(out), None if module is None else expand_path(module)
    for path in (out, module):
        if path is not None and path.exists() and not replace:
            raise UserError(f"{path} exists already; choose another place, or add --replace")
    if module is not None and settings.method not in (None, "project"):
        raise UserError(f"{settings.method} is no linear map, which a module is; choose the method project, or leave it out")
    texts = drawn_texts(_passages(settings), settings.texts)
    model = Encoder.load(encoder, device="cuda" if torch.cuda.is_available() else "cpu")
    if module is not None and model.exported:
        raise UserError(f"{encoder} was exported, which is done last: add the layer to what it was made from, and export that")
    encoding = Method(precision=settings.precision, progress=True)
    means = language_means({lang: encoded(model, rows, "passage", encoding, lang) for lang, rows in sorted(texts.items())})
    for lang, count in means.too_few.items():
        console.print(f"{lang} has {count} texts, which are too few: its vectors lose what is average", markup=False)
    made_from = f"{sum(means.counts.values()):,} passages of {', '.join(map(str, settings.text or [settings.corpus]))}"
    component = _component(model, settings, means, made_from, vector_files(encoder), module is not None, console)
    component.save(out)
    console.print(f"{component.method} of {len(means.counts)} languages, from {made_from}: {out}", markup=False)
    if module is not None:
        with_projection(model, component).save(module, replace=replace)
        console.print(f"the encoder with it as its last layer: {module}", markup=False)
    return component


def drawn_texts(passages: Iterable[Passage], per_language: int) -> dict[str, list[str]]:
    """Language -> texts of up to so many passages, those whose ids hash lowest: the same in whatever order they come.

    Memory: the texts drawn.
    """
    lowest: dict[str, list[tuple[int, str]]] = {}
    for passage in passages:
        drawn, entry = lowest.setdefault(passage.lang, []), (-key_of("debias", passage.id), passage.full_text)
        if len(drawn) < per_language:
            heapq.heappush(drawn, entry)
        else:
            heapq.heappushpop(drawn, entry)
    return {lang: [text for _, text in sorted(drawn, reverse=True)] for lang, drawn in lowest.items()}


def _passages(settings: DebiasSettings) -> Iterable[Passage]:
    if settings.corpus is not None:
        return passages_of_corpus(ParallelCorpus.open(settings.corpus), settings.languages)
    passages = read_passages(settings.text, lang=None if settings.lang is None else language(settings.lang))
    return (passage for passage in passages if settings.languages is None or passage.lang in settings.languages)


def _component(
    model: Encoder,
    settings: DebiasSettings,
    means: LanguageMeans,
    made_from: str,
    files: dict[str, str],
    linear: bool,
    console: Console,
) -> LanguageComponent:
    method = settings.method or ("project" if linear else None)
    if settings.dev is None:
        return component_from(
            means,
            method or DEFAULT_METHOD,
            alpha=settings.alpha,
            directions=settings.directions,
            made_from=made_from,
            encoder=files,
        )
    corpus = ParallelCorpus.open(settings.dev)
    languages = [lang for lang in corpus.languages if settings.languages is None or lang in settings.languages]
    dev_set = from_corpus(corpus, languages=languages, groups=settings.dev_groups)
    encoding = Method(precision=settings.precision, progress=True)
    queries_QD = encoded(model, dev_set.query_texts, "query", encoding, "dev queries")
    passages_PD = encoded(model, dev_set.passage_texts, "passage", encoding, "dev passages")
    tried = trials(candidates(means, method, made_from=made_from, encoder=files), dev_set, queries_QD, passages_PD)
    report.print_rows(*_trial_rows(tried), f"{dev_set.name}, the best by the mean of Mo, Cr and Mul first", console)
    component = tried[0].component
    if component is None:
        raise UserError(f"on {settings.dev} nothing is better than the vectors as they are; leave them so")
    return component


def _trial_rows(tried: list[Trial]) -> report.Rows:
    rows = [
        [trial.name, *map(report.number, (trial.score, each.mo, each.cr, each.mul, each.rank_distance))]
        for trial in tried
        for each in (trial.evaluation,)
    ]
    return ["", "mean", "Mo", "Cr", "Mul", "rank dist."], rows
