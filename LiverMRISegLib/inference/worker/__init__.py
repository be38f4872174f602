"""The worker process (server), what it is asked and answers (protocol, tasks), its parent (conversation, client)."""
