"""Environments for `--with`: an interpreter that has what another one has, but for the releases that were asked for.

Each is a folder of a cache, named by what it was made for and from; nothing is ever installed into the environment
below it.
Standard library only in this file: a worker whose interpreter lacks everything reads it, too.
"""

MANIFEST = "environment.json"
"""What an environment says of itself (`manifest.py`): a file in its folder, which is the `sys.prefix` of its Python."""
