"""The service on Ray Serve: an ingress, an encoder, groups of shards, a reranker and the control, each with its replicas.
(The shards of a small index are in the ingress, and on one machine so is its encoder.)

The replicas are shells around what runs without Ray too: `app.build_app` and `Gateway` in the ingress, the backends of
`local` in the others, `control.Releases` in the control. A swap changes what living replicas hold; nothing starts again.
"""

import asyncio
import gc
import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray import serve

from xlret.config import settings_from
from xlret.errors import UserError
from xlret.release import resolve, verify_release
from xlret.release.once import VerifiedOnce
from xlret.release.record import read_record
from xlret.search.passages import Passage
from xlret.search.query import SearchOptions
from xlret.serve.engine.backends import GroupHits
from xlret.serve.ray.control import INGRESS, Releases, ReplicaReport, ServingPlan
from xlret.serve.ray.follow import Duties, Follower, Traffic
from xlret.serve.ray.log_lines import LineSender
from xlret.serve.ray.remote import RemoteControl, RemoteEncoder, RemoteReranker, RemoteShards
from xlret.serve.record import Observer
from xlret.serve.settings import ReplicaSettings, ServeSettings
from xlret.storage.url import path_of
from xlret.text.sides import Side

APP = "xlret"
"""The application's name in Ray Serve."""
CONTROL = "Control"
SMALL = 100_000
"""Passages that an ingress may search itself: exact search of so many takes some milliseconds of a thread."""
METRICS_S = 2.0
"""How often gauges are set."""
HEALTH_TIMEOUT_S = 10.0
"""A replica that does not answer health checks for three times so long is replaced. (One that dies is noticed at once.)"""


class ControlReplica:
    """The control's deployment: one replica. When it is killed, its successor learns the plan from the others."""

    async def __init__(self, settings: ServeSettings, once: VerifiedOnce) -> None:  # type: ignore[misc]  # Ray Serve awaits it
        path = resolve(_release(settings))
        restarted = _others_run()
        if not restarted:
            await asyncio.to_thread(verify_release, path, once)
        self._releases = Releases(
            root=path.parent,
            active=path.name,
            kinds=_kinds(settings),
            verify=partial(verify_release, check=once),
            deadline=settings.deadline,
            restarted=restarted,
        )

    async def first(self) -> ServingPlan:
        """See `Releases.first`."""
        return await self._releases.first()

    async def tell(self, report: ReplicaReport) -> ServingPlan:
        """See `Releases.tell`."""
        return await self._releases.tell(report)

    async def follow(self, report: ReplicaReport, wait_s: float) -> ServingPlan:
        """See `Releases.follow`."""
        return await self._releases.follow(report, wait_s)

    async def swap(self, name: str) -> Mapping[str, Any]:
        """See `Releases.swap`."""
        return await self._releases.swap(name)

    async def status(self) -> Mapping[str, Any]:
        """See `Releases.status`."""
        return {**await self._releases.status(), "control": os.getpid()}

    async def drain(self, wait_s: float) -> int:
        """See `Releases.drain`."""
        return await self._releases.drain(wait_s)


class EncoderReplica:
    """One replica of the encoder."""

    async def __init__(  # type: ignore[misc]  # Ray Serve awaits it
        self, settings: ServeSettings, once: VerifiedOnce, control: Any
    ) -> None:
        from xlret.serve.engine.local import LocalEncoder

        self._local = LocalEncoder(settings, check=once)
        self._follower = _follower("encoder", Duties(self._local.load, self._local.drop), control)
        await _start(self._follower)

    async def encode(self, release: str, texts: Sequence[str], side: Side) -> NDArray[np.float32]:
        """See `EncoderBackend.encode`."""
        return await self._local.encode(release, texts, side)

    def check_health(self) -> None:
        """Called by Ray Serve."""
        self._follower.check()


class ShardReplica:
    """One replica of one group of shards. It needs FAISS and Arrow, not torch."""

    async def __init__(  # type: ignore[misc]  # Ray Serve awaits it
        self, settings: ServeSettings, once: VerifiedOnce, control: Any, group: int
    ) -> None:
        from xlret.serve.engine.local import LocalShards

        self._local = LocalShards(settings, group, _groups(settings), check=once)
        self._follower = _follower(_shards(group), Duties(self._local.load, self._local.drop), control)
        self._group = group
        await _start(self._follower)

    async def numbers(self, release: str) -> Sequence[int]:
        """The shards of a release that this group serves."""
        return self._local.numbers(release)

    async def search(
        self, release: str, vectors_QD: NDArray[np.float32], options: Sequence[SearchOptions], along: Sequence[int]
    ) -> GroupHits:
        """See `ShardBackend.search`."""
        return await self._local.search(release, vectors_QD, options, along)

    async def passages(self, release: str, passage_rows: Sequence[tuple[int, int]]) -> list[Passage]:
        """See `ShardBackend.passages`."""
        return await self._local.passages(release, passage_rows)

    async def damage(self, release: str) -> str | None:
        """See `ShardBackend.damage`."""
        return await self._local.damage(release)

    def check_health(self) -> None:
        """Called by Ray Serve."""
        self._follower.check()


