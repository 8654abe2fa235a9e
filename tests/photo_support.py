"""Small copies of published data sets of photographs, in the layouts in which people have them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image


@cache
def picture(red: int, green: int = 0, blue: int = 0, side: int = 4, kind: str = "PNG") -> bytes:
    """A file of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), (red % 256, green % 256, blue % 256)).save(file, kind)
    return file.getvalue()


def class_files(names: Iterable[str], each: int = 2, suffix: str = ".png") -> dict[str, bytes]:
    """<class>/<number>.png: picture j of class i is of the colour (i, j, 0), with i counted over the sorted names."""
    return {f"{name}/{name}_{j}{suffix}": picture(i, j) for i, name in enumerate(sorted(names)) for j in range(each)}


def under(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same files in a folder."""
    return {f"{folder}/{name}": data for name, data in files.items()}


def lines(names: Iterable[str]) -> bytes:
    """A list as a text file."""
    return "".join(f"{name}\n" for name in names).encode()


def write_folder(root: Path, files: Mapping[str, bytes]) -> Path:
    """Files below a folder."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tar_bytes(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    """A tar archive; mode "w:gz" compresses it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def wordnet(count: int) -> list[str]:
    """Class names like ImageNet's."""
    return [f"n{i:08d}" for i in range(1, count + 1)]


def cut(names: list[str], *counts: int) -> dict[str, list[str]]:
    """train, val and test of the given counts, taken in turn so that no split is a range of names."""
    order = sorted(names, key=hash_of)
    a, b = counts[0], counts[0] + counts[1]
    return {"train": order[:a], "val": order[a:b], "test": order[b : b + counts[2]]}


def hash_of(name: str) -> int:
    """A fixed shuffle."""
    return sum((i + 7) * ord(c) ** 3 for i, c in enumerate(name)) % 1009


def cifar_binary(each: int = 2) -> dict[str, bytes]:
    """CIFAR-100's binary version: 20 superclasses s00.. of five classes; `each` pictures in either file."""
    fine = [f"thing_{c:02d}" for c in range(100)]
    coarse = [f"super_{s:02d}" for s in range(20)]
    files = {"fine_label_names.txt": lines(fine), "coarse_label_names.txt": lines(coarse)}
    for k, name in enumerate(("train.bin", "test.bin")):
        records = np.zeros((100 * each, 3074), np.uint8)
        for i, record in enumerate(records):
            c = i % 100
            record[:2] = c % 20, c
            record[2:1026], record[1026:2050], record[2050:] = c, i // 100, k
        files[name] = records.tobytes()
    return files
