"""What goes to the pages: the newest of what is shown, all of what happened, and no more than a page takes."""

from __future__ import annotations

import asyncio

from rtface.screen.feed import MOST_WAITING, MOST_WATCHERS, PICTURES_UNDER_WAY, PageFeed, Watcher


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_the_newest_takes_the_place_of_older_ones_and_events_keep_their_turn() -> None:
    async def run() -> None:
        watcher = Watcher()
        for number in range(3):
            watcher.put(f"status {number}", ("status", "a"))
            watcher.put(f"event {number}", None)
        watcher.put("status of b", ("status", "b"))
        assert await watcher.next() == ["event 0", "event 1", "event 2", "status 2", "status of b"]

    asyncio.run(run())


def test_a_page_that_never_reads_costs_a_bounded_store_and_is_told_what_it_missed() -> None:
    async def run() -> None:
        watcher = Watcher()
        for number in range(10_000):
            watcher.put(f"{number}", None)
            watcher.put_picture("a", bytes(100))
        assert watcher.missed == 10_000 - MOST_WAITING
        found = await watcher.next()
        assert len([each for each in found if isinstance(each, str)]) == MOST_WAITING
        assert found[0] == f"{10_000 - MOST_WAITING}"
        assert len([each for each in found if isinstance(each, bytes)]) == 1

    asyncio.run(run())


def test_pictures_wait_until_earlier_ones_were_shown() -> None:
    async def run() -> None:
        watcher = Watcher()
        for number in range(PICTURES_UNDER_WAY):
            watcher.put_picture("a", bytes([number]))
            assert await watcher.next() == [bytes([number])]
        watcher.put_picture("a", b"late")
        watcher.put_picture("a", b"newest")
        watcher.put("text", None)
        assert await watcher.next() == ["text"]
        watcher.shown()
        assert await watcher.next() == [b"newest"]
        for _ in range(10):
            watcher.shown()
        assert watcher._under_way == 0

    asyncio.run(run())


def test_no_more_pages_than_there_is_room_for() -> None:
    feed = PageFeed()
    watchers = [feed.join() for _ in range(MOST_WATCHERS)]
    assert all(watchers)
    assert feed.join() is None
    assert watchers[0] is not None
    feed.leave(watchers[0])
    assert feed.join() is not None


def test_pictures_are_wanted_while_a_page_takes_them() -> None:
    feed = PageFeed()
    one, other = feed.join(), feed.join()
    assert one is not None
    assert other is not None
    feed.want(one, {"a": "frame"})
    feed.want(other, {"a": "crop", "b": "frame"})
    assert set(feed.wanted("a")) == {"frame", "crop"}
    feed.leave(other)
    assert set(feed.wanted("a")) == {"frame"}
    assert not feed.wanted("b")


def test_a_picture_goes_to_the_pages_that_take_this_view() -> None:
    async def run() -> None:
        feed = PageFeed()
        feed.start()
        one, other = feed.join(), feed.join()
        assert one is not None
        assert other is not None
        feed.want(one, {"a": "frame"})
        feed.want(other, {"a": "crop"})
        feed.put_picture("a", "frame", b"picture")
        feed.put("events", "a", "text", newest=False)
        await settled()
        assert await one.next() == ["text", b"picture"]
        assert await other.next() == ["text"]

    asyncio.run(run())


def test_an_event_loop_that_hangs_is_not_buried_in_what_waits_for_it() -> None:
    async def run() -> None:
        feed = PageFeed()
        feed.start()
        watcher = feed.join()
        assert watcher is not None
        for number in range(5 * MOST_WAITING):  # nothing runs in this loop meanwhile: it hangs
            feed.put("events", "a", str(number), newest=False)
        assert feed._under_way == MOST_WAITING
        await settled()
        assert watcher.missed == 4 * MOST_WAITING, "and pages are told"
        assert len(await watcher.next()) == MOST_WAITING
        feed.put("events", "a", "after", newest=False)
        await settled()
        assert await watcher.next() == ["after"]

    asyncio.run(run())


def test_the_end_is_told_to_all_pages_and_nothing_comes_after() -> None:
    async def run() -> PageFeed:
        feed = PageFeed()
        feed.start()
        watcher = feed.join()
        assert watcher is not None
        feed.end()
        await settled()
        assert await watcher.next() == []
        assert watcher.ended
        return feed

    feed = asyncio.run(run())
    feed.put("events", "a", "to nobody", newest=False)
    feed.end()
