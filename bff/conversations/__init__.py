"""Which session a request belongs to, what its agent is told, and which questions it answers."""
