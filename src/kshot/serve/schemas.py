"""What the JSON API takes and gives; the OpenAPI document is made of this."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from . import limits

Picture = Annotated[
    str,
    Field(
        min_length=1,
        max_length=limits.PICTURE_LETTERS,
        description=f"A picture file (PNG, JPEG, ...) as base64 or as a data URL; at most {limits.PICTURE_PIXELS:,} "
        f"pixels. POST /api/picture makes large ones small.",
        json_schema_extra={"contentEncoding": "base64"},
    ),
]
ModelName = Annotated[str, Field(max_length=1000, description="The name of a model in GET /api/about.")]


class Strict(BaseModel):
    """What is taken: nothing unknown, so that a misspelt name is an error."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """What went wrong."""

    message: str = Field(description="What was wrong, what was expected, and what to do.")


class LabelledClass(Strict):
    """A class and its examples."""

    name: str = Field(min_length=1, max_length=limits.NAME, description="Its name; no two classes share one.")
    pictures: list[Picture] = Field(min_length=1, max_length=limits.EXAMPLES, description="Its examples.")


class TaskRequest(Strict):
    """A task: classes with their examples, and pictures to label."""

    model: ModelName
    classes: list[LabelledClass] = Field(
        min_length=2,
        max_length=limits.CLASSES,
        description=f"At least two; at most {limits.SUPPORT} examples together.",
    )
    queries: list[Picture] = Field(min_length=1, max_length=limits.QUERIES, description="The pictures to label.")
    invert: Literal["auto", "yes", "no"] = Field(
        default="auto",
        description="Whether dark ink on light paper becomes light ink, as in training; auto decides for all pictures "
        "at once, as `kshot predict` does.",
    )
    decide: bool = Field(
        default=True,
        description="Find out which example decided. For methods that learn by gradient steps this takes several times "
        "as long as the labels.",
    )


class Decided(BaseModel):
    """The example that decided: the one of the chosen class without which that class loses most."""

    label: str
    example: int = Field(description="Its number among the examples of the class, from 0.")
    without: float | None = Field(
        description="The probability of the class without it; null where it is the only example of its class."
    )


class Labelled(BaseModel):
    """What a model says of one picture."""

    label: str = Field(description="The most probable class.")
    probability: float = Field(description="Its probability.")
    probabilities: dict[str, float] = Field(description="The probability of every class, by name.")
    decided: Decided | None = Field(
        description="Which example decided; null where that was not asked, or would take too long."
    )


class Predictions(BaseModel):
    """Labels for the queries, in their order."""

    model: str
    predictions: list[Labelled]
    milliseconds: float = Field(description="How long the server took, from the decoded request to the answer.")


class Point(BaseModel):
    """A place in the plane."""

    x: float
    y: float


class Inside(BaseModel):
    """How a model sees a task: S support examples (class by class, sorted by name) and Q queries."""

    model: str
    features: str = Field(description="Of what the numbers are: the model's embedding, or raw pixels.")
    dimensions: int = Field(description="Numbers that describe one picture.")
    labels: list[str] = Field(description="The class of each support example [S].")
    examples: list[int] = Field(description="Its number within its class, from 0 [S].")
    distances: list[list[float]] = Field(description="Euclidean distances of queries and support examples [Q][S].")
    cosines: list[list[float]] = Field(description="Cosines of their angles [Q][S].")
    support_plane: list[Point] = Field(description="The support examples on the first two principal axes [S].")
    query_plane: list[Point] = Field(description="The queries there [Q].")
    mean_plane: dict[str, Point] = Field(description="The mean of each class there, by name.")
    explained: list[float] = Field(description="Which part of the variance the two axes hold [2].")
    support_seen: list[str] = Field(description="What the model receives: PNG data URLs [S].")
    query_seen: list[str] = Field(description="The same of the queries [Q].")
    predictions: list[str] = Field(description="The label of each query [Q].")
    milliseconds: float


class DataRequest(Strict):
    """Which task of which data."""

    data: str = Field(max_length=200, description="The name of data in GET /api/about.")
    way: int = Field(default=5, ge=2, le=limits.CLASSES, description="Number of classes.")
    shot: int = Field(default=1, ge=1, le=limits.EXAMPLES, description="Examples of each class.")
    query: int = Field(default=2, ge=1, le=10, description="Further pictures of each class.")
    split: Literal["train", "val", "test"] = Field(default="test", description="Of the data's classes.")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Tasks of different seeds are independent.")
    index: int = Field(default=0, ge=0, le=2**31 - 1, description="The number of the task.")
    within: bool = Field(default=False, description="All classes from one alphabet, script or style.")


class DrawnClass(BaseModel):
    """A class of a task from data."""

    name: str
    pictures: list[str] = Field(description="Its examples, as PNG data URLs.")


class DrawnQuery(BaseModel):
    """A query of a task from data."""

    picture: str = Field(description="As a PNG data URL.")
    label: str = Field(description="Its class.")


class DrawnTask(BaseModel):
    """A task from data."""

    data: str
    description: str = Field(description="Which classes these are.")
    classes: list[DrawnClass]
    queries: list[DrawnQuery] = Field(description="In shuffled order.")


class ReadPicture(BaseModel):
    """An uploaded picture, small."""

    width: int = Field(description="Of the file, in pixels, after turning it upright.")
    height: int
    thumbnail: str = Field(description="For people: a PNG data URL with sides of at most 160 pixels.")
    inputs: dict[str, str] = Field(
        description="For models: PNG data URLs by input shape, such as 1x28x28; what to send in a task."
    )


class CurvePoint(Strict):
    """A point of a curve."""

    x: FiniteFloat = Field(ge=-100, le=100)
    y: FiniteFloat = Field(ge=-100, le=100)


class CurvesRequest(Strict):
    """Points to be fitted."""

    model: ModelName
    points: list[CurvePoint] = Field(min_length=1, max_length=limits.POINTS)
    steps: int = Field(default=10, ge=0, le=limits.STEPS, description="How many steps of gradient descent.")


class Fits(BaseModel):
    """A curve after every step."""

    model: str
    x: list[float] = Field(description="Where the curve is given [G].")
    y: list[list[float]] = Field(description="Its values after 0, 1, ... steps [steps + 1][G].")
    errors: list[float] = Field(description="The mean squared error on the points after each of them [steps + 1].")
    own_steps: int | None = Field(
        description="How many steps the model takes by itself when it predicts; null for a model without steps, whose "
        "y has one row."
    )
    milliseconds: float


class Curve(BaseModel):
    """A sine curve and some of its points."""

    amplitude: float
    phase: float = Field(description="y = amplitude * sin(x - phase).")
    points: list[Point]


class AboutModel(BaseModel):
    """A model that is served."""

    name: str
    title: str = Field(description="What it is, in words.")
    method: str = Field(description="The name of its method in `kshot list methods`.")
    idea: str = Field(description="What the method does, in a sentence.")
    kind: Literal["pictures", "curves"] = Field(description="What it learns.")
    shape: list[int] = Field(description="Of its inputs: [C, H, W], or [1] for curves.")
    way: int | None = Field(description="The largest number of classes; null where there is no limit.")
    trained: str = Field(description="On what it was trained.")


class AboutData(BaseModel):
    """Data of which tasks can be loaded."""

    name: str
    title: str = Field(description="What it is, in words.")
    available: bool = Field(description="Whether it is here: built in, or found in the data folder.")


class About(BaseModel):
    """What this server has."""

    version: str
    models: list[AboutModel]
    data: list[AboutData]
    limits: dict[str, int] = Field(description="The most that one request may hold.")
