"""The web application: the JSON API, documented by /openapi.json, and the pages."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from fastapi import Body, FastAPI, Query
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from .. import __version__
from . import limits
from .classify import Classifiers
from .datasets import Datasets
from .gate import Gate
from .guard import UPLOAD, Guard
from .inside import look_inside
from .library import Library
from .pictures import read_upload
from .problems import RESPONSES, add_handlers
from .schemas import (
    About,
    Curve,
    CurvesRequest,
    DataRequest,
    DrawnTask,
    Fits,
    Inside,
    Predictions,
    ReadPicture,
    TaskRequest,
)
from .watch import draw_curve, fit_curve

STATIC = Path(__file__).resolve().parent / "static"
ABOUT = """What the page of `kshot serve` asks, for your own programs too.

Nothing is kept between requests but what makes the next one faster: a request holds its whole task. Pictures are files
(PNG, JPEG, ...) as base64 or data URLs. A failure is `{"message": ...}`: what was wrong, what was expected, what to do.
"""


def create_app(
    library: Library, *, data_dir: Path | None = None, names: Collection[str] = (), opened: bool = False
) -> FastAPI:
    """The application.

    Args:
        library: the models it serves.
        data_dir: folder that holds the archives of named data sets; by default KSHOT_DATA.
        names: names under which it may be called, beside localhost and its addresses.
        opened: whether other computers may use it.
    """
    app = FastAPI(
        title="kshot", version=__version__, description=ABOUT, docs_url=None, redoc_url=None, responses=RESPONSES
    )
    app.add_middleware(Guard, names=names, opened=opened)
    add_handlers(app)
    _add_pages(app)
    _add_api(app, library, Datasets(data_dir))
    return app


def _add_pages(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/docs", include_in_schema=False)
    def docs() -> FileResponse:  # FastAPI's own page loads its script from the network
        return FileResponse(STATIC / "docs.html")


def _add_api(app: FastAPI, library: Library, datasets: Datasets) -> None:
    classifiers, gate = Classifiers(), Gate()

    @app.get("/api/about", summary="The models, the data and the limits of this server")
    def about() -> About:
        return About(
            version=__version__,
            models=[model.about() for model in library.models.values()],
            data=datasets.about(),
            limits={
                "classes": limits.CLASSES,
                "examples": limits.EXAMPLES,
                "support": limits.SUPPORT,
                "queries": limits.QUERIES,
                "points": limits.POINTS,
                "steps": limits.STEPS,
                "upload_bytes": limits.UPLOAD_BYTES,
                "upload_pixels": limits.UPLOAD_PIXELS,
            },
        )

    @app.post("/api/predict", summary="Learn classes from a few examples, and label other pictures")
    def predict(request: TaskRequest) -> Predictions:
        served = library.find(request.model, curves=False)
        with gate:
            began = time.perf_counter()
            found = classifiers.label(served, classifiers.question(served, request), request.decide)
            return Predictions(model=served.name, predictions=found, milliseconds=_since(began))

    @app.post("/api/inside", summary="How a model sees a task: similarities, and all pictures in the plane")
    def inside(request: TaskRequest) -> Inside:
        served = library.find(request.model, curves=False)
        with gate:
            began = time.perf_counter()
            found = look_inside(classifiers, served, classifiers.question(served, request))
            return found.model_copy(update={"milliseconds": _since(began)})

    @app.post("/api/task", summary="A task from data that are here")
    def task(request: DataRequest) -> DrawnTask:
        return datasets.task(request)

    file = {"type": "string", "format": "binary"}
    extra = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": file}}}}

    @app.post(UPLOAD, summary="Make a picture file small: the body is the file", openapi_extra=extra)
    def picture(data: Annotated[bytes, Body(media_type="application/octet-stream")] = b"") -> ReadPicture:
        with gate:
            return read_upload(data, library.shapes)

    @app.post("/api/curves", summary="Fit a curve to points, step by step")
    def curves(request: CurvesRequest) -> Fits:
        served = library.find(request.model, curves=True)
        with gate:
            began = time.perf_counter()
            return fit_curve(served, request).model_copy(update={"milliseconds": _since(began)})

    @app.get("/api/curve", summary="A sine curve and some of its points")
    def curve(
        seed: Annotated[int, Query(ge=0, le=2**31 - 1, description="Another seed, another curve.")] = 0,
        shot: Annotated[int, Query(ge=1, le=limits.POINTS, description="Number of points.")] = 5,
    ) -> Curve:
        return draw_curve(seed, shot)


def _since(began: float) -> float:
    return round(1000 * (time.perf_counter() - began), 2)
