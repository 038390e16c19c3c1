"""Sections of a model card: how the encoder was trained and on what, how good it is, under which licence."""

from collections.abc import Sequence

from xlret.model.card_facts import SetResult, Training
from xlret.model.card_head import licence_of

_TITLES = {"mul": "mAP, pooled corpus", "rank_distance": "rank distance (lower is better)"}


def training_section(training: Training) -> str:
    """Base, languages, settings that matter, and every corpus with its licence and fingerprint."""
    base = "random weights" if training.base is None else f"`{training.base}`"
    rows = {
        "began with": f"{base} (SHA-256 of its weights: {training.start_weights_sha256[:16]})",
        "languages": ", ".join(training.languages) or "not recorded",
        **training.how,
        "commit of xlret": training.commit or "an installed xlret",
    }
    data = [
        [corpus.source, corpus.revision, corpus.licence, f"{corpus.groups:,}", f"`{corpus.fingerprint[:16]}`"]
        for corpus in training.corpora
    ]
    return (
        f"## Training\n\nTrained by `xlret train` as the run `{training.run}`.\n\n"
        + _table(["", ""], [[name, value] for name, value in rows.items()])
        + "\n### Data\n\n"
        + _table(["source", "version", "licence", "groups", "fingerprint"], data)
    )


def evaluation_section(results: Sequence[SetResult]) -> str:
    """A table a retrieval set."""
    text = (
        "## Evaluation\n\nMeasured with `xlret evaluate`: means over query languages, with 95 % intervals (percentile "
        "bootstrap over questions; a question in several languages is drawn with all of them). Shares are between 0 and 1.\n"
    )
    for result in results:
        title = result.benchmark if result.name == result.benchmark else f"{result.benchmark}: {result.name}"
        facts = [
            f"{result.queries:,} queries, {result.passages:,} passages; {', '.join(result.languages)}",
            *([f"split {result.split}"] if result.split else []),
            *([f"from {result.source}"] if result.source else []),
            *([f"licence {result.licence}"] if result.licence else []),
        ]
        rows = [
            [_TITLES.get(metric.name, metric.name), _number(metric.mean), f"{_number(metric.low)} to {_number(metric.high)}"]
            for metric in result.metrics
        ]
        pairs = {"mAP within a language (Mo)": result.mo, "mAP across languages (Cr)": result.cr}
        rows += [[name, _number(value), ""] for name, value in pairs.items() if value is not None]
        text += f"\n### {title}\n\n{'; '.join(facts)}.\n\n" + _table(["", "mean", "95 % interval"], rows)
    return text


def licence_section(training: Training | None, licence: str | None) -> str:
    """Whose word the licence is, and what it was concluded from."""
    if licence is not None:
        return f"## Licence\n\n`{licence}`, as its publisher says. Data and start have their own.\n"
    assert training is not None, "nothing is concluded from nothing"
    chosen = licence_of(training)
    if chosen != "other":
        return f"## Licence\n\n`{chosen}`: that of all its training data; the encoder began from random weights.\n"
    start = "" if training.base is None else f" and those of `{training.base}`, which it began with"
    return f"## Licence\n\nNot settled (`other`): what is known are the terms of its training data, above{start}.\n"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    """Text that stays within its cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) > 1 else f"{value:.4f}"
