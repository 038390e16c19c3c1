"""`xlret soup`: the mean of several trained encoders as one."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from xlret.commands.frame import new_app, tell
from xlret.files import expand_path
from xlret.storage.url import path_of

EPILOGUE = """\
examples:
  xlret soup soups/three runs/a/model runs/b/model runs/c/model
  xlret soup soups/last runs/a --dev corpora/atlas/dev --metric mul
  xlret soup soups/kept runs/a/model --start runs/a/start --start-share 0.3

A run stands for all of its checkpoints (keep_checkpoints says how many it
keeps). With --dev, held-out corpora, the soup is made greedily: models are tried
from the best on, and one stays where the metric with it is not lower. Do not
report on what you chose by.
"""
app: App = new_app("soup", "Average trained encoders, or a run's checkpoints, into one.", EPILOGUE)

Models = Annotated[tuple[Path, ...], Parameter(help="directories of models, checkpoints or runs")]


@app.default
def soup(
    out: Path,
    models: Models,
    /,
    *,
    shares: tuple[float, ...] = (),
    dev: tuple[Path, ...] = (),
    metric: Literal["mo", "cr", "mul"] = "mul",
    groups: int = 200,
    start: Path | None = None,
    start_share: float = 0.0,
    replace: bool = False,
) -> int:
    """Averages the weights and writes an encoder.

    Args:
        out: directory to write
        shares: the weight of each model; equal by default
        dev: prepared corpora of held-out groups, to choose greedily by
        metric: mAP within a language, across languages, or over all pooled
        groups: groups taken of each dev corpus
        start: what all models began with, to be mixed in
        start_share: how much of the start there is in the end, 0 to 1
        replace: replace what is there already
    """
    from xlret.training.settings import DevSettings
    from xlret.training.soup import make_soup

    corpora = tuple(expand_path(path) for path in dev)
    made = make_soup(
        expand_path(out),
        [expand_path(model) for model in models],
        shares=shares or None,
        dev=DevSettings(corpora=corpora, metric=metric, groups=groups) if corpora else None,
        start=expand_path(start) if start else None,
        start_share=start_share,
        replace=replace,
        say=tell,
    )
    measured = "" if made.metric is None else f", {metric} mAP {made.metric:.4f}"
    print(f"a soup of {len(made.taken)} in {path_of(out)}{measured}")
    return 0
