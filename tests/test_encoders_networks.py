"""Encoders of timm, torchvision and transformers: small networks, random weights, no downloads."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from encoder_support import Evil, close
from kshot.encoders import open_encoder
from kshot.encoders.libraries import library, quiet, unseeded
from kshot.errors import UserError
from kshot.estimator import FewShotClassifier


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))


def photographs() -> list[Image.Image]:
    """Two pictures that are neither square nor grey."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    return [Image.fromarray(x).resize((70, 50), Image.Resampling.BICUBIC) for x in noise]


# --- timm


@pytest.fixture(scope="module")
def vit() -> torch.nn.Module:
    """A tiny vision transformer with its classifier."""
    timm = library("timm", "a test")
    with quiet(), unseeded(3):
        return timm.create_model("test_vit", num_classes=1000).eval()


def test_a_timm_model_with_weights_from_a_file(vit: Any, tmp_path: Path) -> None:
    """The features are those before the classifier, of pictures prepared as timm prepares them."""
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    encoder = open_encoder("timm:test_vit", weights=str(tmp_path / "vit.safetensors"))
    from timm.data import create_transform, resolve_model_data_config

    prepare = create_transform(**resolve_model_data_config(vit))
    with torch.no_grad():
        expected = vit.forward_head(
            vit.forward_features(torch.stack(list(map(prepare, photographs())))), pre_logits=True
        )
    close(encoder.encode(photographs()), expected)
    assert encoder.size == 160 / 0.95 // 1

    torch.save({"state_dict": {f"module.{k}": v for k, v in vit.state_dict().items()}}, tmp_path / "training.pth")
    wrapped = open_encoder("timm:test_vit", weights=str(tmp_path / "training.pth"))
    assert wrapped.key == encoder.key
    small = open_encoder("timm:test_vit", weights="random", size=64)
    assert small.encode(photographs()).shape == (2, expected.shape[1])
    assert small.size == 67


def test_a_folder_that_timm_saved(vit: Any, tmp_path: Path) -> None:
    from timm.models import save_for_hf

    save_for_hf(vit, tmp_path / "vit", safe_serialization=True)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    from_file = open_encoder("timm:test_vit", weights=str(tmp_path / "vit.safetensors"))
    torch.testing.assert_close(
        open_encoder(f"timm:{tmp_path / 'vit'}").encode(photographs()), from_file.encode(photographs())
    )


def test_random_weights_come_from_their_seed() -> None:
    keys = [open_encoder("timm:test_vit", weights="random", seed=seed).key for seed in (0, 0, 1)]
    assert keys[0] == keys[1] != keys[2]


def test_a_pickled_classifier_opens_its_encoder_again(tmp_path: Path) -> None:
    X = photographs()
    options = {"weights": "random", "size": 64}
    sorter = FewShotClassifier("r2d2", backbone="timm:test_vit", backbone_options=options).fit(X, ["a", "b"])
    stored = pickle.dumps(sorter)
    assert len(stored) < 50_000  # the network has 1.5 MB
    np.testing.assert_allclose(pickle.loads(stored).predict_proba(X), sorter.predict_proba(X), atol=1e-6)


def test_weights_that_do_not_fit_are_refused(vit: Any, tmp_path: Path) -> None:
    def message(path: Path, name: str = "timm:test_vit") -> str:
        with pytest.raises(UserError) as raised:
            open_encoder(name, weights=str(path))
        return str(raised.value)

    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    assert "do not fit: they lack" in message(tmp_path / "vit.safetensors", "timm:test_resnet")
    save_file({k: v for k, v in vit.state_dict().items() if "blocks.3" not in k}, tmp_path / "part.safetensors")
    assert "they lack" in message(tmp_path / "part.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "vit.safetensors").read_bytes()[:5000])
    assert "is not a whole safetensors file" in message(tmp_path / "cut.safetensors")
    torch.save(Evil(tmp_path / "mark"), tmp_path / "evil.pth")
    assert "a pickle runs whatever is in it" in message(tmp_path / "evil.pth")
    assert not (tmp_path / "mark").exists()
    torch.save([1, 2], tmp_path / "list.pth")
    assert "holds list; expected a state dict" in message(tmp_path / "list.pth")
    assert "do not exist" in message(tmp_path / "gone.pth")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:test_vitt", "did you mean test_vit"),
        ("timm:test_vit", r"weights of timm:test_vit are not there .* needs a network; .* weights=FILE.safetensors"),
        ("timm:test_vit.none", r"Invalid pretrained tag"),
        ("timm:./nowhere", r"./nowhere is no folder"),
        ("torchvision:resnet81", "did you mean 'resnet18'"),
        ("torchvision:resnet18.V3", "unknown weights of resnet18 'V3'"),
        ("torchvision:shufflenet_v2_x0_5", r"are not there \(URLError.* weights=FILE.pth, from https://download"),
        ("hf:facebook/dinov2-small", r"hf:facebook/dinov2-small are not there .* --local-dir FOLDER"),
    ],
)
def test_what_is_not_there_is_explained(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_network(*a: object, **k: object) -> None:
        from urllib.error import URLError

        raise URLError("no network")

    monkeypatch.setattr("torch.hub.urlopen", no_network)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=message):
        open_encoder(name)


