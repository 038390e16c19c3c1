"""The control and its followers without Ray: swaps, refusals, lost members, a lost control, draining."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from xlret.errors import CorruptError, UserError
from xlret.serve.ray import control, follow
from xlret.serve.ray.control import Releases, ReplicaReport, ServingPlan
from xlret.serve.ray.follow import Duties, Follower, Traffic
from xlret.serve.settings import DeadlineSettings

KINDS = ("encoder", "ingress", "shards 0")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "POLL_S", 0.2)
    monkeypatch.setattr(follow, "AGAIN_S", 0.02)
    monkeypatch.setattr(control, "GONE_S", 1.5)


class Link:
    """Reaches whichever control is there now; None: it was killed."""

    def __init__(self, releases: Releases | None) -> None:
        self.releases = releases

    def _there(self) -> Releases:
        if self.releases is None:
            raise ConnectionError("the control is gone")
        return self.releases

    async def first(self) -> ServingPlan:
        while self.releases is None:
            await asyncio.sleep(0.01)
        return await self.releases.first()

    async def tell(self, report: ReplicaReport) -> ServingPlan:
        return await self._there().tell(report)

    async def follow(self, report: ReplicaReport, wait_s: float) -> ServingPlan:
        return await self._there().follow(report, wait_s)


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


def made(restarted: bool = False, **deadlines: float) -> Releases:
    def verify(path: Path) -> None:
        if path.name == "missing":
            raise UserError(f"there is no release {path}")

    settings = DeadlineSettings(**{"load_s": 20, "drain_s": 5, **deadlines})
    return Releases(Path("/r"), "one", KINDS, verify, settings, restarted)


async def service(link: Link) -> dict[str, Member]:
    members = {kind: Member(link, kind) for kind in KINDS}
    for member in members.values():
        await member.follower.start()
    return members


async def until(true: Any, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_a_swap_loads_everywhere_turns_and_frees_the_old_one() -> None:
    async def work() -> None:
        releases = made()
        members = await service(Link(releases))
        assert members["ingress"].active == "one"
        await releases.swap("two")
        ingress = members["ingress"]
        assert ingress.active == "two"
        assert releases.plan.active == "two"
        assert "one" in ingress.loaded  # requests of the old release are in work
        ingress.uses.discard("one")
        await until(lambda: all(member.loaded == ["two"] for member in members.values()))
        assert set(releases.plan.live) == {"two"}
        await releases.swap("one")  # rollback is the same call
        assert ingress.active == "one"

    run(work())


def test_nothing_turns_before_every_replica_holds_the_release() -> None:
    async def work() -> None:
        releases = made()
        members = await service(Link(releases))
        members["shards 0"].loading.clear()
        swap = asyncio.create_task(releases.swap("two"))
        await until(lambda: "two" in members["encoder"].loaded)
        await asyncio.sleep(0.5)
        assert members["ingress"].active == "one"
        assert not swap.done()
        members["shards 0"].loading.set()
        await swap
        assert members["ingress"].active == "two"

    run(work())


@pytest.mark.parametrize("kind", KINDS)
def test_a_release_that_one_replica_refuses_is_refused(kind: str) -> None:
    async def work() -> None:
        releases = made()
        members = await service(Link(releases))
        members[kind].bad.add("two")
        with pytest.raises(UserError, match="damaged"):
            await releases.swap("two")
        assert (members["ingress"].active, releases.plan.active) == ("one", "one")
        await until(lambda: all(member.loaded == ["one"] for member in members.values()))
        members[kind].bad.clear()
        await until(lambda: not any(member.follower.report().refused for member in members.values()))
        await releases.swap("two")  # mended, it is taken
        assert members["ingress"].active == "two"

    run(work())


def test_a_release_that_is_not_there_is_refused_before_anybody_loads_it() -> None:
    async def work() -> None:
        releases = made()
        members = await service(Link(releases))
        with pytest.raises(UserError, match="no release"):
            await releases.swap("missing")
        for name in ("../one", "a/b", "", "A"):
            with pytest.raises(UserError, match="no name of a release"):
                await releases.swap(name)
        assert members["encoder"].loaded == ["one"]

    run(work())


def test_a_swap_back_to_a_release_whose_directory_went_is_refused_at_once() -> None:
    async def work() -> None:
        missing: set[str] = set()

        def verify(path: Path) -> None:
            if path.name in missing:
                raise UserError(f"there is no release {path}")

        releases = Releases(Path("/r"), "one", KINDS, verify, DeadlineSettings(load_s=20, drain_s=20))
        members = await service(Link(releases))
        await releases.swap("two")
        assert "one" in releases.plan.live  # requests of it are in work
        missing.add("one")
        async with asyncio.timeout(2):
            with pytest.raises(UserError, match="no release"):
                await releases.swap("one")
        assert members["ingress"].active == releases.plan.active == "two"

    run(work())


def test_a_release_that_an_ingress_cannot_turn_to_is_refused_and_the_old_one_serves_on() -> None:
    async def work() -> None:
        releases = made(drain_s=20)
        members = await service(Link(releases))
        second = Member(Link(releases), "ingress", "second ingress")
        await second.follower.start()
        second.moved.add("two")
        async with asyncio.timeout(5):
            with pytest.raises(UserError, match="no release"):
                await releases.swap("two")
        await until(lambda: {members["ingress"].active, second.active, releases.plan.active} == {"one"})
        assert set(releases.plan.live) == {"one"}
        second.moved.clear()
        await until(lambda: not second.follower.report().refused)
        await releases.swap("two")
        assert second.active == members["ingress"].active == "two"

    run(work())


def test_a_swap_does_not_wait_for_a_replica_that_died() -> None:
    async def work() -> None:
        link = Link(made())
        assert link.releases is not None
        members = await service(link)
        second = Member(link, "encoder", "second encoder")
        await second.follower.start()
        second.kill()
        await link.releases.swap("two")
        assert members["ingress"].active == "two"
        late = Member(link, "encoder", "third encoder")
        await late.follower.start()
        assert late.loaded[0] == "two"

    run(work())


def test_a_swap_fails_when_a_kind_is_gone_for_good() -> None:
    async def work() -> None:
        releases = made(load_s=2.5)
        members = await service(Link(releases))
        members["shards 0"].kill()
        with pytest.raises(UserError, match="shards 0"):
            await releases.swap("two")
        assert members["ingress"].active == "one"

    run(work())


def test_a_caller_that_leaves_does_not_stop_a_swap() -> None:
    async def work() -> None:
        releases = made()
        members = await service(Link(releases))
        members["encoder"].loading.clear()
        swap = asyncio.create_task(releases.swap("two"))
        await asyncio.sleep(0.1)
        swap.cancel()
        members["encoder"].loading.set()
        await until(lambda: members["ingress"].active == "two")

    run(work())


def test_a_control_that_was_killed_learns_the_plan_from_its_followers() -> None:
    async def work() -> None:
        link = Link(made())
        assert link.releases is not None
        members = await service(link)
        await link.releases.swap("two")
        link.releases = None
        await asyncio.sleep(0.3)
        assert members["ingress"].active == "two"
        link.releases = made(restarted=True)  # its alias says one
        new = Member(link, "encoder", "new encoder")
        await new.follower.start()  # waits until the control knows
        assert new.loaded[0] == "two"
        assert link.releases.plan.active == "two"
        members["ingress"].uses.discard("one")
        await until(lambda: link.releases is not None and set(link.releases.plan.live) == {"two"})
        await link.releases.swap("one")
        assert members["ingress"].active == "one"

    run(work())


def test_draining_waits_for_the_requests_in_work() -> None:
    async def work() -> None:
        releases = made()
        members = await service(Link(releases))
        ingress = members["ingress"]
        ingress.requests = 2
        draining = asyncio.create_task(releases.drain(20))
        await until(lambda: ingress.draining)
        await asyncio.sleep(0.3)
        assert not draining.done()
        ingress.requests = 0
        assert await draining == 0
        with pytest.raises(UserError, match="stopping"):
            await releases.swap("two")

    run(work())


def test_draining_ends_when_time_is_up() -> None:
    async def work() -> None:
        releases = made()
        members = await service(Link(releases))
        members["ingress"].requests = 3
        assert await releases.drain(0.5) == 3

    run(work())


def test_the_status_says_what_each_replica_holds() -> None:
    async def work() -> None:
        releases = made()
        await service(Link(releases))
        await asyncio.sleep(0.5)
        status = await releases.status()
        assert (status["active"], status["live"]) == ("one", ["one"])
        assert {one["kind"]: one["holds"] for one in status["replicas"]} == {kind: ["one"] for kind in KINDS}

    run(work())


def test_an_ingress_prepares_a_release_only_when_the_shards_have_it() -> None:
    async def work() -> None:
        releases = made()
        members = await service(Link(releases))
        members["shards 0"].loading.clear()
        swap = asyncio.create_task(releases.swap("two"))
        await until(lambda: "two" in members["encoder"].loaded)
        await asyncio.sleep(0.5)
        assert "two" not in members["ingress"].loaded  # it would ask the shards what they hold of it
        members["shards 0"].loading.set()
        await swap
        assert members["ingress"].loaded == ["one", "two"]

    run(work())


def test_a_replica_that_starts_during_a_swap_has_the_new_release_before_it_is_asked() -> None:
    async def work() -> None:
        releases = made()
        link = Link(releases)
        members = await service(link)
        late = Member(link, "shards 0", "a second one")
        late.loading.clear()
        starting = asyncio.create_task(late.follower.start())
        await asyncio.sleep(0.05)  # it knows of the first release only
        await releases.swap("two")
        members["ingress"].uses.discard("one")
        await until(lambda: set(releases.plan.live) == {"two"})
        late.loading.set()
        await starting
        assert late.loaded == ["two"]

    run(work())


def test_changes_of_the_plan_that_come_together_are_all_in_it() -> None:
    async def work() -> None:
        releases = made()
        async with releases._news:  # as while many members are told
            one = asyncio.create_task(releases._next(active="two"))
            other = asyncio.create_task(releases._next(draining=True))
            await asyncio.sleep(0.01)
        await asyncio.gather(one, other)
        assert (releases.plan.active, releases.plan.draining, releases.plan.epoch) == ("two", True, 3)

    run(work())


def test_a_control_that_came_back_swaps_only_when_it_knows_what_is_served() -> None:
    async def work() -> None:
        releases = made(restarted=True)
        link = Link(releases)
        swap = asyncio.create_task(releases.swap("two"))
        await asyncio.sleep(0.05)
        assert releases.plan.epoch == 0
        before = ServingPlan(7, "three", {"three": "/r/three"}, ("three",))
        members = {kind: Member(link, kind) for kind in KINDS}
        for member in members.values():
            member.loaded, member.active, member.follower._plan = ["three"], "three", before
            member.follower._holds = {"three"}
            member.follower._following = asyncio.create_task(member.follower._follow())
        await swap
        assert members["ingress"].active == "two"
        assert releases.plan.epoch > 7

    run(work())
