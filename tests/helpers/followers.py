"""Replicas that only note what the control tells them, and a link to a control that may be killed; without Ray."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from xlret.errors import CorruptError, UserError
from xlret.serve.ray import control, follow
from xlret.serve.ray.control import Releases, ReplicaReport, ServingPlan
from xlret.serve.ray.follow import Duties, Follower, Traffic
from xlret.serve.settings import DeadlineSettings

KINDS = ("encoder", "ingress", "shards 0")


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens what control and followers wait for."""
    monkeypatch.setattr(follow, "POLL_S", 0.2)
    monkeypatch.setattr(follow, "AGAIN_S", 0.02)
    monkeypatch.setattr(control, "GONE_S", 1.5)


class Link:
    """Reaches whichever control is there now; None: it was killed."""

    def __init__(self, releases: Releases | None) -> None:
        self.releases = releases

    def _living(self) -> Releases:
        if self.releases is None:
            raise ConnectionError("the control is gone")
        return self.releases

    async def first(self) -> ServingPlan:
        while self.releases is None:
            await asyncio.sleep(0.01)
        return await self.releases.first()

    async def tell(self, report: ReplicaReport) -> ServingPlan:
        return await self._living().tell(report)

    async def follow(self, report: ReplicaReport, wait_s: float) -> ServingPlan:
        return await self._living().follow(report, wait_s)


class Member:
    """A replica that only notes what it is told."""

    def __init__(self, link: Link, kind: str, name: str | None = None) -> None:
        self.loaded: list[str] = []
        self.bad: set[str] = set()
        self.moved: set[str] = set()
        """Releases whose directories have gone since they were loaded."""
        self.active: str | None = None
        self.uses: set[str] = set()
        self.requests = 0
        self.draining = False
        self.loading = asyncio.Event()
        self.loading.set()
        is_ingress = kind == "ingress"
        duties = Duties(
            self._load,
            self._drop,
            self._turn if is_ingress else None,
            self._drain,
            (lambda: Traffic(self.active, tuple(sorted(self.uses)), self.requests)) if is_ingress else None,
        )
        self.follower = Follower(name or kind, kind, 1, duties, link)

    async def _load(self, name: str, path: str) -> None:
        await self.loading.wait()
        if name in self.bad:
            raise CorruptError(f"{path} is damaged")
        self.loaded.append(name)

    async def _drop(self, name: str) -> None:
        self.loaded.remove(name)

    async def _turn(self, name: str, path: str) -> None:
        assert name in self.loaded
        if name in self.moved:
            raise UserError(f"there is no release {path}")
        self.uses.add(name)
        self.active = name

    def _drain(self) -> None:
        self.draining = True

    def kill(self) -> None:
        assert self.follower._following is not None
        self.follower._following.cancel()


def fresh_releases(restarted: bool = False, **deadlines: float) -> Releases:
    """A control of the releases below /r, with `one` in service; there is none called `missing`.

    Args:
        restarted: it comes after one that was killed.
        deadlines: of `DeadlineSettings`.
    """

    def verify(path: Path) -> None:
        if path.name == "missing":
            raise UserError(f"there is no release {path}")

    settings = DeadlineSettings(**{"load_s": 20, "drain_s": 5, **deadlines})
    return Releases(Path("/r"), "one", KINDS, verify, settings, restarted)


async def started_members(link: Link) -> dict[str, Member]:
    """One member of each kind, following."""
    members = {kind: Member(link, kind) for kind in KINDS}
    for member in members.values():
        await member.follower.start()
    return members


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Waits until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
