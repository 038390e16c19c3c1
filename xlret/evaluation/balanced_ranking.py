"""The balances of `balance` over whole rankings of all passages, for evaluation."""

from collections.abc import Mapping

import numpy as np

from xlret.errors import UserError
from xlret.search.balance import BALANCES, MARGIN, Balance, taking_turns
from xlret.search.calibration import Calibration
from xlret.shapes import FloatMatrix, IntArray


class BalancedRanking:
    """Turns scores of all passages into scores whose order is the balanced one; a `Reorder` of `evaluation.retrieve`.

    `calibrated` scores are in standard deviations. `quota` scores are 0 for the first, -1 for the second passage and so on.
    The best `top_k` passages are those that `balanced_order` finds among the best `top_k` of each language, but for ties.

    Args:
        balance: `quota` or `calibrated`.
        queries_QD: vectors of all queries that will be ranked, in their order.
        calibration: of the passages; quota can do without.

    Raises:
        UserError: `calibrated` without a calibration, or one of another dimension.
    """

    def __init__(self, balance: Balance, queries_QD: FloatMatrix, calibration: Calibration | None = None) -> None:
        if balance == "none" or balance not in BALANCES:
            raise UserError(f"balance is {balance!r}; rankings are changed by {', '.join(BALANCES[1:])}")
        if balance == "calibrated" and calibration is None:
            raise UserError("balance calibrated needs a calibration")
        self._quota = balance == "quota"
        self._queries_QD = queries_QD
        self._calibration = calibration

    def __call__(self, rows: IntArray, scores_BP: FloatMatrix, columns: Mapping[str, slice]) -> FloatMatrix:
        """The scores of some queries anew, see `evaluation.retrieve.Reorder`; `scores_BP` is overwritten."""
        if self._calibration is not None:
            mean_BL, spread_L = self._calibration.levels(self._queries_QD[rows], list(columns))
            for number, segment in enumerate(columns.values()):
                scores_BP[:, segment] = (scores_BP[:, segment] - mean_BL[:, [number]]) / spread_L[number]
        if self._quota:
            sizes = [segment.stop - segment.start for segment in columns.values()]
            lang_P = np.repeat(np.arange(len(sizes)), sizes)
            margin = np.inf if self._calibration is None else MARGIN
            falling_P = -np.arange(scores_BP.shape[1], dtype=np.float32)
            for scores_P in scores_BP:
                order = np.argsort(-scores_P, kind="stable")
                scores_P[order[taking_turns(scores_P[order], lang_P[order], margin)]] = falling_P
        return scores_BP
