"""`python -m harness.cli`, the same as `qparity`."""

from harness.cli.entry import main

if __name__ == "__main__":
    main()
