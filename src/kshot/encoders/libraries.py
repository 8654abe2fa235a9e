"""Other people's libraries: imported when used, quietly, and with a message where they or their weights are missing."""

from __future__ import annotations

import importlib
import importlib.util
import socket
import sys
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ..errors import UserError

PACKAGES = {"timm": "timm", "torchvision": "torchvision", "transformers": "hf"}  # by their extras, where these differ
KEPT: list[Any] = []  # declarations of operators live as long as what declared them


def library(name: str, asked: str) -> ModuleType:
    """Import a package.

    Args:
        name: of the package.
        asked: what the user asked for, for the message.
    """
    with quiet():
        try:
            if importlib.util.find_spec("torchvision") is not None:  # timm and transformers import it, too
                _torchvision()
            return importlib.import_module(name)
        except ImportError as e:
            package = name.partition(".")[0]
            extra = PACKAGES.get(package, package.replace("_", "-"))
            raise UserError(
                f"{asked} needs the package {e.name or name}, which cannot be imported ({e}): install it by "
                f"pip install 'kshot[{extra}]'"
            ) from e


def _torchvision() -> None:
    """Import torchvision, also where its compiled part does not fit this torch.

    That part holds operators for detection, and importing the package registers something for two of them, which fails
    where it could not be loaded (a build for CUDA beside a torch for processors). Networks for classification and
    transforms of pictures use none of them; declaring the two is enough.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as e:
        if "torchvision::nms" not in str(e):
            raise
        declared = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        KEPT.append(declared)
        importlib.import_module("torchvision")


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings and bars of libraries, about which their users can do nothing."""
    said = sys.modules.get("transformers.utils.logging")
    before = (said.get_verbosity(), said.is_progress_bar_enabled()) if said else None
    if said:
        said.set_verbosity_error()
        said.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if said and before:
            said.set_verbosity(before[0])
            if before[1]:
                said.enable_progress_bar()


@contextmanager
def unseeded(seed: int = 0) -> Iterator[None]:
    """torch's global generator is as before afterwards; meanwhile it has this seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def offline(always: bool) -> Iterator[None]:
    """Where there is no network, the Hugging Face hub answers from its cache, instead of asking for minutes."""
    said: Any = sys.modules.get("huggingface_hub.constants")
    before = said.HF_HUB_OFFLINE if said else None
    if said and not before:
        said.HF_HUB_OFFLINE = always or not _reachable(said.ENDPOINT)
    try:
        yield
    finally:
        if said:
            said.HF_HUB_OFFLINE = before


def _reachable(address: str) -> bool:
    """Whether the name of a server is known here, or a proxy may know it."""
    if urllib.request.getproxies():
        return True
    try:
        return bool(socket.getaddrinfo(urllib.parse.urlparse(address).hostname, 443))
    except OSError:
        return False


@contextmanager
def weights_of(name: str, instead: str, *, here: bool = False) -> Iterator[None]:
    """Whatever fails while somebody's library finds or downloads weights becomes a message that says what to do.

    Args:
        name: the encoder as the user called it.
        instead: what else the user can do.
        here: whether all of it lies in a folder, so that no network is needed.
    """
    with quiet(), unseeded(), offline(here):
        try:
            yield
        except UserError:
            raise
        except Exception as e:  # libraries raise nearly anything: no network, no such model, a damaged file
            cause = e.__cause__ or e
            first = next((line.strip() for line in str(e).splitlines() if line.strip()), "")
            said = f"{type(cause).__name__}: {first[:300]}"
            if here:
                raise UserError(f"{name} cannot be opened ({said}): expected a folder that its library saved") from e
            raise UserError(
                f"the weights of {name} are not there ({said}). They are downloaded when first used, which needs a "
                f"network; without one, {instead}"
            ) from e


def local(name: str) -> Path | None:
    """The folder of that name, if there is one; a path that leads nowhere is a mistake."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith(("/", "./", "../", "~")):
        raise UserError(f"{name} is no folder: check the path")
    return None
