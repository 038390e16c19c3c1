"""Faults and swaps: partial answers that say so, deadlines, retries, and no request on two releases."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from asking import expected, ids, in_house, search
from stand_in import House, until, world

from xlret.errors import CorruptError, UserError

RELEASES = Path("/releases")


async def refused(client: httpx.AsyncClient, **body: Any) -> tuple[int, dict[str, Any]]:
    """Status and error of a search that must fail."""
    found = await client.post("/v1/search", json=body)
    error = found.json()["error"]
    assert ("retry-after" in found.headers) == (found.status_code in (429, 503))
    return found.status_code, error


def of_shards(numbers: set[int], total: int = 4) -> Any:
    """Whether a passage of the world is in one of the shards."""
    place = {one.id: number % total for number, one in enumerate(world("red"))}
    return lambda passage: place[passage.id] in numbers


def test_a_group_that_fails_is_missing_from_the_answer_which_says_so() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        house.shards[1].trouble.error = OSError("/secret/path broke")
        answer = await search(client, query="cat", top_k=12)
        assert ids(answer) == expected("cat", 12, of_shards({0, 2}))
        assert (answer.shards.total, answer.shards.ok, answer.shards.failed) == (4, 2, 2)
        assert answer.partial
        assert "2 of 4 shards are missing (number 1, 3): failed with OSError" in str(answer.partial_reason)
        assert "secret" not in str(answer.partial_reason)
        assert (await refused(client, query="cat", allow_partial=False))[0] == 503
        house.shards[1].trouble.error = None
        house.gateway._backends.health["group 1"].failures = 0
        answer = await search(client, query="cat", top_k=12)
        assert not answer.partial
        assert ids(answer) == expected("cat", 12)

    in_house(test)


def test_a_single_failure_is_tried_again_and_nobody_sees_it() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        for backend in (house.encoder, *house.shards):
            backend.trouble.once = OSError("died in the middle of the call")
        for shard in house.shards:
            shard.along, shard.reading.once = False, OSError("died in the middle of the call")
        answer = await search(client, query="dog")
        assert not answer.partial
        assert ids(answer) == expected("dog", 10)

    in_house(test)


def test_all_groups_failing_is_503_and_then_the_server_is_not_ready() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        for shard in house.shards:
            shard.trouble.error = OSError("gone")
        for _ in range(3):
            status, error = await refused(client, query="cat")
            assert (status, error["code"]) == (503, "unavailable")
        calls = house.shards[0].trouble.calls
        assert (await refused(client, query="cat"))[0] == 503
        assert house.shards[0].trouble.calls == calls  # left alone for a moment
        assert (await client.get("/readyz")).status_code == 503
        for shard in house.shards:
            shard.trouble.error = None
        for health in house.gateway._backends.health.values():
            health._down_until = 0.0  # the moment is over
        assert not (await search(client, query="cat")).partial
        assert (await client.get("/readyz")).status_code == 200

    in_house(test, deadline={"down_s": 1000})


def test_the_encoder_failing_is_503_and_hanging_504() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        house.encoder.trouble.error = OSError("gone")
        status, error = await refused(client, query="cat")
        assert (status, error["code"]) == (503, "unavailable")
        house.encoder.trouble.error = None
        house.encoder.trouble.free.clear()
        began = time.monotonic()
        status, error = await refused(client, query="cat", timeout_ms=200)
        assert (status, error["code"]) == (504, "timeout")
        assert time.monotonic() - began >= 0.2
        await until(lambda: house.encoder.trouble.in_work == 0)  # nobody waits any more, nothing is worked on

    in_house(test)


def test_a_group_that_hangs_is_missing_within_the_deadline() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        house.shards[0].trouble.free.clear()
        answer = await search(client, query="cat", timeout_ms=1500)
        assert ids(answer) == expected("cat", 10, of_shards({1, 3}))
        assert "did not answer in time" in str(answer.partial_reason)
        house.shards[1].trouble.free.clear()
        status, error = await refused(client, query="cat", timeout_ms=300)
        assert (status, error["code"]) == (504, "timeout")

    in_house(test)


def test_a_slow_call_is_hedged_so_that_one_slow_replica_is_not_seen() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        trouble = house.shards[0].trouble
        trouble.free.clear()

        async def second_call_is_quick() -> None:
            await until(lambda: trouble.calls == 2)
            trouble.free.set()

        helper = asyncio.ensure_future(second_call_is_quick())
        answer = await search(client, query="cat", timeout_ms=30_000, include_text=False)
        await helper
        assert not answer.partial

    in_house(test, deadline={"retry_after": 0.01})


def test_texts_that_cannot_be_read_take_their_hits_with_them() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        for shard in house.shards:
            shard.along = False
        house.shards[1].reading.error = OSError("gone")
        answer = await search(client, queries=["cat", "dog"], top_k=12)
        for number, text in enumerate(["cat", "dog"]):
            assert ids(answer, number) == expected(text, 12, of_shards({0, 2}))
            assert all(hit.text for hit in answer.results[number].hits)
        assert (answer.shards.ok, answer.shards.failed, answer.partial) == (2, 2, True)

    in_house(test)


def test_leaving_cancels_the_work_of_every_stage() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        for backend in (house.encoder, *house.shards):
            backend.trouble.free.clear()
            task = asyncio.ensure_future(client.post("/v1/search", json={"query": "cat", "timeout_ms": 30_000}))
            await until(lambda backend=backend: backend.trouble.in_work)
            task.cancel()
            await until(lambda backend=backend: not backend.trouble.in_work and backend.trouble.cancelled)
            backend.trouble.free.set()
        await until(lambda: house.gateway.gate.requests == 0)
        assert house.gateway.live.users == 0

    in_house(test, groups=1)


def test_overload_is_refused_at_once_and_what_was_accepted_is_answered() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        house.encoder.trouble.free.clear()
        bodies = [{"query": f"cat {n}", "timeout_ms": 30_000} for n in range(40)]
        tasks = [asyncio.ensure_future(client.post("/v1/search", json=body)) for body in bodies]
        await until(lambda: sum(task.done() for task in tasks) == 40 - 5)  # although nothing is answered yet
        house.encoder.trouble.free.set()
        found = await asyncio.gather(*tasks)
        statuses = [one.status_code for one in found]
        assert statuses.count(200) == 5
        assert statuses.count(429) == 35
        assert all(one.headers["retry-after"] == "1" for one in found if one.status_code == 429)
        assert house.gateway.gate.requests == 0

    in_house(test, load={"requests": 5, "source_share": 1.0})


def test_draining_ends_what_is_in_work_and_takes_nothing_new() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        house.encoder.trouble.free.clear()
        running = asyncio.ensure_future(search(client, query="cat", timeout_ms=30_000))
        await until(lambda: house.encoder.trouble.in_work)
        draining = asyncio.ensure_future(house.gateway.drain())
        await until(lambda: house.gateway.gate.draining)
        assert (await refused(client, query="cat"))[0] == 503
        assert not draining.done()
        house.encoder.trouble.free.set()
        assert ids(await running) == expected("cat", 10)
        await draining

    in_house(test)


def test_swaps_under_load_lose_no_request_and_mix_no_releases() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        done = False
        seen: set[str] = set()

        async def ask(number: int) -> None:
            round_ = 0
            while not done:
                round_ += 1
                answer = await search(client, query=f"cat {number} {round_}", highlight=False, timeout_ms=30_000)
                texts = {str(hit.text).rsplit(" ", 1)[1] for hit in answer.results[0].hits}
                assert texts == {f"{answer.release}."}
                assert not answer.partial
                seen.add(answer.release)

        clients = [asyncio.ensure_future(ask(number)) for number in range(8)]
        house.encoder.trouble.seconds = house.shards[0].trouble.seconds = 0.005
        for name in ["blue", "red", "green", "red", "blue"]:
            await house.gateway.swap(RELEASES / name)
            await until(lambda name=name: name in seen)
            seen.clear()
            await asyncio.sleep(0.05)
        done = True
        await asyncio.gather(*clients)
        await house.gateway.settled()
        for backend in (house.encoder, *house.shards):
            assert list(backend.loaded) == ["blue"]

    in_house(test)


def test_an_old_request_ends_on_the_release_it_began_with() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        house.shards[0].trouble.free.clear()
        old = asyncio.ensure_future(search(client, query="cat", timeout_ms=30_000))
        await until(lambda: house.shards[0].trouble.in_work)
        await house.gateway.swap(RELEASES / "blue")
        assert house.gateway.status()["leaving"] == ["red"]
        assert "red" in house.encoder.loaded
        house.shards[0].trouble.free.set()
        assert (await search(client, query="cat")).release == "blue"
        assert (await old).release == "red"
        await house.gateway.settled()
        assert list(house.encoder.loaded) == ["blue"]
        assert house.encoder.dropped == ["red"]

    in_house(test)


def test_going_back_while_the_old_release_is_still_in_use() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        house.shards[0].trouble.free.clear()
        old = asyncio.ensure_future(search(client, query="cat", timeout_ms=30_000))
        await until(lambda: house.shards[0].trouble.in_work)
        await house.gateway.swap(RELEASES / "blue")
        await house.gateway.swap(RELEASES / "red")
        house.shards[0].trouble.free.set()
        assert (await old).release == "red"
        await house.gateway.settled()
        assert (await search(client, query="dog")).release == "red"
        assert list(house.encoder.loaded) == ["red"]

    in_house(test)


def test_a_release_that_cannot_be_used_is_refused_and_the_old_one_serves_on() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        house.corrupt.add("blue")
        with pytest.raises(CorruptError, match=r"shard-0000\.faiss"):
            await house.gateway.swap(RELEASES / "blue")
        house.shards[1].refuse = UserError("shard 3 has another dimension")
        with pytest.raises(UserError, match="another dimension"):
            await house.gateway.swap(RELEASES / "green")
        assert list(house.encoder.loaded) == ["red"]  # what was loaded of it is gone again
        house.shards[1].refuse = None
        house.shards[1].numbers = (1,)
        with pytest.raises(UserError, match=r"hold the shards \[0, 1, 2\] of green, which has 4"):
            await house.gateway.swap(RELEASES / "green")
        with pytest.raises(UserError, match="has the name of the release that is served"):
            await house.gateway.swap(Path("/elsewhere/red"))
        assert (await search(client, query="cat")).release == "red"
        dropped = list(house.encoder.dropped)
        await house.gateway.swap(RELEASES / "red")
        assert house.encoder.dropped == dropped

    in_house(test)


def test_swaps_at_the_same_time_come_one_after_the_other() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        await asyncio.gather(*(house.gateway.swap(RELEASES / name) for name in ("blue", "green", "blue", "red", "green")))
        assert (await search(client, query="cat")).release == "green"
        await house.gateway.settled()
        assert list(house.encoder.loaded) == ["green"]

    in_house(test)


def test_an_impatient_request_does_not_hurt_a_patient_one_in_the_same_batch() -> None:
    async def test(client: httpx.AsyncClient, house: House) -> None:
        house.shards[0].trouble.seconds = 0.5
        hasty = asyncio.ensure_future(refused(client, query="cat", timeout_ms=100))
        patient = asyncio.ensure_future(search(client, query="dog", timeout_ms=30_000))
        assert (await hasty)[0] == 504
        answer = await patient
        assert not answer.partial
        assert ids(answer) == expected("dog", 10)

    in_house(test, groups=1)
