"""The worker process: one replica over sockets and a disk."""
