"""The two Omniglot archives: found or downloaded, checked by content, decoded once, kept bit-packed."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..cache import cache_dir, keep_arrays, kept_arrays
from ..errors import UserError
from .places import data_dirs

SIDE = 105
DRAWERS = 20
URL = "https://github.com/brendenlake/omniglot/raw/master/python/"
PICTURE = re.compile(r"^images_(?:background|evaluation)/([^/]+)/(character\d\d)/(\d{4})_(\d\d)\.png$")


@dataclass(frozen=True)
class Archive:
    """What one of the two archives must hold."""

    file: str
    md5: str  # of the published file
    alphabets: int
    characters: int


ARCHIVES = {
    "background": Archive("images_background.zip", "68d2efa1b9178cc56df9314c21c6e718", 30, 964),
    "evaluation": Archive("images_evaluation.zip", "6b91aef0f799c5bb55b94e3f2daec811", 20, 659),
}


@dataclass(frozen=True)
class Drawings:
    """All drawings of one archive: 20 of each character, packed to bits (ink is 1)."""

    bits: np.ndarray  # uint8 [20 * characters, ceil(105 * 105 / 8)]
    characters: tuple[str, ...]  # "Greek/character01", in the archive's order

    def pixels(self, characters: list[int]) -> Tensor:
        """The drawings of some characters, in the given order: uint8 [20 * n, 1, 105, 105], ink is 255."""
        rows = self.bits.reshape(len(self.characters), DRAWERS, -1)[characters]  # [n, 20, 1379]
        ink = np.unpackbits(rows.reshape(len(characters) * DRAWERS, -1), axis=1, count=SIDE * SIDE)  # [20n, 11025]
        return torch.from_numpy(ink).mul_(255).view(-1, 1, SIDE, SIDE)


def locate(part: str, data_dir: Path | None) -> Path:
    """The archive "background" or "evaluation": from the user's folder, or downloaded with the published checksum."""
    archive = ARCHIVES[part]
    folders, named_by = data_dirs(data_dir)
    for folder in folders:
        for path in (folder / "omniglot" / archive.file, folder / archive.file):
            if path.is_file():
                return path
    if named_by:
        raise UserError(
            f"no {archive.file} in {folders[0]} or {folders[0] / 'omniglot'}, the folder named by {named_by}; put the "
            f"archive there ({URL}{archive.file}), or leave out {named_by} to download it"
        )
    return download(archive)


def download(archive: Archive) -> Path:
    """Fetch an archive into the cache and check its published md5 sum."""
    import pooch
    import requests

    place = cache_dir() / "omniglot"
    try:
        path = pooch.retrieve(URL + archive.file, known_hash=f"md5:{archive.md5}", fname=archive.file, path=place)
    except (requests.RequestException, OSError, ValueError) as e:
        raise UserError(
            f"could not download {URL}{archive.file}: {e}. Download it by other means and name its folder by "
            f"--data-dir or KSHOT_DATA"
        ) from e
    return Path(path)


def read_archive(path: Path, part: str) -> Drawings:
    """The drawings of an archive, from the cache when this very file was decoded before."""
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()[:16]
    cached = cache_dir() / "omniglot" / f"{part}-{len(data)}-{digest}.npz"
    drawings = _from_cache(cached, ARCHIVES[part])
    if drawings is None:
        drawings = decode(path, data, part)
        keep_arrays(cached, {"bits": drawings.bits, "characters": np.array(drawings.characters)}, compress=True)
    return drawings


def decode(path: Path, data: bytes, part: str) -> Drawings:
    """Decode every picture of an archive and check that it is the whole of Omniglot's `part`."""
    from PIL import Image

    from .progress import track

    wanted = ARCHIVES[part]
    fix = f"; get {wanted.file} again from {URL}{wanted.file} (md5 {wanted.md5})"
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as e:
        raise UserError(f"{path} is not a zip archive ({e}){fix}") from e
    with archive:
        found = sorted((*m.groups(), n) for n in archive.namelist() if (m := PICTURE.match(n)))
        counts = Counter(f"{alphabet}/{character}" for alphabet, character, _, _, _ in found)
        alphabets = {name.split("/")[0] for name in counts}
        if (len(alphabets), len(counts)) != (wanted.alphabets, wanted.characters) or set(counts.values()) != {DRAWERS}:
            raise UserError(
                f"{path} is not Omniglot's {part} set: expected {wanted.alphabets} alphabets, {wanted.characters} "
                f"characters and {DRAWERS} drawings of each, at images_{part}/Alphabet/characterNN/NNNN_DD.png; found "
                f"{len(alphabets)} alphabets, {len(counts)} characters and {len(found)} drawings{fix}"
            )
        bits = []
        for *_, name in track(found, f"decoding {path.name} (once)"):
            try:
                with Image.open(io.BytesIO(archive.read(name))) as picture:
                    size, ink = picture.size, ~np.asarray(picture.convert("1"))
            except (OSError, SyntaxError, ValueError, zipfile.BadZipFile, zlib.error) as e:
                raise UserError(f"{name} in {path} cannot be read ({e}){fix}") from e
            if size != (SIDE, SIDE):
                raise UserError(f"{name} in {path} is {size[0]} x {size[1]} pixels, not {SIDE} x {SIDE}{fix}")
            bits.append(np.packbits(ink))
    return Drawings(np.stack(bits), tuple(counts))


def _from_cache(path: Path, wanted: Archive) -> Drawings | None:
    """A cached file, or None where there is none or it is damaged (then the archive is decoded again)."""
    kept = kept_arrays(path)
    if kept is None or not {"bits", "characters"} <= set(kept):
        return None
    drawings = Drawings(kept["bits"], tuple(kept["characters"].tolist()))
    whole = drawings.bits.shape == (wanted.characters * DRAWERS, (SIDE * SIDE + 7) // 8)
    return drawings if whole and len(drawings.characters) == wanted.characters else None
