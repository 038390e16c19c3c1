"""What the driver tells of a run's batches and evaluations."""

from collections import Counter
from pathlib import Path

import pytest

from xlret.batches.plan import BatchPlan
from xlret.batches.settings import PlanSettings
from xlret.data.corpus import ParallelCorpus
from xlret.training import gauges
from xlret.training.gauges import PlanGauges, language_shares


def test_shares_of_languages_are_of_the_batches_since_the_last_report(corpora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = BatchPlan([ParallelCorpus.open(corpora / "train")], PlanSettings(batch_size=8))
    told: list[tuple[str, float, dict[str, str]]] = []
    monkeypatch.setattr(gauges, "tell", lambda name, value, **labels: told.append((name, value, labels)))
    gauge = PlanGauges("r", plan, 2)
    gauge.on_report(3, {"group": "train"})
    gauge.on_report(5, {"group": "train"})
    gauge.on_report(5, {"group": "dev", "mul": 0.3, "mo": 0.5})
    texts = Counter(lang for step in range(6, 10) for lang in (*plan.step(step).query_lang, *plan.step(step).passage_lang))
    shares = {labels["lang"]: value for name, value, labels in told[4:8] if name == "xlret_train_language_share"}
    assert shares == {lang: texts[lang] / (4 * 2 * 8) for lang in ("en", "de", "fr", "tr")}
    assert [(name, value, labels["metric"]) for name, value, labels in told[8:]] == [
        ("xlret_train_dev", 0.5, "mo"),
        ("xlret_train_dev", 0.3, "mul"),
    ]
    assert language_shares(plan, 6, 10) == pytest.approx({lang: share for lang, share in shares.items() if share})
