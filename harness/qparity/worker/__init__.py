"""One server process per backend that forks a child per cell. The parent imports only `protocol`."""