class RerankerReplica:
    """One replica of the reranker."""

    async def __init__(  # type: ignore[misc]  # Ray Serve awaits it
        self, settings: ServeSettings, once: VerifiedOnce, control: Any
    ) -> None:
        from xlret.serve.engine.local import LocalReranker

        self._local = LocalReranker(settings, check=once)
        self._follower = _follower("reranker", Duties(self._local.load, self._local.drop), control)
        await _start(self._follower)

    async def score(self, release: str, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """See `RerankerBackend.score`."""
        return await self._local.score(release, pairs)

    def check_health(self) -> None:
        """Called by Ray Serve."""
        self._follower.check()


@serve.ingress()
class IngressReplica:
    """One replica of the HTTP endpoint: the gateway and the application around it."""

    async def __init__(  # type: ignore[misc]  # Ray Serve awaits it
        self,
        settings: ServeSettings,
        once: VerifiedOnce,
        control: Any,
        encoder: Any | None,
        shards: Sequence[Any],
        reranker: Any | None,
        lines: Path | None,
    ) -> None:
        from xlret.serve.engine.gateway import Gateway
        from xlret.serve.engine.info import read_info
        from xlret.serve.engine.local import LocalEncoder, LocalShards
        from xlret.serve.ray.metrics import Metrics

        used: set[str] = set()
        self._settings = settings
        self._control = RemoteControl(control)
        self._metrics = Metrics()
        self._gateway = gateway = Gateway(
            LocalEncoder(settings, check=once) if encoder is None else RemoteEncoder(encoder, used),
            [RemoteShards(group, used) for group in shards] or [LocalShards(settings, check=once)],
            None if reranker is None else RemoteReranker(reranker, used),
            settings,
            partial(read_info, check=once),
        )
        self._observers: list[Observer] = [self._metrics.observe]
        if lines is not None:
            self._observers.append(LineSender(lines))
        prepared: dict[str, Any] = {}

        async def load(name: str, path: str) -> None:
            prepared[name] = await gateway.prepare(path_of(path))

        async def drop(name: str) -> None:
            if (live := prepared.pop(name, None)) is not None:
                await gateway.discard(live)

        async def turn(name: str, path: str) -> None:
            live = prepared.pop(name, None)
            if live is not None:
                gateway.activate(live)
            else:
                await gateway.swap(path_of(path))

        def drain() -> None:
            gateway.gate.draining = True

        def traffic() -> Traffic:
            return Traffic(gateway.release, tuple(sorted(used)), gateway.gate.requests)

        self._follower = _follower(INGRESS, Duties(load, drop, turn, drain, traffic), control)
        await _start(self._follower)
        self._measuring = asyncio.create_task(self._measure())

    def __serve_build_asgi_app__(self) -> Any:
        from xlret.serve.http.app import build_app

        return build_app(self._gateway, control=self._control, observers=self._observers)

    def check_health(self) -> None:
        """Called by Ray Serve."""
        self._follower.check()

    async def _measure(self) -> None:
        while True:
            self._metrics.state(self._gateway.status())
            await asyncio.sleep(METRICS_S)


def application(settings: ServeSettings, once: VerifiedOnce | None = None, lines: Path | None = None) -> serve.Application:
    """The service as a Ray Serve application, for `serve.run`.

    Args:
        settings: of the service.
        once: verifies releases, once on each machine for all parts of the service; by default one of its own.
        lines: a socket to which the lines of the request log go too (see log_lines.py).

    Raises:
        UserError: there is no release.
    """
    once = once or VerifiedOnce()
    record = read_record(resolve(_release(settings)))
    if settings.rerank == "auto":
        settings = settings.model_copy(update={"rerank": "on" if record.reranker else "off"})
    settings = _placed(settings, record.index.passages)
    control = _deployment(ControlReplica, CONTROL, ReplicaSettings(cpus=0, ongoing=1000), settings).bind(settings, once)
    encoder = None
    if settings.encoder_in == "replicas":
        encoder = _deployment(EncoderReplica, "Encoder", settings.encoder, settings).bind(settings, once, control)
    shards = [
        _deployment(ShardReplica, f"Shards{group}", settings.shard, settings).bind(settings, once, control, group)
        for group in range(_groups(settings))
    ]
    reranker = None
    if settings.rerank == "on":
        reranker = _deployment(RerankerReplica, "Reranker", settings.reranker, settings).bind(settings, once, control)
    ingress = _deployment(IngressReplica, "Ingress", _ingress(settings), settings)
    return ingress.bind(settings, once, control, encoder, shards, reranker, lines)


def _placed(settings: ServeSettings, passages: int) -> ServeSettings:
    """The settings with what they leave open decided: who searches so many passages, and who encodes questions."""
    shard_groups, encoder_in = settings.shard_groups, settings.encoder_in
    if shard_groups == "auto":
        shard_groups = 0 if passages <= SMALL and settings.shard.highest == 1 else 1
    if encoder_in == "auto":
        is_alone = settings.encoder.highest == 1 and not settings.encoder.gpus and _machines() == 1
        encoder_in = "ingress" if shard_groups == 0 and is_alone else "replicas"
    return settings.model_copy(update={"shard_groups": shard_groups, "encoder_in": encoder_in})


def _machines() -> int:
    """Of the Ray that this process is connected to; where it is to none, the service has its own machine alone."""
    return sum(node["Alive"] for node in ray.nodes()) if ray.is_initialized() else 1


def _ingress(settings: ServeSettings) -> ReplicaSettings:
    """The ingress with what it reserves for the encoder, where it holds that."""
    ingress, encoder = settings.ingress, settings.encoder
    if settings.encoder_in == "replicas":
        return ingress
    both = (ingress.resources, encoder.resources)
    resources = {name: sum(each.get(name, 0.0) for each in both) for name in both[0] | both[1]}
    reserved = {"cpus": ingress.cpus + encoder.cpus, "gpus": ingress.gpus + encoder.gpus, "resources": resources}
    return ingress.model_copy(update=reserved)


def app_from_config(args: dict[str, Any]) -> serve.Application:
    """The application for `serve deploy`: `args` of the YAML file are the settings of `ServeSettings`.

    Raises:
        UserError: a setting is wrong.
    """
    return application(settings_from(ServeSettings, args))


def _deployment(kind: type, name: str, replicas: ReplicaSettings, settings: ServeSettings) -> Any:
    scale: dict[str, Any] = {"num_replicas": replicas.least}
    if replicas.most > replicas.least:
        scale = {
            "autoscaling_config": {
                "min_replicas": replicas.least,
                "max_replicas": replicas.most,
                "target_ongoing_requests": replicas.target,
            }
        }
    return serve.deployment(kind).options(
        name=name,
        max_ongoing_requests=replicas.ongoing,
        # Calls that wait for a replica. Each has a deadline, but while no replica runs nothing else would bound them.
        max_queued_requests=4 * replicas.ongoing,
        ray_actor_options={"num_cpus": replicas.cpus, "num_gpus": replicas.gpus, "resources": replicas.resources},
        health_check_period_s=settings.health_s,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
        graceful_shutdown_wait_loop_s=0.2,
        graceful_shutdown_timeout_s=settings.deadline.drain_s,
        **scale,
    )


def _follower(kind: str, duties: Duties, control: Any) -> Follower:
    _log_to_stderr()
    return Follower(serve.get_replica_context().replica_tag, kind, os.getpid(), duties, RemoteControl(control))


async def _start(follower: Follower) -> None:
    """Loads what the plan says. What is there then stays: Python's collector need not walk through all of it again, which
    keeps requests waiting for 0.1 s and more where torch is loaded. (A release that is freed later has no circles.)"""
    await follower.start()
    gc.collect()
    gc.freeze()


def _log_to_stderr() -> None:
    """What goes wrong, into the replica's log (logs/worker-*.err of Ray's session; `ray logs`), where requests are too."""
    logger = logging.getLogger("xlret.serve")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def _groups(settings: ServeSettings) -> int:
    assert settings.shard_groups != "auto", "application() has chosen"
    return settings.shard_groups


def _shards(group: int) -> str:
    return f"shards {group}"


def _kinds(settings: ServeSettings) -> list[str]:
    groups = [_shards(group) for group in range(_groups(settings))]
    encoder = ["encoder"] if settings.encoder_in == "replicas" else []
    return [INGRESS, *encoder, *groups, *(["reranker"] if settings.rerank == "on" else [])]


def _release(settings: ServeSettings) -> Path:
    if settings.release is None:
        raise UserError("release: is needed and was not given; name a release or a directory of releases")
    return settings.release


def _others_run() -> bool:
    """Whether replicas of this application run already: then this control takes over from one that was lost."""
    name = serve.get_replica_context().app_name
    application = serve.status().applications.get(name)
    deployments = application.deployments if application is not None else {}
    return any(status.replica_states.get("RUNNING", 0) for deployment, status in deployments.items() if deployment != CONTROL)
