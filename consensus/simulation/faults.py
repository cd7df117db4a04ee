"""Carries out the faults of a schedule, and ends them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from consensus.simulation.node import SimNode
from consensus.simulation.schedule import Fault

if TYPE_CHECKING:
    from consensus.simulation.world import World

SLOW_LINK_US: Final = 200_000
SLOW_DISK_FACTOR: Final = 200


class Injector:
    """Faults of one world. ``done`` counts what happened by kind, ``left_out`` what could not."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.crashes = 0
        self.ended = False

    def inject(self, fault: Fault) -> None:
        """Let ``fault`` happen now, if it can."""
        if self.ended:
            return
        kind = fault.kind
        node = self.world.nodes[fault.node]
        if kind.endswith("_leader"):
            found = self._leader(node)
            kind = kind.removesuffix("_leader")
            if found is None:
                self.left_out[fault.kind] += 1
                return
            node = found
        act: Callable[[SimNode, Fault], bool] = getattr(self, f"_{kind}")
        if act(node, fault):
            self.done[fault.kind] += 1
        else:
            self.left_out[fault.kind] += 1

    def end_all(self) -> None:
        """Nothing is faulty any more, from now on."""
        self.ended = True
        world = self.world
        world.network.heal_all()
        for node in world.nodes.values():
            node.wedged = False
            node.slowness = 1
            if node.replica is None:
                world.boot(node)
            node.clock.paused_until_us = min(node.clock.paused_until_us, world.now_us)
            if node.frozen:
                self._thaw((node, node.life))

    def take_minorities_down(self) -> None:
        """Crash as many nodes of each cluster as it can do without, its leader among them.

        None where a learner is on its way back: it wants to hear from every other member.
        """
        world = self.world
        for cluster in world.config.topology.clusters:
            nodes = [world.nodes[member] for member in cluster.members]
            spare = 0 if world.checkers[cluster.id].damaged() else (len(nodes) - 1) // 2
            leader = self._leader(nodes[0])
            order = sorted(nodes, key=lambda node: (node is not leader, node.id))
            for node in order[:spare]:
                node.crash()
                self.crashes += 1

    def start_all(self) -> None:
        for node in self.world.nodes.values():
            self.world.boot(node)

    def _leader(self, node: SimNode) -> SimNode | None:
        """A node of the same cluster that takes itself for the leader; the one of the highest ballot."""
        world = self.world
        members = world.config.topology.cluster_by_node[node.id].members
        leading = [
            (r.leader.ballot, m) for m in members if (r := world.nodes[m].replica) and r.leader is not None
        ]
        return world.nodes[max(leading)[1]] if leading else None

    def _later(self, fault: Fault, act: Callable[[Any], None], argument: Any) -> None:
        self.world.push(self.world.now_us + max(1, fault.for_us), act, argument)

    def _others(self, node: SimNode) -> list[int]:
        members = self.world.config.topology.cluster_by_node[node.id].members
        return [member for member in members if member != node.id]

    # --- processes -------------------------------------------------------------------

    def _crash(self, node: SimNode, fault: Fault) -> bool:
        if not node.up:
            return False
        node.crash()
        self.crashes += 1
        self._later(fault, self._restart, (node, node.life))
        return True

    def _restart(self, argument: tuple[SimNode, int]) -> None:
        node, life = argument
        if node.life == life:
            self.world.boot(node)

    def _crash_all(self, node: SimNode, fault: Fault) -> bool:
        members = self.world.config.topology.cluster_by_node[node.id].members
        return any(self._crash(self.world.nodes[member], fault) for member in members)

    def _pause(self, node: SimNode, fault: Fault) -> bool:
        if not node.up:
            return False
        node.clock.pause(self.world.now_us + fault.for_us)
        return True

    def _fail(self, node: SimNode, fault: Fault) -> bool:
        if not node.up or node.frozen:
            return False
        self.world.step(node, node.freeze())
        self._later(fault, self._thaw, (node, node.life))
        return True

    def _thaw(self, argument: tuple[SimNode, int]) -> None:
        node, life = argument
        if node.life == life and node.frozen:
            self.world.step(node, node.thaw())

    # --- links -------------------------------------------------------------------------

    def _cut(self, node: SimNode, fault: Fault) -> bool:
        return self._cut_links([(node.id, fault.other), (fault.other, node.id)], fault)

    def _cut_one_way(self, node: SimNode, fault: Fault) -> bool:
        return self._cut_links([(node.id, fault.other)], fault)

    def _isolate(self, node: SimNode, fault: Fault) -> bool:
        others = self._others(node)
        return self._cut_links([(node.id, o) for o in others] + [(o, node.id) for o in others], fault)

    def _deaf(self, node: SimNode, fault: Fault) -> bool:
        return self._cut_links([(other, node.id) for other in self._others(node)], fault)

    def _cut_links(self, links: list[tuple[int, int]], fault: Fault) -> bool:
        links = [link for link in links if link[0] != link[1]]
        for source, target in links:
            self.world.network.cut(source, target)
        self._later(fault, self._heal, links)
        return bool(links)

    def _heal(self, links: list[tuple[int, int]]) -> None:
        for source, target in links:
            self.world.network.heal(source, target)

    def _slow_link(self, node: SimNode, fault: Fault) -> bool:
        if node.id == fault.other:
            return False
        self.world.network.link(node.id, fault.other).delay_us = int(fault.strength * SLOW_LINK_US)
        self._later(fault, self._heal, [(node.id, fault.other)])
        return True

    def _lossy_link(self, node: SimNode, fault: Fault) -> bool:
        if node.id == fault.other:
            return False
        self.world.network.link(node.id, fault.other).loss = fault.strength
        self._later(fault, self._heal, [(node.id, fault.other)])
        return True

    def _reset_connections(self, node: SimNode, fault: Fault) -> bool:
        for client in self.world.clients:
            self.world.reset_connection(client, node.id)
        return True

    # --- disks ---------------------------------------------------------------------------

    def _slow_disk(self, node: SimNode, fault: Fault) -> bool:
        node.slowness = max(2, int(fault.strength * SLOW_DISK_FACTOR))
        self._later(fault, self._fast_again, node)
        return True

    def _fast_again(self, node: SimNode) -> None:
        node.slowness = 1

    def _stuck_disk(self, node: SimNode, fault: Fault) -> bool:
        node.wedged = True
        self._later(fault, self._unstick, node)
        return True

    def _unstick(self, node: SimNode) -> None:
        node.wedged = False
        self.world.start_write(node)

    def _lose_disk(self, node: SimNode, fault: Fault) -> bool:
        return self._damage(node, fault, self._wipe)

    def _flip_bit(self, node: SimNode, fault: Fault) -> bool:
        return self._damage(node, fault, lambda hit: hit.disk.flip_bit())

    def _damage_checkpoint(self, node: SimNode, fault: Fault) -> bool:
        return self._damage(node, fault, lambda hit: hit.disk.damage_checkpoint())

    def _wipe(self, node: SimNode) -> bool:
        node.disk.wipe()
        return True

    def _damage(self, node: SimNode, fault: Fault, act: Callable[[SimNode], bool]) -> bool:
        """Crash the node if it runs, damage its disk, start it again later; a minority at a time."""
        damaged = set(node.checker.damaged()) | {node.id}
        members = len(self._others(node)) + 1
        if len(damaged) > (members - 1) // 2:
            return False
        if node.up:
            self._crash(node, fault)
        if not act(node):
            return False
        node.checker.lost(node.id)
        return True
