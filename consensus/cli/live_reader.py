"""Reads ``/ws/live/`` of a site until its stdin ends: says ``reading``, in the end frames and bytes."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Final
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.client import ClientConnection, connect

ACK_EVERY: Final = 10
FRAME_BYTES_MAX: Final = 64 << 20
PATH: Final = "/ws/live/"


async def read(url: str, level: int) -> tuple[int, int]:
    """``url``: of the site, with its token. Frames and bytes that came."""
    site = urlsplit(url)
    (token,) = parse_qs(site.query)["token"]
    headers = {"Authorization": f"Token {token}"}
    address = f"ws://{site.netloc}{PATH}"
    counts = [0, 0]
    async with connect(address, additional_headers=headers, max_size=FRAME_BYTES_MAX) as socket:
        if level > 1:
            await socket.send(json.dumps({"type": "watch", "level": level}))
        taking = asyncio.create_task(_take(socket, counts))
        print("reading", flush=True)  # noqa: T201  (what the parent waits for)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        if taking.done():
            await taking  # it must not have ended before: say why
        taking.cancel()
    return counts[0], counts[1]


async def _take(socket: ClientConnection, counts: list[int]) -> None:
    async for text in socket:
        counts[0] += 1
        counts[1] += len(text)
        if counts[0] % ACK_EVERY == 0:
            # The number stands in the first bytes of a frame: {"type":"frame","f":12,…
            _, _, rest = str(text[:60]).partition('"f":')
            if rest:
                number = int(rest.split(",", 1)[0])
                await socket.send(json.dumps({"type": "ack", "f": number}))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m consensus.cli.live_reader", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--level", type=int, choices=(1, 2), default=1)
    options = parser.parse_args()
    frames, size = asyncio.run(read(options.url, options.level))
    print(frames, size)  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
