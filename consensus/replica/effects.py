"""Inputs and outputs of a step."""

from consensus.effects import *  # noqa: F403
