"""`python -m qparity.cli`, the same as `qparity`."""

from qparity.cli.entry import main

if __name__ == "__main__":
    main()
