"""How many requests are in flight: as many as the server bears, up to a bound.

The number doubles each round trip until the server first objects, then grows by one a round trip, and is halved when
the server is crowded (Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance",
Computer Networks and ISDN Systems 17, 1989).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_FIRST = 4


class Pace:
    """Slots for requests. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self.most, self.limit = most, min(_FIRST, most)
        self._free = asyncio.Semaphore(self.limit)
        self._owed = 0
        self._cautious, self._credit = False, 0.0
        self._round = 0
        self._resume = 0.0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[int]:
        """Wait for a slot and for the end of a pause; yields the round, to be handed to `crowded`."""
        await self._free.acquire()
        try:
            while (left := self._resume - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(left)
            yield self._round
        finally:
            if self._owed:
                self._owed -= 1
            else:
                self._free.release()

    def went_well(self) -> None:
        """An answer came."""
        self._credit += 1 / self.limit if self._cautious else 1
        if self._credit >= 1:
            self._credit = 0.0
            if self.limit < self.most:
                self.limit += 1
                if self._owed:
                    self._owed -= 1
                else:
                    self._free.release()

    def crowded(self, begun: int) -> None:
        """Halve, unless that was done since the request began: requests in flight together object together."""
        if begun == self._round:
            self._round += 1
            self._cautious, self._credit = True, 0.0
            fewer = max(1, self.limit // 2)
            self._owed += self.limit - fewer
            self.limit = fewer

    def hold(self, seconds: float) -> None:
        """Let nothing leave for some time."""
        self._resume = max(self._resume, asyncio.get_running_loop().time() + seconds)
