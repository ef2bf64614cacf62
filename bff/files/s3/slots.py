"""How many parts of files may be held in memory at once, and who may hold the next one.

S3 takes no part smaller than 5 MiB but the last, and wants its length first: so parts are held.
Fifty uploads would hold 250 MiB; here they take turns instead, in the order they came, and one
owner's never have all the turns: who sends slowly would keep the others out. The memory of a part
is made once and used again: freed and made anew, it would leave holes of its size.
"""

from __future__ import annotations

import asyncio
import io
from typing import Any
from weakref import WeakValueDictionary

PART_BYTES = 5 * 1024 * 1024
"""The least that S3 takes for a part that is not the last."""


class Part(io.RawIOBase):
    """The bytes of one part: filled by `add`, then read like a file from its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self._memory = memoryview(bytearray(PART_BYTES))
        self._place = 0
        self.size_bytes = 0

    @property
    def full(self) -> bool:
        return self.size_bytes == PART_BYTES

    def add(self, data: memoryview) -> memoryview:
        """Take as much as there is room for; returns what is left."""
        taken = min(len(data), PART_BYTES - self.size_bytes)
        self._memory[self.size_bytes : self.size_bytes + taken] = data[:taken]
        self.size_bytes += taken
        return data[taken:]

    def clear(self) -> None:
        self._place = self.size_bytes = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size_bytes}[whence]
        self._place = max(0, min(start + offset, self.size_bytes))
        return self._place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = min(len(view), self.size_bytes - self._place)
        view[:count] = self._memory[self._place : self._place + count]
        self._place += count
        return count


class Slots:
    """A number of parts, of which an owner holds half at most."""

    def __init__(self, count: int) -> None:
        self._all = asyncio.Semaphore(count)
        self._half = max(1, count // 2)
        self._of_owners: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._free: list[Part] = []

    def slot(self, owner: str) -> Slot:
        own = self._of_owners.get(owner)
        if own is None:
            own = self._of_owners[owner] = asyncio.Semaphore(self._half)
        return Slot(own, self._all, self._free)


class Slot:
    """One holder's place, taken and given back again and again."""

    def __init__(
        self, own: asyncio.Semaphore, all_slots: asyncio.Semaphore, free: list[Part]
    ) -> None:
        self._semaphores = (own, all_slots)
        self._free = free
        self.part: Part | None = None

    async def take(self) -> Part:
        """Wait for a part to hold, unless one is held."""
        if self.part is None:
            own, all_slots = self._semaphores
            await own.acquire()
            try:
                await all_slots.acquire()
            except BaseException:
                own.release()
                raise
            self.part = self._free.pop() if self._free else Part()
        return self.part

    def give_back(self) -> None:
        """Let another hold the part; it may not be in use any more."""
        if self.part is not None:
            self.part.clear()
            self._free.append(self.part)
            self.part = None
            for semaphore in self._semaphores:
                semaphore.release()
