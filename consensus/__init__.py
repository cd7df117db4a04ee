"""The bank's core: sharded accounts, Multi-Paxos groups, and everything that runs them.

Importable without Django. ``replica`` is the only door to the protocol; ``node`` runs it
over sockets and disks, ``simulation`` runs the same code under virtual time.
"""
