"""How long tests wait for what other processes and threads do."""

# Only a hang takes so long: a machine with other work may need minutes for what takes seconds.
SECONDS = 600
