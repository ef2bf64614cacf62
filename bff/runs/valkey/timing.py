"""How long things hold that the instances agree on through the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The longest from an owner's death to `interrupted`: lease + tick; and grace, if the instance
    that detects it has just connected."""

    call_seconds: float = 0.04
    """For one pipeline to the server; past that it counts as gone. No request waits for more than
    six, one after the other, which makes less than 250 ms however slow the server is."""
    lease_seconds: float = 3.0
    """A run whose owner has not been heard of for so long is nobody's."""
    renew_seconds: float = 1.0
    extend_seconds: float = 20.0
    """Between two extensions of what an open run's keys may outlive it by."""
    tick_seconds: float = 0.5
    """Between two looks at followed runs that are silent."""
    sweep_seconds: float = 1.0
    """Between two looks for dead runs that nobody asks for."""
    grace_seconds: float = 2.0
    """Owners have so long to come forward after the server was away, or lost its keys."""
    alive_seconds: float = 5.0
    """An instance that was not heard of for so long has no share of the limits."""
    watch_seconds: float = 30.0
    """An instance that followed a run is sent its events for so long without asking again."""

    @property
    def slack_seconds(self) -> float:
        """A server that was away for less than this has cost no living owner its lease."""
        return max(0.0, self.lease_seconds - self.renew_seconds - 2 * self.tick_seconds)

    def milliseconds(self, seconds: float) -> int:
        return int(seconds * 1000)


TIMING = Timing()
