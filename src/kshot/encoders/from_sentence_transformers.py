"""Encoders of sentence-transformers: a vector for each sentence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .base import ADDRESS, Encoder, weights_digest
from .libraries import library, local, quiet, weights_of


def open_sentence_transformers(name: str, *, prompt: str = "", device: torch.device | str = "cpu") -> Encoder:
    """A model of sentence-transformers.

    Args:
        name: as on huggingface.co (all-MiniLM-L6-v2, OWNER/NAME), or a folder that holds the model.
        prompt: text to put before every sentence, for models that want one.
        device: where to compute.
    """
    asked = f"sentence-transformers:{name}"
    sentence_transformers = library("sentence_transformers", asked)
    folder = local(name)
    instead = (
        f"give a folder that holds the model (sentence-transformers:FOLDER, as `hf download "
        f"{name if '/' in name else 'sentence-transformers/' + name} --local-dir FOLDER` makes it)"
    )
    with weights_of(asked, instead, here=folder is not None):
        model = sentence_transformers.SentenceTransformer(
            str(folder or name), device=str(device), trust_remote_code=False
        )
    model.eval().requires_grad_(False)

    def network(texts: list[str]) -> Tensor:
        with quiet():
            made: Any = model.encode(
                texts,
                prompt=prompt or None,
                batch_size=len(texts),
                show_progress_bar=False,
                convert_to_tensor=True,
            )
        return made

    known = {
        "family": "sentence-transformers",
        "version": sentence_transformers.__version__,
        "module": ADDRESS.sub("", repr(model)),
        "weights": weights_digest(model),
        "prompt": prompt or model.prompts.get(model.default_prompt_name or "", ""),
        "longest": model.max_seq_length,
    }
    return Encoder(asked, "sentences", network, lambda text: text, known)
