"""An exported classifier as files: model.onnx, model.pt2, and export.json, which says what they take and give."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError, unknown
from ..estimator import FewShotClassifier, FewShotRegressor
from ..evaluation.evaluate import method_name
from ..evaluation.files import write_whole
from ..evaluation.report import Json, versions
from .check import TOLERANCE, Run, as_tensors, check
from .fitted import Fitted
from .graph import BATCH, program_of, quiet

PIXELS = ("uint8", "float")
ONNX, TORCH, ABOUT = "model.onnx", "model.pt2", "export.json"
OPSET = 18
NEEDED = ("onnx", "onnxruntime", "onnxscript")
Made = tuple[bytes, Run, dict[str, Json]]  # a file, what runs it, and what export.json says of it


def export(
    fitted: FewShotClassifier | FewShotRegressor | Fitted,
    out: Path | str,
    *,
    formats: Sequence[str] = ("onnx", "torch"),
    pixels: str = "uint8",
    about: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """Write a fitted classifier into a folder, for programs without kshot, and return what export.json holds.

    Every file is run on batches of several sizes and compared with the estimator before anything is written.

    Args:
        fitted: a fitted FewShotClassifier or FewShotRegressor.
        out: the folder.
        formats: onnx (model.onnx) and torch (model.pt2, for torch.export.load).
        pixels: what the files take: uint8 (0..255), or float (0..1).
        about: further entries of export.json.

    Raises:
        UserError: the method cannot be exported, or a package is missing.
        ExportError: a file does not say what the estimator says.
    """
    check_formats(formats, pixels)
    fitted = fitted if isinstance(fitted, Fitted) else Fitted.of(fitted)
    program = program_of(fitted, pixels)
    description = described(fitted, pixels) | dict(about or {})
    contents, files = {}, dict[str, Json]()
    for form in formats:
        name, make = FORMATS[form]
        content, run, more = make(program, fitted, description)
        found = check(name, fitted, scaled(run) if fitted.pictures and pixels == "float" else run)
        contents[name] = content
        files[name] = {"bytes": len(content), **more, "differences": [d.as_dict() for d in found]}
    document = {**description, "tolerance": TOLERANCE, "files": files}
    _write(Path(out), contents, document)
    return document


def check_formats(formats: Sequence[str], pixels: str) -> None:
    """Refuse what nobody can write, and ONNX where its packages are missing."""
    for form in formats:
        if form not in FORMATS:
            raise unknown("format", form, FORMATS)
    if not formats:
        raise UserError(f"no format was given; expected some of {', '.join(FORMATS)}")
    if pixels not in PIXELS:
        raise unknown("kind of pixels", pixels, PIXELS)
    missing = [name for name in NEEDED if find_spec(name) is None]
    if "onnx" in formats and missing:
        raise UserError(
            f"ONNX needs packages that are not installed ({', '.join(missing)}): pip install 'kshot[export]'; or write "
            f"torch's own format alone, --format torch"
        )


def scaled(run: Run) -> Run:
    """The same for pixels 0..255 of what takes them in 0..1."""
    return lambda x: run(x.float() / 255)


def described(fitted: Fitted, pixels: str) -> dict[str, Json]:
    """What export.json says of the classifier."""
    if not fitted.pictures:
        dtype, range_ = "float32", "any numbers"
    else:
        dtype, range_ = ("float32", "0..1") if pixels == "float" else ("uint8", "0..255")
    inside, outside = _inside(fitted), _outside(fitted)
    N = len(fitted.classes)
    outputs: dict[str, Json] = {"values": [BATCH, "D"]}
    if fitted.classes:
        outputs = {"logits": [BATCH, N], "probabilities": [BATCH, N]}
    return {
        "method": method_name(fitted.method),
        "title": fitted.method.about.title,
        "classes": list(fitted.classes),
        "examples": dict(zip(fitted.classes, fitted.examples)),
        "input": {"name": "pixels", "shape": [BATCH, *fitted.input_shape], "dtype": dtype, "range": range_},
        "outputs": outputs,
        "inside": inside,
        "outside": outside,
        "inverted": fitted.inverted,
        "temperature": fitted.temperature,
        "transductive": False,
        "versions": dict(versions()),
    }


def _inside(fitted: Fitted) -> list[Json]:
    """What of the preparation of a picture the files do."""
    steps: list[Json] = ["scaling of pixels to 0..1"] if fitted.pictures else []
    steps += ["inversion: dark ink on light paper becomes light ink"] if fitted.inverted else []
    if fitted.network is not None and fitted.pictures:
        steps.append("mean and standard deviation of the encoder's own preparation")
    return steps


def _outside(fitted: Fitted) -> list[Json]:
    """What whoever calls them has to do before."""
    if len(fitted.input_shape) != 3:
        return []
    C, H, W = fitted.input_shape
    read = f"read a picture as {'grey' if C == 1 else 'RGB'}, upright, on white where it is transparent"
    if fitted.network is None:
        return [
            read,
            f"bring it to {H} x {W} pixels: in its proportions, centred, the rest in the colour of its border",
        ]
    if fitted.pictures:
        return [read, f"bring it to {H} x {W} pixels, as the encoder does: {fitted.network.preparation}"]
    return [read, f"prepare it for the encoder, to numbers [{C}, {H}, {W}]: {fitted.network.preparation}"]


def _onnx(program: torch.export.ExportedProgram, fitted: Fitted, description: Mapping[str, Json]) -> Made:
    """model.onnx, with the classes in its metadata."""
    import onnx
    import onnxruntime

    with quiet(), torch.no_grad():
        written = torch.onnx.export(
            program,
            input_names=["pixels"],
            output_names=list(description["outputs"]),  # type: ignore[arg-type]
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert written is not None
    model = written.model_proto
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    del model.graph.value_info[:]  # shapes of the steps between, in the exporter's own names
    del model.graph.metadata_props[:]
    for node in model.graph.node:  # where each operation was written: paths of this machine
        del node.metadata_props[:]
        node.doc_string = ""
    model.doc_string = f"{description['title']} for {len(fitted.classes)} classes, exported by kshot"
    for key in ("method", "classes", "inside", "outside", "inverted", "temperature"):
        value = description[key]
        model.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    opset = next(o.version for o in model.opset_import if o.domain == "")

    def run(x: Tensor) -> tuple[Tensor, ...]:
        return as_tensors(session.run(None, {"pixels": x.numpy()}))

    return content, run, {"opset": opset, "onnx": version("onnx"), "onnxruntime": version("onnxruntime")}


def _torch(program: torch.export.ExportedProgram, fitted: Fitted, description: Mapping[str, Json]) -> Made:
    """model.pt2, with the description in it."""
    stream = io.BytesIO()
    with quiet():
        torch.export.save(program, stream, extra_files={ABOUT: _text(description)})
        stream.seek(0)
        module = torch.export.load(stream).module()
    return stream.getvalue(), lambda x: as_tensors(module(x)), {"torch": str(torch.__version__)}


FORMATS: dict[str, tuple[str, Callable[..., Made]]] = {"onnx": (ONNX, _onnx), "torch": (TORCH, _torch)}


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write(out: Path, contents: Mapping[str, bytes], document: Mapping[str, Json]) -> None:
    """All files; those of an earlier export that would not belong to them are removed first."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; an export needs a folder. Choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    for name in (ABOUT, ONNX, TORCH):
        (out / name).unlink(missing_ok=True)
    for name, content in contents.items():
        write_whole(out / name, content)
    write_whole(out / ABOUT, _text(document).encode())
