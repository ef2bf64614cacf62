"""What it costs to find the session of a client that sends everything that was said each time.

    python -m benchmarks.matching                  500 messages; fails where a limit is broken
    python -m benchmarks.matching --messages 2000

Measured is what stands between the decoded request and the history: the transcript's turns and the
points at which it may stand. Of each kind of text, 400 bytes a message, the best of many rounds
counts, in processor time of this thread: what else a machine does only adds to it. For comparison,
the whole decision over a history in SQLite, whose thread is waited for, by the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bff.conversations import transcript
from bff.conversations.placing import find_place
from bff.conversations.sought import Sought
from bff.history import Turn
from bff.history.sqlite import open_sqlite
from bff.messages import ChatMessage, Conversation, TextPart, user_message

ALLOWED_MS = {"English": 1.0, "German": 1.0}
"""For 500 messages. Texts in other scripts are of more bytes a word, and have to be composed."""
ROUNDS = 200
TEXTS = {
    "English": "The quick brown fox jumps over the lazy dog. " * 9,
    "German": "Zwölf Boxkämpfer jagen Viktor quer über den Sylt. " * 8,
    "Chinese": "天地玄黄宇宙洪荒。日月盈昃辰宿列张。" * 7,
    "Thai": "นายสังฆภัณฑ์ เฮงพิทักษ์ฝั่ง ผู้เฒ่าซึ่งมีอาชีพเป็นฟศ. " * 3,
    "reasoning and code": "<think>hm</think>" + "    if a < b:\n        return a\n" * 12,
}
"""Each of about 400 bytes."""


def chat(text: str, messages: int) -> tuple[ChatMessage, ...]:
    roles = ("user", "assistant")
    return tuple(
        ChatMessage(role=roles[n % 2], parts=(TextPart(f"{n}: {text}"),))  # type: ignore[arg-type]
        for n in range(messages)
    )


def matched(said: Sequence[ChatMessage]) -> tuple[str, ...]:
    """The points of a transcript, as a request's are looked for."""
    start = transcript.root("agent", None)
    return transcript.candidates(start, transcript.spoken(said))


def processor_ms(said: Sequence[ChatMessage]) -> float:
    times = []
    for _ in range(ROUNDS):
        begin = time.thread_time_ns()
        matched(said)
        times.append((time.thread_time_ns() - begin) / 1e6)
    return min(times)


async def decided_ms(said: tuple[ChatMessage, ...], folder: Path) -> float:
    """The best of many decisions over SQLite; each has to find the one session."""
    turn = Turn(
        run_id="run_1",
        session_id="chat",
        agent="agent",
        message="the last",
        answer="",
        status="complete",
        asked_at=1,
        answered_at=2,
        points=matched(said),
    )
    sought = Sought(
        owner="0" * 64,
        conversation=Conversation(before=said, new=(user_message("More"),)),
        agents=["agent"],
        now=3,
    )
    times = []
    async with open_sqlite(str(folder / "bff.db")) as history:
        await history.add(sought.owner, turn)
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            place = await find_place(history, sought)
            times.append((time.perf_counter() - begin) * 1000)
            assert place.session_id == "chat"
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=500)
    options = parser.parse_args()
    slow = False
    print(f"{options.messages} messages | matched, ms | decided over SQLite, ms")
    for name, text in TEXTS.items():
        said = chat(text, options.messages)
        cost = processor_ms(said)
        with tempfile.TemporaryDirectory(prefix="matching-") as folder:
            decided = asyncio.run(decided_ms(said, Path(folder)))
        print(f"{name} | {cost:.2f} | {decided:.2f}")
        slow |= cost > ALLOWED_MS.get(name, math.inf) * options.messages / 500
    if slow:
        sys.exit(f"more than the milliseconds that 500 messages may take: {ALLOWED_MS}")


if __name__ == "__main__":
    main()
