"""The circuit library: one file a circuit, named after its quantum function.

To add a circuit: one file here, one line in `harness/qparity/scenario/registry.py`.
"""
