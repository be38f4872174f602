"""The worker process: what is said to it and by it (protocol), the worker itself (server), its parent (client)."""
