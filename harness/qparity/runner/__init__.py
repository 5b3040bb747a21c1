"""The sweep: a plan of blocks, a pool of worker servers, one outcome per cell. Imports no framework."""
