"""The loss that settings ask for."""

from collections.abc import Callable

from torch import nn

from xlret.model.losses.base import Loss
from xlret.model.losses.beside import Beside
from xlret.model.losses.clear import Clear
from xlret.model.losses.four_way import FourWay
from xlret.model.losses.infonce import InfoNCE
from xlret.model.losses.jensen_shannon import JensenShannon
from xlret.model.losses.lakda import Lakda
from xlret.model.losses.margin_mse import MarginMse
from xlret.model.losses.mimo import Mimo
from xlret.model.losses.rank_distillation import RankDistillation
from xlret.model.losses.settings import LossKind, LossSettings
from xlret.model.losses.spread import Spread
from xlret.model.losses.xlco import Xlco

_TERMS: dict[LossKind, Callable[[LossSettings], nn.Module]] = {
    "xlco": lambda settings: Xlco(settings.temperature),
    "mimo": lambda settings: Mimo(settings.temperature, settings.distillation_share),
    "lakda": lambda settings: Lakda(settings.temperature),
    "four_way": FourWay,
    "clear": Clear,
    "jensen_shannon": lambda settings: JensenShannon(),
    "rank_distillation": lambda settings: RankDistillation(settings.temperature, settings.teacher_temperature or 1.0),
    "margin_mse": lambda settings: MarginMse(settings.temperature, settings.teacher_temperature or 1.0),
}


def make_loss(settings: LossSettings) -> Loss:
    """InfoNCE, the term that `kind` names, or both with their weights; and the regulariser over it where it has a weight.

    >>> make_loss(LossSettings()), make_loss(LossSettings(kind="xlco"))
    (InfoNCE(), Xlco())
    """
    loss = _contrast_and_term(settings)
    return Spread(loss, settings.spread_weight) if settings.spread_weight else loss


def _contrast_and_term(settings: LossSettings) -> Loss:
    if settings.kind == "infonce":
        return InfoNCE(settings)
    term: Loss = _TERMS[settings.kind](settings)  # type: ignore[assignment]
    if settings.retrieval == 0:
        return term
    return Beside(InfoNCE(settings), term, settings.retrieval, settings.term_weight)