@pytest.mark.parametrize(
    ("package", "name", "extra"),
    [
        ("timm", "timm:test_vit", "timm"),
        ("torchvision", "torchvision:resnet18", "torchvision"),
        ("transformers", "hf:x/y", "hf"),
        ("sentence_transformers", "sentence-transformers:x", "sentence-transformers"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    package: str, name: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{name} needs the package {package}, .*pip install 'kshot\[{extra}\]'"):
        open_encoder(name)


# --- torchvision


def test_a_torchvision_model_with_weights_from_a_file(tmp_path: Path) -> None:
    models = library("torchvision", "a test").models
    with unseeded(1):
        net = models.shufflenet_v2_x0_5(weights=None).eval()
    torch.save(net.state_dict(), tmp_path / "net.pth")
    encoder = open_encoder("torchvision:shufflenet_v2_x0_5", weights=str(tmp_path / "net.pth"), size=96)
    net.fc = torch.nn.Identity()
    prepare = models.ShuffleNet_V2_X0_5_Weights.DEFAULT.transforms(crop_size=96, resize_size=round(256 * 96 / 224))
    with torch.no_grad():
        close(encoder.encode(photographs()), net(torch.stack([prepare(x) for x in photographs()])))
    assert encoder.size == 110
    with pytest.raises(UserError, match="no linear classifier"):
        open_encoder("torchvision:squeezenet1_1", weights="random")


# --- transformers


def vision_model(folder: Path, kind: str) -> Any:
    """A tiny model of transformers with its image processor, saved to a folder."""
    transformers = library("transformers", "a test")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with quiet(), unseeded(2):
        if kind == "dinov2":
            model = transformers.Dinov2Model(transformers.Dinov2Config(image_size=28, patch_size=14, **sizes))
        else:
            config = transformers.ViTConfig(image_size=32, patch_size=16, **sizes)
            model = transformers.ViTForImageClassification(config)
        model.save_pretrained(folder)
        processor = (
            transformers.BitImageProcessorPil(
                size={"shortest_edge": 32}, crop_size={"height": 28, "width": 28}, image_mean=[0.4, 0.5, 0.6]
            )
            if kind == "dinov2"
            else transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
        )
        processor.save_pretrained(folder)
    return model.eval(), processor


def test_a_model_of_transformers(tmp_path: Path) -> None:
    """Its own processor and, as the pooler was saved with it, its own pooler."""
    model, processor = vision_model(tmp_path / "dino", "dinov2")
    encoder = open_encoder(f"hf:{tmp_path / 'dino'}")
    x = processor(images=photographs(), return_tensors="pt")
    with torch.no_grad():
        out = model(**x)
    close(encoder.encode(photographs()), out.pooler_output)
    assert encoder.size == 32
    close(open_encoder(f"hf:{tmp_path / 'dino'}", pooling="mean").encode(photographs()), out.last_hidden_state.mean(1))


def test_a_pooler_without_trained_weights_is_not_used(tmp_path: Path) -> None:
    """A classifier was saved, which has no pooler: its first token is the feature."""
    model, processor = vision_model(tmp_path / "vit", "vit")
    encoder = open_encoder(f"hf:{tmp_path / 'vit'}")
    with torch.no_grad():
        out = model.vit(**processor(images=photographs(), return_tensors="pt"))
    close(encoder.encode(photographs()), out.last_hidden_state[:, 0])
    (tmp_path / "vit" / "preprocessor_config.json").unlink()
    with pytest.raises(UserError, match=r"has no preprocessor_config.json, .* sentence-transformers:"):
        open_encoder(f"hf:{tmp_path / 'vit'}")
    with pytest.raises(UserError, match="pooling must be auto, pooler, cls or mean; got 'max'"):
        open_encoder(f"hf:{tmp_path / 'vit'}", pooling="max")
