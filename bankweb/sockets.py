"""What the consumers of busy websockets share."""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer


class BusySocket(AsyncWebsocketConsumer):
    """A consumer whose messages touch no database.

    Channels looks after old database connections before each message, on another thread: with nine workers
    that tell twenty times a second that is a fifth of what the site does.
    """

    async def dispatch(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.receive":
            await self.websocket_receive(message)
        else:
            await super().dispatch(message)
