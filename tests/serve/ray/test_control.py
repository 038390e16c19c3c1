"""The control without Ray: swaps, refusals, draining, status."""

import asyncio
from pathlib import Path

import pytest
from followers import KINDS, Link, Member, fresh_releases, hurry, started_members, until

from xlret.errors import UserError
from xlret.serve.ray.control import Releases
from xlret.serve.settings import DeadlineSettings


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def test_a_swap_loads_everywhere_turns_and_frees_the_old_one() -> None:
    async def work() -> None:
        releases = fresh_releases()
        members = await started_members(Link(releases))
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

    asyncio.run(work())


def test_nothing_turns_before_every_replica_holds_the_release_and_an_ingress_prepares_it_last() -> None:
    async def work() -> None:
        releases = fresh_releases()
        members = await started_members(Link(releases))
        members["shards 0"].loading.clear()
        swap = asyncio.create_task(releases.swap("two"))
        await until(lambda: "two" in members["encoder"].loaded)
        await asyncio.sleep(0.5)
        assert members["ingress"].active == "one"
        assert "two" not in members["ingress"].loaded  # an ingress asks the shards what they hold of it
        assert not swap.done()
        members["shards 0"].loading.set()
        await swap
        assert members["ingress"].active == "two"
        assert members["ingress"].loaded == ["one", "two"]

    asyncio.run(work())


@pytest.mark.parametrize("kind", KINDS)
def test_a_release_that_one_replica_refuses_is_refused(kind: str) -> None:
    async def work() -> None:
        releases = fresh_releases()
        members = await started_members(Link(releases))
        members[kind].bad.add("two")
        with pytest.raises(UserError, match="damaged"):
            await releases.swap("two")
        assert (members["ingress"].active, releases.plan.active) == ("one", "one")
        await until(lambda: all(member.loaded == ["one"] for member in members.values()))
        members[kind].bad.clear()
        await until(lambda: not any(member.follower.report().refused for member in members.values()))
        await releases.swap("two")  # mended, it is taken
        assert members["ingress"].active == "two"

    asyncio.run(work())


def test_a_release_that_is_not_there_is_refused_before_anybody_loads_it() -> None:
    async def work() -> None:
        releases = fresh_releases()
        members = await started_members(Link(releases))
        with pytest.raises(UserError, match="no release"):
            await releases.swap("missing")
        for name in ("../one", "a/b", "", "A"):
            with pytest.raises(UserError, match="no name of a release"):
                await releases.swap(name)
        assert members["encoder"].loaded == ["one"]

    asyncio.run(work())


def test_a_swap_back_to_a_release_whose_directory_went_is_refused_at_once() -> None:
    async def work() -> None:
        missing: set[str] = set()

        def verify(path: Path) -> None:
            if path.name in missing:
                raise UserError(f"there is no release {path}")

        releases = Releases(Path("/r"), "one", KINDS, verify, DeadlineSettings(load_s=20, drain_s=20))
        members = await started_members(Link(releases))
        await releases.swap("two")
        assert "one" in releases.plan.live  # requests of it are in work
        missing.add("one")
        async with asyncio.timeout(2):
            with pytest.raises(UserError, match="no release"):
                await releases.swap("one")
        assert members["ingress"].active == releases.plan.active == "two"

    asyncio.run(work())


def test_a_release_that_an_ingress_cannot_turn_to_is_refused_and_the_old_one_serves_on() -> None:
    async def work() -> None:
        releases = fresh_releases(drain_s=20)
        members = await started_members(Link(releases))
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

    asyncio.run(work())


def test_a_caller_that_leaves_does_not_stop_a_swap() -> None:
    async def work() -> None:
        releases = fresh_releases()
        members = await started_members(Link(releases))
        members["encoder"].loading.clear()
        swap = asyncio.create_task(releases.swap("two"))
        await asyncio.sleep(0.1)
        swap.cancel()
        members["encoder"].loading.set()
        await until(lambda: members["ingress"].active == "two")

    asyncio.run(work())


def test_draining_waits_for_the_requests_in_work() -> None:
    async def work() -> None:
        releases = fresh_releases()
        members = await started_members(Link(releases))
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

    asyncio.run(work())


def test_draining_ends_when_time_is_up() -> None:
    async def work() -> None:
        releases = fresh_releases()
        members = await started_members(Link(releases))
        members["ingress"].requests = 3
        assert await releases.drain(0.5) == 3

    asyncio.run(work())


def test_the_status_says_what_each_replica_holds() -> None:
    async def work() -> None:
        releases = fresh_releases()
        await started_members(Link(releases))
        await asyncio.sleep(0.5)
        status = await releases.status()
        assert (status["active"], status["live"]) == ("one", ["one"])
        assert {replica["kind"]: replica["holds"] for replica in status["replicas"]} == {kind: ["one"] for kind in KINDS}

    asyncio.run(work())


def test_changes_of_the_plan_that_come_together_are_all_in_it() -> None:
    async def work() -> None:
        releases = fresh_releases()
        async with releases._news:  # as while many members are told
            turning = asyncio.create_task(releases._next(active="two"))
            draining = asyncio.create_task(releases._next(draining=True))
            await asyncio.sleep(0.01)
        await asyncio.gather(turning, draining)
        assert (releases.plan.active, releases.plan.draining, releases.plan.epoch) == ("two", True, 3)

    asyncio.run(work())
