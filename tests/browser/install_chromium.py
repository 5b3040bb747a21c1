"""Make sure there is a Chromium for the browser tests: the system's, or Debian's package where we may install it."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The path of an installed Chromium."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def main() -> None:
    """Install Chromium if it is missing; say in one line what to do if that is not possible."""
    if find():
        return
    if not shutil.which("apt-get"):
        sys.exit("the browser tests need Chromium: install it so that `chromium` is on the PATH")
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        subprocess.run([*sudo, "apt-get", *command], check=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    if not find():
        sys.exit("the browser tests need Chromium, and apt-get did not bring it")


if __name__ == "__main__":
    main()
