"""Websocket shells around the core, with bounded queues."""
