"""Packages made for tests: a wheel is a zip archive, and a folder of them is an index."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

CIRCUIT = """
import pennylane as qml


def circuit(weights, inputs):
    qml.RY(weights[0], 0)
    qml.RX(inputs[..., 0], 0)
    return qml.expval(qml.Y(0))
"""
"""What is run on the planted devices, `mine.py` beside the scenario."""
PAGE = "<!DOCTYPE html><html><body>{}</body></html>"


def metadata(name: str, version: str, requires: Sequence[str]) -> str:
    return "\n".join(
        [
            "Metadata-Version: 2.1",
            f"Name: {name}",
            f"Version: {version}",
            *map("Requires-Dist: {}".format, requires),
            "",
        ]
    )


def files_of(name: str, version: str, files: Mapping[str, str], requires: Sequence[str] = ()) -> dict[str, str]:
    """All files of a release, as they lie where it is installed."""
    info = f"{name}-{version}.dist-info"
    wheel = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    found = {**files, f"{info}/METADATA": metadata(name, version, requires), f"{info}/WHEEL": wheel}
    rows = []
    for path, text in found.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}")
    return found | {f"{info}/RECORD": "\n".join([*rows, f"{info}/RECORD,,", ""])}


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str], requires: Sequence[str] = ()) -> Path:
    """Write the wheel of a release into a folder that pip finds links in."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in files_of(name, version, files, requires).items():
            archive.writestr(place, text)
    return path


def unpacked(folder: Path, name: str, version: str, files: Mapping[str, str], requires: Sequence[str] = ()) -> None:
    """Put a release where packages are installed."""
    for place, text in files_of(name, version, files, requires).items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)


def index(folder: Path, wheels: Sequence[Path], yanked: Sequence[str] = ()) -> str:
    """A package index over wheels, in which these versions are yanked; its address."""
    for name in {wheel.name.partition("-")[0] for wheel in wheels}:
        mine = [wheel for wheel in wheels if wheel.name.startswith(f"{name}-")]
        marks = ["data-yanked=broken" if each.name.split("-")[1] in yanked else "" for each in mine]
        links = [f'<a href="{each.as_uri()}" {mark}>{each.name}</a>' for each, mark in zip(mine, marks, strict=True)]
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "index.html").write_text(PAGE.format("\n".join(links)))
    return folder.as_uri()
