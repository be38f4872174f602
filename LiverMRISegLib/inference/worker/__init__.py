"""The worker process: its server and its client."""
