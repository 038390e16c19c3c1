"""Who searches and who encodes, where the settings leave it open."""

from typing import Any

import pytest

from xlret.serve.ray.deployments import SMALL, IngressReplica, _deployment, _ingress, _placed
from xlret.serve.settings import ServeSettings


@pytest.mark.parametrize(
    ("settings", "passages", "groups", "encoder_in"),
    [
        ({}, SMALL, 0, "ingress"),
        ({}, SMALL + 1, 1, "replicas"),
        ({"ingress": {"least": 2, "most": 2, "cpus": 0.5}}, SMALL, 0, "ingress"),
        ({"encoder": {"most": 2}}, SMALL, 0, "replicas"),
        ({"encoder": {"gpus": 1}}, SMALL, 0, "replicas"),
        ({"shard": {"least": 2}}, SMALL, 1, "replicas"),
        ({"shard_groups": 0}, 10 * SMALL, 0, "ingress"),
        ({"encoder_in": "ingress"}, 10 * SMALL, 1, "ingress"),
        ({"encoder_in": "replicas"}, SMALL, 0, "replicas"),
    ],
)
def test_small_services_are_in_the_ingress(settings: dict[str, Any], passages: int, groups: int, encoder_in: str) -> None:
    placed = _placed(ServeSettings(**settings), passages)
    assert (placed.shard_groups, placed.encoder_in) == (groups, encoder_in)


def test_an_ingress_reserves_what_its_encoder_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"cpus": 0.5, "resources": {"front": 1}}
    settings = ServeSettings(ingress=own, encoder={"cpus": 2, "gpus": 1, "resources": {"front": 0.5}}, encoder_in="ingress")
    assert (_ingress(settings).cpus, _ingress(settings).gpus, _ingress(settings).resources) == (2.5, 1, {"front": 1.5})
    deployed = _deployment(IngressReplica, "Ingress", _ingress(settings), settings)
    assert deployed.ray_actor_options["resources"] == {"front": 1.5}
    assert _ingress(settings.model_copy(update={"encoder_in": "replicas"})) == settings.ingress
    monkeypatch.setattr("xlret.serve.ray.deployments._machines", lambda: 3)
    assert _placed(ServeSettings(), 10).encoder_in == "replicas"
