"""Django settings: ``base`` for all, ``local`` for one machine, ``scaleout`` for several."""
