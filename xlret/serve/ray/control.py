"""Which releases a service holds and which one it serves: one place that decides, and replicas that report and follow."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from xlret.errors import UserError
from xlret.release.alias import release_named
from xlret.serve.settings import DeadlineSettings

R = TypeVar("R")

INGRESS = "ingress"
"""The kind of member that answers requests; all other kinds hold releases for it."""
GONE_S = 15.0
"""A member that has not reported for so long is not waited for. Once started it reports every few seconds, loading or not."""
ADOPT_S = 10.0
"""How long a control that came back waits for a member to say what the plan was."""


@dataclass(frozen=True)
class ServingPlan:
    """What every replica of a service is to do."""

    epoch: int
    """Grows with each change."""
    active: str
    """The release that new requests go to."""
    live: Mapping[str, str]
    """Release -> its directory: the ones to hold. Two while a swap is under way, else one."""
    ready: tuple[str, ...] = ()
    """Those that every encoder, shard and reranker holds: an ingress prepares them, which asks the shards."""
    draining: bool = False
    """Whether the service is stopping: no new requests are taken."""


@dataclass(frozen=True)
class ReplicaReport:
    """What one replica says of itself."""

    member: str
    kind: str
    """`encoder`, `reranker`, `shards 0`, ... or `ingress`."""
    process: int
    plan: ServingPlan | None = None
    """The newest that it has seen."""
    holds: tuple[str, ...] = ()
    """Releases it has loaded."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Releases it could not load, and why."""
    active: str | None = None
    """Of an ingress: where its new requests go."""
    uses: tuple[str, ...] = ()
    """Of an ingress: releases that it may still send requests to."""
    requests: int = 0
    """Of an ingress: in work."""


