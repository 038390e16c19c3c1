"""A replica's side of the plan: it loads, turns to and drops what the plan says, and reports what it holds."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from xlret.errors import user_error_in
from xlret.serve.ray.control import ReplicaReport, ServingPlan

POLL_S = 2.0
"""How long a question for news waits at the control for an answer; the least often that a member reports."""
STOPPING_POLL_S = 0.1
"""The same while the service stops, so that the control hears soon that the last request has ended."""
AGAIN_S = 0.5
"""Pause when the control does not answer: it may be starting again."""
_log = logging.getLogger("xlret.serve")


class Link(Protocol):
    """How a member reaches the control."""

    async def first(self) -> ServingPlan:
        """See `Releases.first`."""
        ...

    async def tell(self, report: ReplicaReport) -> ServingPlan:
        """See `Releases.tell`."""
        ...

    async def follow(self, report: ReplicaReport, wait_s: float) -> ServingPlan:
        """See `Releases.follow`."""
        ...


@dataclass(frozen=True)
class Traffic:
    """What an ingress says of its requests."""

    active: str | None
    uses: tuple[str, ...]
    requests: int


@dataclass(frozen=True)
class Duties:
    """What a member can do. The last three are an ingress's."""

    load: Callable[[str, str], Awaitable[object]]
    """Loads a release from its directory; does nothing if it is loaded."""
    drop: Callable[[str], Awaitable[object]]
    """Frees a release."""
    turn: Callable[[str, str], Awaitable[object]] | None = None
    """Sends new requests to a release that is loaded."""
    drain: Callable[[], object] = field(default=lambda: None)
    """Takes no new requests."""
    traffic: Callable[[], Traffic] | None = None


class Follower:
    """Keeps one replica as the plan says. Serving does not need the control; only changes do.

    Args:
        member, kind, process: who reports.
        duties: what it can do.
        link: to the control.
    """

    def __init__(self, member: str, kind: str, process: int, duties: Duties, link: Link) -> None:
        self._member, self._kind, self._process = member, kind, process
        self._duties, self._link = duties, link
        self._plan: ServingPlan | None = None
        self._holds: set[str] = set()
        self._refused: dict[str, str] = {}
        self._working: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Loads the plan's releases, then follows it in the background.

        Raises:
            UserError: the release that is served cannot be used. (Any other one is refused in the report.)
        """
        while True:
            self._plan = plan = await self._link.first()
            await self._duties.load(plan.active, plan.live[plan.active])
            self._holds.add(plan.active)
            if self._duties.turn is not None:
                await self._duties.turn(plan.active, plan.live[plan.active])
            while (step := self._next(plan)) is not None:  # before it is asked for any of them
                await step()
            # The control counts it from here on. What changed while it loaded went past it: a swap may have ended meanwhile.
            if (await self._link.tell(self.report())).epoch == plan.epoch:
                break
        self._following = asyncio.create_task(self._follow())

    def check(self) -> None:
        """Whether the replica is of use, for Ray Serve's health check: it is replaced if not.

        Raises:
            RuntimeError: it could not load the release that is served.
        """
        if self._plan is not None and self._plan.active in self._refused:
            raise RuntimeError(f"cannot serve {self._plan.active}: {self._refused[self._plan.active]}")

    def report(self) -> ReplicaReport:
        """What the replica says of itself now."""
        traffic = self._duties.traffic() if self._duties.traffic is not None else Traffic(None, (), 0)
        return ReplicaReport(
            member=self._member,
            kind=self._kind,
            process=self._process,
            plan=self._plan,
            holds=tuple(sorted(self._holds)),
            refused=dict(self._refused),
            active=traffic.active,
            uses=traffic.uses,
            requests=traffic.requests,
        )

    async def _follow(self) -> None:
        while True:
            wait_s = STOPPING_POLL_S if self._plan is not None and self._plan.draining else POLL_S
            try:
                async with asyncio.timeout(10 * POLL_S):
                    self._heed(await self._link.follow(self.report(), wait_s))
            except Exception as error:
                _log.warning("the control did not answer (%s); asking again", type(error).__name__)
                await asyncio.sleep(AGAIN_S)

    def _heed(self, plan: ServingPlan) -> None:
        if self._plan is not None and plan.epoch < self._plan.epoch:
            return  # from a control that was started again and does not know yet
        self._plan = plan
        if plan.draining:
            self._duties.drain()
        self._refused = {name: why for name, why in self._refused.items() if name in plan.live}
        if self._working is None and self._next(plan) is not None:
            self._working = asyncio.create_task(self._work())

    def _next(self, plan: ServingPlan) -> Callable[[], Awaitable[None]] | None:
        """The next thing to do to be as the plan says; None when all is."""
        duties, live = self._duties, plan.live
        turned = duties.turn is None or duties.traffic is None or duties.traffic().active == plan.active
        if not turned and plan.active in self._holds:
            return lambda: self._turn(plan.active, live[plan.active])
        for name in sorted(self._holds - set(live)):
            return lambda name=name: self._drop(name)  # type: ignore[misc]
        for name in live if duties.turn is None else plan.ready:
            if name not in self._holds and name not in self._refused:
                return lambda name=name: self._load(name, live[name])  # type: ignore[misc]
        return None

    async def _work(self) -> None:
        try:
            while self._plan is not None and (step := self._next(self._plan)) is not None:
                await step()
                with contextlib.suppress(Exception):  # the next poll tells it too
                    async with asyncio.timeout(POLL_S):
                        plan = await self._link.tell(self.report())
                    self._plan = plan if plan.epoch >= self._plan.epoch else self._plan
        except Exception as error:
            _log.error("a step of the plan failed; trying again", exc_info=error)
            await asyncio.sleep(AGAIN_S)
        finally:
            self._working = None

    async def _turn(self, name: str, path: str) -> None:
        assert self._duties.turn is not None
        try:
            await self._duties.turn(name, path)
        except Exception as error:
            self._holds.discard(name)
            self._refuse(name, error)

    async def _drop(self, name: str) -> None:
        self._holds.discard(name)
        await self._duties.drop(name)

    async def _load(self, name: str, path: str) -> None:
        try:
            await self._duties.load(name, path)
        except Exception as error:
            self._refuse(name, error)
        else:
            self._holds.add(name)

    def _refuse(self, name: str, error: Exception) -> None:
        known = user_error_in(error)
        if known is None:
            _log.error("cannot load release %s", name, exc_info=error)
        self._refused[name] = str(known) if known else f"release {name} cannot be loaded: {type(error).__name__}: {error}"
