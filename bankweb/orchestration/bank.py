"""The topology this site was told."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from consensus import topology_file
from consensus.topology import Topology


@cache
def topology() -> Topology:
    """The bank's topology, read once per process.

    Raises:
        ImproperlyConfigured: the file cannot be read; the text names file and key.
    """
    stored = Path(settings.BANK_DATA) / "nodes.yaml"
    default = stored if stored.exists() else Path(settings.BASE_DIR) / "config" / "nodes.yaml"
    try:
        return topology_file.load(settings.BANK_TOPOLOGY or default)
    except topology_file.TopologyError as error:
        raise ImproperlyConfigured(f"topology {error}") from error
