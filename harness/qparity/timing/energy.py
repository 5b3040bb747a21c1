"""What the processor used, by its own counters: Linux's powercap (RAPL), where the machine has it and lets us read it.

A counter is of a whole package: cores, caches, often memory controllers, and whatever else ran there meanwhile. No GPU
is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
PACKAGES = "intel-rapl:[0-9]*"
"""The zones of the kernel's driver, of AMD's processors too; those below them (`intel-rapl:0:0`) are parts of them."""


@dataclass(frozen=True, slots=True)
class Package:
    """A counter in microjoules, that begins anew at zero beyond `range_uj`; None where nobody says where that is."""

    file: Path
    range_uj: int | None

    def now_uj(self) -> int | None:
        """What it stands at; None where it cannot be read, by this user or at all."""
        return _number(self.file)


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of all packages of a machine; none where it has none."""

    packages: tuple[Package, ...]

    @classmethod
    def found(cls, folder: Path | None = None) -> Counters:
        """Those of this machine; the zone of a whole platform (`psys`), which has the packages in it, is left out."""
        zones = sorted(zone for zone in (folder or POWERCAP).glob(PACKAGES) if zone.name.count(":") == 1)
        mine = [zone for zone in zones if _text(zone / "name").startswith("package")]
        return cls(tuple(Package(zone / "energy_uj", _number(zone / "max_energy_range_uj")) for zone in mine))

    def now_uj(self) -> list[int] | None:
        """What they stand at; None where there are none, or one cannot be read."""
        found = [package.now_uj() for package in self.packages]
        known = [each for each in found if each is not None]
        return known if known and len(known) == len(found) else None

    def joules(self, before: Sequence[int] | None, after: Sequence[int] | None) -> float | None:
        """What all packages used between two readings, less than one turn of a counter apart.

        None where either is missing, a counter began anew and nobody says at what, or none of them moved: a virtual
        machine may show counters that stand still.
        """
        if before is None or after is None:
            return None
        used = 0
        for package, early, late in zip(self.packages, before, after, strict=True):
            if late < early:
                if package.range_uj is None:
                    return None
                late += package.range_uj
            used += late - early
        return used / 1e6 if used else None

    def told(self) -> str:
        """What a user is told of them: read, not to be read, or not there."""
        if not self.packages:
            return "not measured: this machine shows no energy counters (RAPL)"
        unread = [package.file for package in self.packages if package.now_uj() is None]
        if unread:
            return f"not measured: {unread[0]} cannot be read by this user; Linux keeps it for root"
        count = len(self.packages)
        return f"measured in the timed rounds, for {'the whole processor' if count == 1 else f'all {count} processors'}"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdecimal() else None
