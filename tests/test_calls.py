"""Where calls are placed."""

import pytest

from xlret.calls import calls_for, in_turn


@pytest.mark.parametrize("address", [None, "", "local"])
def test_without_a_cluster_calls_are_made_in_this_process(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with calls_for(None, 5) as (calls, side_by_side):
        assert calls is in_turn
        assert side_by_side == 1
