"""A state being written: copy on the first write, so that states are never changed in place."""

from __future__ import annotations

from typing import Any

State = dict[str, Any]
"""A JSON object; its parts are maps of maps and lists of maps."""


class Draft:
    """A state being written: parts are copied once, before their first change."""

    def __init__(self, state: State) -> None:
        self.state = dict(state)
        # Keeps each owned value alive: an id that was freed could come back as another value's.
        self._own: dict[int, Any] = {}

    def part(self, name: str) -> Any:
        """A top-level map or list that may be written to."""
        value = self.state[name]
        if id(value) not in self._own:
            value = value.copy()
            self.state[name] = value
            self._own[id(value)] = value
        return value

    def entry(self, name: str, key: str) -> dict[str, Any] | None:
        """The map under ``key`` of the part ``name``, writable; None when there is none."""
        value = self.state[name].get(key)
        if value is None:
            return None
        if id(value) not in self._own:
            value = value.copy()
            self._own[id(value)] = value
            self.part(name)[key] = value
        return value  # type: ignore[no-any-return]

    def item(self, name: str, index: int) -> dict[str, Any]:
        """The map at ``index`` of the list ``name``, writable."""
        items = self.part(name)
        value = items[index]
        if id(value) not in self._own:
            value = value.copy()
            self._own[id(value)] = value
            items[index] = value
        return value  # type: ignore[no-any-return]

    def row(self, name: str, fresh: dict[str, Any], limit: int, back: int) -> dict[str, Any] | None:
        """The map of a list of maps by time that begins at ``fresh["ts"]``, writable.

        ``fresh`` is appended where that time is the newest. None when it is older than the last ``back``.
        """
        rows = self.state[name]
        if not rows or rows[-1]["ts"] < fresh["ts"]:
            self.push(name, fresh, limit)
            return self.item(name, -1)
        for index in range(len(rows) - 1, max(-1, len(rows) - 1 - back), -1):
            if rows[index]["ts"] == fresh["ts"]:
                return self.item(name, index)
        return None

    def own(self, holder: Any, key: Any) -> Any:
        """The map or list at ``key`` of one that may be written to itself, writable."""
        value = holder[key]
        if id(value) not in self._own:
            value = value.copy()
            self._own[id(value)] = value
            holder[key] = value
        return value

    def push(self, name: str, value: Any, limit: int) -> None:
        """Append to a list, letting its oldest entries go."""
        items = self.part(name)
        items.append(value)
        if len(items) > limit:
            del items[: len(items) - limit]
