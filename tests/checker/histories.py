"""Histories of a correct bank that runs operations one after the other, at points inside their intervals."""

from __future__ import annotations

from random import Random

from consensus.checker.history import Event, History, Position, Seen, collect

BEGIN = 100


def genesis(accounts: int, balance: int = BEGIN) -> Event:
    return Event(
        "bank", "ok", "genesis", "genesis", 0, accounts={a: Seen(0, balance) for a in range(accounts)}
    )


def serial(
    random: Random, count: int, accounts: int, *, unknown: float = 0.0, width: int = 40
) -> list[Event]:
    """A correct execution: operation i takes effect at 100 + 10 * i, a point inside its interval."""
    state = dict.fromkeys(range(accounts), (0, BEGIN))
    events = [genesis(accounts)]
    for at in range(count):
        point = 100 + 10 * at
        begin, end = point - random.randint(0, width), point + random.randint(0, width)
        process, name = f"p{at}", f"op{at}"
        kind = random.choice(
            ["transfer", "transfer", "read", "audit"] if accounts < 20 else ["transfer", "read"]
        )
        if kind != "transfer":
            chosen = list(state) if kind == "audit" else random.sample(list(state), 2)
            values = {a: Seen(*state[a]) for a in chosen}
            events.append(Event(process, "invoke", kind, name, begin))
            events.append(Event(process, "ok", kind, name, end, accounts=values))
            continue
        sender, receiver = random.sample(list(state), 2)
        amount = random.randint(1, 60)
        legs = [(sender, -amount), (receiver, amount)]
        events.append(Event(process, "invoke", "transfer", name, begin, legs=legs))
        enough = state[sender][1] >= amount
        lost = random.random() < unknown
        if enough and not (lost and random.random() < 0.5):
            for account, delta in legs:
                version, balance = state[account]
                state[account] = (version + 1, balance + delta)
        if lost:
            events.append(Event(process, "info", "transfer", name, end))
        elif enough:
            values = {a: Seen(*state[a]) for a, _ in legs}
            place = [Position(1, at + 1, 0)]
            events.append(Event(process, "ok", "transfer", name, end, positions=place, accounts=values))
        else:
            values = {sender: Seen(*state[sender])}
            reason = "insufficient_funds"
            events.append(Event(process, "fail", "transfer", name, end, accounts=values, reason=reason))
    return events


def paired(events: list[Event]) -> History:
    return collect(enumerate(events, 1))


def ok(
    name: str, begin: int, end: int, legs: list[tuple[int, int]], seen: dict[int, tuple[int, int]]
) -> list[Event]:
    """A committed transfer, or without legs a read."""
    op = "transfer" if legs else "read"
    values = {a: Seen(*value) for a, value in seen.items()}
    return [
        Event(name, "invoke", op, name, begin, legs=legs),
        Event(name, "ok", op, name, end, accounts=values),
    ]
