"""CPU per call of the ways to call AgentCore Runtime, in one run: `python -m benchmarks.invoke`.

The other end is a process of its own that answers any POST with the same event stream, so what is
counted is ours: making the request, signing it, parsing the response. Rounds of all ways take
turns, so that a busy machine disturbs them alike; the median round counts. See
docs/decisions/invoke-signed-by-hand.md for what was decided by it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig

from bff.agents import open_agent
from bff.agents.dialects.decoder import Decoder
from bff.settings import Settings
from tests.fakes.prompts import prompt_of

ARN = "arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/my_agent-abcdefghij"
SESSION = "s" * 40
WORDS = 20
EVENTS = "".join(f"data: {json.dumps({'content': f' word{n}'})}\n\n" for n in range(WORDS)).encode()
CONCURRENT = 10


def serve(pipe: Connection) -> None:
    """The other end: keeps connections, answers each request with WORDS events."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    answer = f"{head}Content-Length: {len(EVENTS)}\r\n\r\n".encode() + EVENTS

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = request.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(play, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


Call = Callable[[], Awaitable[None]]


async def cpu_per_call(call: Call, calls: int) -> float:
    """Milliseconds of this process's CPU."""
    started = time.process_time()
    for _ in range(calls // CONCURRENT):
        await asyncio.gather(*(call() for _ in range(CONCURRENT)))
    return (time.process_time() - started) * 1000 / calls


async def measure(url: str, calls: int, rounds: int) -> dict[str, list[float]]:
    os.environ.update(
        AWS_ENDPOINT_URL_BEDROCK_AGENTCORE=url,
        AWS_ACCESS_KEY_ID="AKIDEXAMPLE",
        AWS_SECRET_ACCESS_KEY="secret",
    )
    prompt = prompt_of("What is 15 * 23?", SESSION, "actor", "run")
    body = json.dumps({"prompt": prompt.conversation.text, "session_id": SESSION}).encode()
    config = AioConfig(retries={"total_max_attempts": 1}, max_pool_connections=CONCURRENT)
    session = aioboto3.Session(region_name="us-west-2")
    async with (
        aiohttp.ClientSession() as http,
        session.client("bedrock-agentcore", config=config) as client,
        open_agent(Settings(agent_runtime_arn=ARN).agents[0]) as agent,
    ):

        async def bare() -> None:
            async with http.post(url, data=body) as response:
                async for _ in response.content.iter_any():
                    pass

        async def generated() -> None:
            response = await client.invoke_agent_runtime(
                agentRuntimeArn=ARN, runtimeSessionId=SESSION, qualifier="DEFAULT", payload=body
            )
            async for _ in response["response"].content.iter_any():
                pass

        async def decoding() -> None:
            decoder = Decoder("text/event-stream")
            decoder.feed(EVENTS)
            decoder.end()

        async def ours() -> None:
            async for _ in agent.stream(prompt):
                pass

        ways = {"bare aiohttp relay": bare, "aioboto3, not decoded": generated}
        ways |= {"ours, signed and decoded": ours, "of which decoding": decoding}
        for call in ways.values():
            await cpu_per_call(call, CONCURRENT * 3)
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, call in ways.items():
                found[name].append(await cpu_per_call(call, calls))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300, help="calls a round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}"
        found = asyncio.run(measure(url, options.calls, options.rounds))
    finally:
        server.terminate()
        server.join()
    bare = statistics.median(found["bare aiohttp relay"])
    print(f"CPU per call of {WORDS} events, median of {options.rounds} rounds of {options.calls}")
    for name, times in found.items():
        middle = statistics.median(times)
        spread = f"{min(times):.2f} to {max(times):.2f}"
        print(f"{name:26} {middle:6.2f} ms   {middle / bare:4.1f} x   ({spread})")


if __name__ == "__main__":
    main()
