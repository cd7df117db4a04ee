"""What a node found on its disk when it started."""

from consensus.effects import Recovered  # noqa: F401
