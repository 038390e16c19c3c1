"""Model soup: the mean of several trained encoders, or of a run's checkpoints, as one encoder (Wortsman et al., ICML 2022).

It costs nothing to search with, unlike an ensemble, and is often better than any of its ingredients where these come from one
start. Greedily made, it takes an ingredient only where a dev set does not get worse by it.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file

from xlret.errors import UserError
from xlret.files import local
from xlret.model.encoder import Encoder
from xlret.model.soup import Weights, averaged
from xlret.training.checkpoint import WEIGHTS, kept_checkpoints
from xlret.training.dev import DevSets
from xlret.training.settings import DevSettings
from xlret.training.shares import Shares

_PREFIX = "encoder."
"""Of an encoder's weights in a checkpoint, which holds the loss's too."""
Say = Callable[[str], None]


class Soup(NamedTuple):
    """What a soup was made of."""

    taken: list[str]
    """The ingredients, in the order in which they were taken."""
    metric: float | None
    """Of the soup on the dev sets, where there are any."""


def make_soup(
    out: Path,
    ingredients: Sequence[Path],
    *,
    shares: Sequence[float] | None = None,
    dev: DevSettings | None = None,
    start: Path | None = None,
    start_share: float = 0.0,
    replace: bool = False,
    say: Say = print,
) -> Soup:
    """Writes the mean of several encoders as one.

    Args:
        out: the directory to make.
        ingredients: directories of encoders, checkpoints, or runs, which stand for all of their checkpoints.
        shares: the weight of each ingredient; scaled to sum to 1. Equal by default.
        dev: with held-out corpora the soup is made greedily: ingredients are tried from the best on, and one stays where the
            metric of the soup with it is not lower.
        start: what all of them began with, mixed in at the end with `start_share` (WiSE-FT, Wortsman et al., CVPR 2022): some
            of what training has forgotten comes back.
        start_share: 0 to 1.
        replace: whether `out` may be there already.
        say: told what each try gave.

    Cost: weights of all ingredients in memory; with dev corpora two evaluations for each of them.

    Raises:
        UserError: fewer than two models, shares that do not fit them, models of other architectures, cards or tokenizers, a
            metric that the dev corpora do not give, or `out` exists.
    """
    if out.exists() and not replace:
        raise UserError(f"{out} exists already; choose another directory or say --replace")
    if not 0 <= start_share <= 1 or (start is None) != (start_share == 0):
        raise UserError(f"start {start} with a share of {start_share}; give a directory and a share above 0 to 1, or neither")
    paths = [path for ingredient in ingredients for path in _models_of(ingredient)]
    if len(paths) + (start is not None) < 2:
        raise UserError(f"a soup is of two models or more, and {len(paths)} was given; name runs, checkpoints or models")
    if shares is not None and (
        dev is not None or len(shares) != len(paths) or not 0 < sum(shares) < math.inf or min(shares) < 0
    ):
        raise UserError(f"{len(shares)} shares for {len(paths)} models; give each one, 0 or more, and no dev corpora with them")
    encoders = [_loaded(path) for path in paths]
    names = [str(path) for path in paths]
    _refuse_other_cards(encoders, names)
    began = [] if start is None else [_loaded(start)]  # whose weights alone are taken
    _refuse_other_tokenizers([*encoders, *began], [*names, str(start)])
    soup = encoders[0]
    states: list[Weights] = [{name: tensor.clone() for name, tensor in encoder.state_dict().items()} for encoder in encoders]
    del encoders
    taken = list(range(len(states)))
    sets = DevSets.open(dev) if dev is not None else None

    def metric(rows: Sequence[int]) -> float:
        assert sets is not None, "asked for with dev corpora alone"
        assert dev is not None, "asked for with dev corpora alone"
        soup.load_state_dict(averaged([states[row] for row in rows], [1 / len(rows)] * len(rows), [names[row] for row in rows]))
        metrics = sets.evaluate(soup, Shares(), "float32")
        assert metrics is not None, "this is the only process"
        if math.isnan(metrics[dev.metric]):
            raise UserError(f"{dev.metric} has no queries to stand on in the dev corpora; choose another metric")
        return metrics[dev.metric]

    if dev is not None:
        taken = _greedy(metric, names, dev.metric, say)
    parts = [1 / len(taken)] * len(taken) if shares is None else [share / sum(shares) for share in shares]
    mean = averaged([states[row] for row in taken], parts, [names[row] for row in taken])
    if began:
        both = [mean, began[0].state_dict()]
        mean = averaged(both, [1 - start_share, start_share], ["the soup", str(start)])
    soup.load_state_dict(mean)
    result = sets.evaluate(soup, Shares(), "float32") if sets is not None else None
    soup.save(out, replace=replace)
    return Soup([names[row] for row in taken], result[dev.metric] if result and dev else None)


def _greedy(metric: Callable[[Sequence[int]], float], names: Sequence[str], name: str, say: Say) -> list[int]:
    alone = [metric([row]) for row in range(len(names))]
    order = sorted(range(len(names)), key=lambda row: -alone[row])
    taken, best = order[:1], alone[order[0]]
    say(f"{names[order[0]]}: {name} {best:.4f} alone")
    for row in order[1:]:
        value = metric([*taken, row])
        say(f"{names[row]}: {name} {alone[row]:.4f} alone, {value:.4f} in the soup, {'taken' if value >= best else 'left out'}")
        if value >= best:
            taken, best = [*taken, row], value
    return taken


def _models_of(path: Path) -> list[Path]:
    """The models that a path stands for."""
    if not path.is_dir():
        raise UserError(f"there is no {path}; name directories of runs, checkpoints or models")
    if (path / "run.json").is_file():
        checkpoints = kept_checkpoints(path)
        if not checkpoints:
            raise UserError(f"run {path} has no checkpoints; train it first")
        return checkpoints
    return [path]


def _loaded(path: Path) -> Encoder:
    """The encoder of a directory, or of a checkpoint with the rest of it from its run."""
    if not (path / WEIGHTS).is_file():
        return Encoder.load(path)
    encoder = Encoder.load(path.parent.parent / "start")
    try:
        weights = load_file(local(path) / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"checkpoint {path} cannot be read ({error}); leave it out") from error
    own = {name.removeprefix(_PREFIX): tensor for name, tensor in weights.items() if name.startswith(_PREFIX)}
    if own.keys() != encoder.state_dict().keys():
        raise UserError(
            f"{path} holds no whole encoder, as checkpoints of rerankers and adapters do not; name model/ of its run"
        )
    encoder.load_state_dict(own)
    return encoder


def _refuse_other_tokenizers(encoders: Sequence[Encoder], names: Sequence[str]) -> None:
    """Vocabularies of one size have matrices of one shape, whose rows are of other pieces."""
    for name, encoder in zip(names, encoders, strict=False):
        if encoder.tokeniser.fingerprint != encoders[0].tokeniser.fingerprint:
            raise UserError(f"{name} has another tokenizer than {names[0]}; a soup is of models from one start")


def _refuse_other_cards(encoders: Sequence[Encoder], names: Sequence[str]) -> None:
    first = encoders[0].card.model_dump()
    for name, encoder in zip(names, encoders, strict=True):
        card = encoder.card.model_dump()
        if odd := sorted(key for key in first if card[key] != first[key]):
            raise UserError(
                f"{name} makes vectors in another way than {names[0]}: {odd[0]} is {card[odd[0]]!r} there and "
                f"{first[odd[0]]!r} here; a soup is of models from one start"
            )
