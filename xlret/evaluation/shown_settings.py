"""What pages show of how an evaluation's numbers came about."""

import json
from collections.abc import Mapping
from typing import Any


def configuration(summary: Mapping[str, Any]) -> str:
    """What of evaluation.json says how its numbers came about, as indented JSON: settings, versions and fingerprints.

    Args:
        summary: as `summary` makes it, or what was read back of it.
    """
    names = ("encoder", "benchmark", "settings", "encoder_files", "encoder_source", "debias", "balance", "index", "reranker")
    shown = {name: summary[name] for name in (*names, "versions", "hardware") if summary.get(name) is not None}
    sets = {each["name"]: {key: each.get(key) for key in ("sha256", "read_from")} for each in summary.get("sets", [])}
    return json.dumps(shown | {"sets": sets}, ensure_ascii=False, indent=1)
