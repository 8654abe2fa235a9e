"""Small made pictures and folders of them."""

import numpy as np
from PIL import Image


def draw(path, value=0, side=12, mode="L"):
    """A dark square on white whose place is a function of value."""
    picture = np.full((side, side), 255, np.uint8)
    picture[2 + value % 5 : 6 + value % 5, 3:7] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).convert(mode).save(path)
    return path


def make(root, classes=("a", "b", "c"), count=3, mode="L"):
    for i, name in enumerate(classes):
        for j in range(count):
            draw(root / name / f"{j}.png", i + j, mode=mode)
    return root


def photo(path, rgb=(200, 30, 20), side=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), rgb).save(path)
    return path
