"""Operations and what has to come before what; helper nodes keep the number of edges linear."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from consensus.checker.history import FOREVER_NS, Operation

STARTS_EACH_END: Final = 20
"""Operations, of the first and of the last that may lie on cycles, from which a short cycle is searched."""
CYCLE_MIN: Final = 2


class Graph:
    """A node per operation (its index), then helpers, each with the reason that its edges stand for."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations
        self._index = {id(operation): at for at, operation in enumerate(operations)}
        self._after: list[list[int]] = [[] for _ in operations]
        self._why: list[str] = []

    def node(self, operation: Operation) -> int:
        return self._index[id(operation)]

    def helper(self, why: str) -> int:
        self._after.append([])
        self._why.append(why)
        return len(self._after) - 1

    def edge(self, before: int, after: int) -> None:
        self._after[before].append(after)

    def real_time(self) -> None:
        """An answer comes before every invocation that is strictly later."""
        ends = sorted((one.end_ns, at) for at, one in enumerate(self.operations) if one.end_ns < FOREVER_NS)
        last, passed = -1, 0
        for at in sorted(range(len(self.operations)), key=lambda one: self.operations[one].invoke.t_ns):
            begin = self.operations[at].invoke.t_ns
            first = passed
            while passed < len(ends) and ends[passed][0] < begin:
                passed += 1
            if passed > first:
                moment = self.helper("real time")
                if last >= 0:
                    self.edge(last, moment)
                for _, ended in ends[first:passed]:
                    self.edge(ended, moment)
                last = moment
            if last >= 0:
                self.edge(last, at)

    def smallest_cycle(self) -> list[tuple[Operation, str]]:
        """Operations of a short cycle, each with why it comes before the next; or empty."""
        left = self._trim()
        best: list[int] = []
        starts = [at for at in range(len(self.operations)) if left[at]]
        if len(starts) > 2 * STARTS_EACH_END:
            starts = starts[-STARTS_EACH_END:] + starts[:STARTS_EACH_END]
        for start in starts:
            path = self._back_to(start, left)
            if path and (not best or self._size(path) < self._size(best)):
                best = path
            if best and self._size(best) <= CYCLE_MIN:
                break
        return self._named(best)

    def _trim(self) -> bytearray:
        """Drop, again and again, nodes that nothing comes before (Kahn, 1962); cycles are in what is left."""
        incoming = [0] * len(self._after)
        for targets in self._after:
            for target in targets:
                incoming[target] += 1
        left = bytearray(b"\x01") * len(self._after)
        ready = [at for at, count in enumerate(incoming) if not count]
        while ready:
            at = ready.pop()
            left[at] = 0
            for target in self._after[at]:
                incoming[target] -= 1
                if not incoming[target]:
                    ready.append(target)
        return left

    def _back_to(self, start: int, left: bytearray) -> list[int]:
        """A path from ``start`` to itself over the fewest operations; helpers cost nothing (0-1 search)."""
        came: dict[int, int] = {}
        cost = {start: 0}
        queue = deque([(0, start)])
        count = len(self.operations)
        while queue:
            spent, at = queue.popleft()
            if at == start and at in came:
                break
            if spent > cost[at]:
                continue
            for target in self._after[at]:
                if not left[target]:
                    continue
                price = spent + (target < count)
                if target == start:
                    if start not in came:
                        came[start] = at
                        queue.append((price, start))
                elif price < cost.get(target, price + 1):
                    cost[target] = price
                    came[target] = at
                    (queue.append if target < count else queue.appendleft)((price, target))
        if start not in came:
            return []
        path, at = [start], came[start]
        while at != start:
            path.append(at)
            at = came[at]
        return [path[0], *reversed(path[1:])]

    def _size(self, path: list[int]) -> int:
        return sum(at < len(self.operations) for at in path)

    def _named(self, path: list[int]) -> list[tuple[Operation, str]]:
        count = len(self.operations)
        named: list[tuple[Operation, str]] = []
        for place, at in enumerate(path):
            if at < count:
                after = path[(place + 1) % len(path)]
                # Between two operations stands always a helper.
                named.append((self.operations[at], self._why[after - count]))
        return named