class Releases:
    """The service's plan and what its members report. Runs on one event loop; knows nothing of Ray.

    Args:
        root: directory that holds the releases a swap may name.
        active: the release to start with.
        kinds: the kinds of members that must hold a release before it is served.
        verify: checks a release's directory, slow and blocking; it runs in a thread.
        deadline: `load_s` for loading a release, `drain_s` for the last requests of the old one.
        restarted: whether members run already, and know the plan better than `active` says.
    """

    def __init__(
        self,
        root: Path,
        active: str,
        kinds: Collection[str],
        verify: Callable[[Path], object],
        deadline: DeadlineSettings,
        restarted: bool = False,
    ) -> None:
        self._root, self._kinds, self._verify, self._deadline = root, frozenset(kinds), verify, deadline
        self.plan = ServingPlan(0 if restarted else 1, active, {active: str(root / active)}, (active,))
        self._members: dict[str, tuple[float, ReplicaReport]] = {}
        self._news = asyncio.Condition()
        self._swapping = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._known = asyncio.Event()
        if restarted:
            asyncio.get_running_loop().call_later(ADOPT_S, self._known.set)
        else:
            self._known.set()

    async def first(self) -> ServingPlan:
        """The plan, for a replica that starts."""
        await self._known.wait()
        return self.plan

    async def tell(self, report: ReplicaReport) -> ServingPlan:
        """Takes in what a member says; returns the plan as it is."""
        seen = report.plan
        if seen is not None and seen.epoch > self.plan.epoch:
            await self._change(seen)
            self._known.set()
            for name in set(seen.live) - {seen.active}:
                self._background(self._retire(name))
        self._members[report.member] = (time.monotonic(), report)
        async with self._news:
            self._news.notify_all()
        return self.plan

    async def follow(self, report: ReplicaReport, wait_s: float) -> ServingPlan:
        """As `tell`, and waits up to `wait_s` for a plan that the member has not seen."""
        await self.tell(report)
        seen = report.plan.epoch if report.plan is not None else 0
        with contextlib.suppress(TimeoutError):
            await self._until(lambda: self.plan.epoch > seen, wait_s)
        return self.plan

    async def swap(self, name: str) -> dict[str, Any]:
        """Serves another release of the same root: every replica loads it beside the old one, then all ingresses turn to it.

        Returns once new requests go to it everywhere; the old one is freed when its last request has ended. A caller that
        goes away does not stop it.

        Raises:
            UserError: no such release, or it cannot be used. Nothing has changed.
        """
        name = await asyncio.to_thread(release_named, self._root, name)
        return await asyncio.shield(self._background(self._swap(name)))

    async def status(self) -> dict[str, Any]:
        """The plan and what each member reports, as plain values."""
        now = time.monotonic()
        members = [
            {
                "id": report.member,
                "kind": report.kind,
                "process": report.process,
                "holds": list(report.holds),
                "refused": dict(report.refused),
                **({"active": report.active, "requests": report.requests} if report.kind == INGRESS else {}),
                "seen_s_ago": round(now - seen, 1),
            }
            for seen, report in sorted(self._members.values(), key=lambda member: (member[1].kind, member[1].member))
            if now - seen < 4 * GONE_S
        ]
        return {
            "active": self.plan.active,
            "live": sorted(self.plan.live),
            "epoch": self.plan.epoch,
            "draining": self.plan.draining,
            "replicas": members,
        }

    async def drain(self, wait_s: float) -> int:
        """Tells every ingress to take no more requests; returns how many are still in work when all are done or time is up."""
        await self._known.wait()
        await self._next(draining=True)

        def done() -> bool:
            ingresses = self._alive(INGRESS)
            return bool(ingresses) and all(report.plan == self.plan and not report.requests for report in ingresses)

        with contextlib.suppress(TimeoutError):
            await self._until(done, wait_s)
        return sum(report.requests for report in self._alive(INGRESS))

    async def _swap(self, name: str) -> dict[str, Any]:
        await self._known.wait()
        async with self._swapping:
            if self.plan.draining:
                raise UserError("the service is stopping; no release is taken in any more")
            old = self.plan.active
            if name != old:  # one that was served until now is held yet, but its directory may have gone
                await asyncio.to_thread(self._verify, self._root / name)
            if name not in self.plan.live:
                await self._load(name)
            if name != old:
                await self._next(active=name)
            with contextlib.suppress(TimeoutError):  # an ingress that hangs turns to it when it comes back
                await self._until(lambda: bool(self._refusal(name)) or self._turned_to(name), self._deadline.drain_s)
            if name != old and (problem := self._refusal(name)):
                await self._next(active=old, live=self._live_without(name))
                raise UserError(problem)
            if name != old:
                self._background(self._retire(old))
        return await self.status()

    def _live_without(self, name: str) -> dict[str, str]:
        return {release: path for release, path in self.plan.live.items() if release != name}

    def _turned_to(self, name: str) -> bool:
        return all(report.active == name for report in self._alive(INGRESS))

    async def _load(self, name: str) -> None:
        """Has every replica load a release.

        Raises:
            UserError: one of them refused, or it took too long; the release is out of the plan again.
        """
        await self._next(live={**self.plan.live, name: str(self._root / name)})
        end = time.monotonic() + self._deadline.load_s
        try:
            for kinds in (self._kinds - {INGRESS}, self._kinds):
                await self._until(
                    lambda kinds=kinds: bool(self._refusal(name)) or self._held(name, kinds),  # type: ignore[misc]
                    end - time.monotonic(),
                )
                if problem := self._refusal(name):
                    break
                await self._next(ready=(*self.plan.ready, name))
        except TimeoutError:
            running = {report.kind for report in self._alive()}
            late = sorted({report.kind for report in self._alive() if name not in report.holds})
            late += [f"{kind} (no replica runs)" for kind in sorted(self._kinds - running)]
            problem = f"release {name} was not loaded within {self._deadline.load_s:g} s by: {', '.join(late)}"
        if problem:
            await self._next(live=self._live_without(name))
            raise UserError(problem)

    async def _retire(self, name: str) -> None:
        """Takes a release out of the plan once no ingress sends requests to it any more."""
        with contextlib.suppress(TimeoutError):
            await self._until(
                lambda: (
                    self.plan.active == name
                    or all(report.active == self.plan.active and name not in report.uses for report in self._alive(INGRESS))
                ),
                2 * self._deadline.drain_s,
            )
        if name != self.plan.active and name in self.plan.live:
            await self._next(live=self._live_without(name))

    def _held(self, name: str, kinds: Collection[str]) -> bool:
        alive = [report for report in self._alive() if report.kind in kinds]
        return set(kinds) <= {report.kind for report in alive} and all(name in report.holds for report in alive)

    def _refusal(self, name: str) -> str | None:
        return next((report.refused[name] for report in self._alive() if name in report.refused), None)

    def _alive(self, kind: str | None = None) -> list[ReplicaReport]:
        now = time.monotonic()
        return [report for seen, report in self._members.values() if now - seen < GONE_S and kind in (None, report.kind)]

    async def _next(self, **changes: Any) -> None:
        """Makes the next plan: the present one with some changes."""
        plan = replace(self.plan, epoch=self.plan.epoch + 1, **changes)
        await self._change(replace(plan, ready=tuple(name for name in dict.fromkeys(plan.ready) if name in plan.live)))

    async def _change(self, plan: ServingPlan) -> None:
        self.plan = plan  # before anything is awaited: `_next` must not work from a plan that another change has replaced
        async with self._news:
            self._news.notify_all()

    async def _until(self, true: Callable[[], bool], wait_s: float) -> None:
        """Waits for something to become true.

        Raises:
            TimeoutError: it did not within `wait_s`.
        """
        end = time.monotonic() + wait_s
        async with self._news:
            while not true():
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                # Looks again when nobody reports too: members may have gone. (Not wait_for: before Python 3.12 it may lose a
                # cancellation that comes together with the news.)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, 1.0)):
                        await self._news.wait()

    def _background(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
