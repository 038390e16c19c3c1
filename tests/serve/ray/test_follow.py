"""Followers of the control without Ray: ones that die, ones that start late, and a control that was killed."""

import asyncio

import pytest
from followers import KINDS, Link, Member, fresh_releases, hurry, started_members, until

from xlret.errors import UserError
from xlret.serve.ray.control import ServingPlan


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def test_a_swap_does_not_wait_for_a_replica_that_died() -> None:
    async def work() -> None:
        link = Link(fresh_releases())
        assert link.releases is not None
        members = await started_members(link)
        second = Member(link, "encoder", "second encoder")
        await second.follower.start()
        second.kill()
        await link.releases.swap("two")
        assert members["ingress"].active == "two"
        late = Member(link, "encoder", "third encoder")
        await late.follower.start()
        assert late.loaded[0] == "two"

    asyncio.run(work())


def test_a_swap_fails_when_a_kind_is_gone_for_good() -> None:
    async def work() -> None:
        releases = fresh_releases(load_s=2.5)
        members = await started_members(Link(releases))
        members["shards 0"].kill()
        with pytest.raises(UserError, match="shards 0"):
            await releases.swap("two")
        assert members["ingress"].active == "one"

    asyncio.run(work())


def test_a_control_that_was_killed_learns_the_plan_from_its_followers() -> None:
    async def work() -> None:
        link = Link(fresh_releases())
        assert link.releases is not None
        members = await started_members(link)
        await link.releases.swap("two")
        link.releases = None
        await asyncio.sleep(0.3)
        assert members["ingress"].active == "two"
        link.releases = fresh_releases(restarted=True)  # its alias says one
        new = Member(link, "encoder", "new encoder")
        await new.follower.start()  # waits until the control knows
        assert new.loaded[0] == "two"
        assert link.releases.plan.active == "two"
        members["ingress"].uses.discard("one")
        await until(lambda: link.releases is not None and set(link.releases.plan.live) == {"two"})
        await link.releases.swap("one")
        assert members["ingress"].active == "one"

    asyncio.run(work())


def test_a_replica_that_starts_during_a_swap_has_the_new_release_before_it_is_asked() -> None:
    async def work() -> None:
        releases = fresh_releases()
        link = Link(releases)
        members = await started_members(link)
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

    asyncio.run(work())


def test_a_control_that_came_back_swaps_only_when_it_knows_what_is_served() -> None:
    async def work() -> None:
        releases = fresh_releases(restarted=True)
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

    asyncio.run(work())
