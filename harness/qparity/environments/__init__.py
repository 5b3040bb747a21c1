"""Environments for `--with`: an interpreter that has what another one has, but for the releases that were asked for.

Each is a folder of a cache, named by what it was made for and from; nothing is ever installed into the environment
below it.
"""
