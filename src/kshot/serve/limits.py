"""What one request may ask for, so that memory and time stay bounded whatever is sent."""

from __future__ import annotations

CLASSES = 20
EXAMPLES = 20  # of a class
SUPPORT = 100  # examples of all classes together
QUERIES = 60
NAME = 80  # letters of a class's name
PICTURE_LETTERS = 1_500_000  # of a picture as base64 within a request: about 1.1 MB
PICTURE_PIXELS = 1_000_000  # of a picture within a request
UPLOAD_PIXELS = 25_000_000  # of a picture that is to be made small
POINTS = 50  # of a curve
STEPS = 100  # of gradient descent that are shown
BODY_BYTES = 8 << 20
UPLOAD_BYTES = 16 << 20
BODY_SECONDS = 20.0  # until the whole of a request must have arrived
HELD_BYTES = 96 << 20  # of all requests that are held at a time
WAITING = 16  # requests that wait for the processor at a time
WAIT_SECONDS = 10.0  # how long one of them waits
CONNECTIONS = 128
PICTURES_KEPT = 512  # decoded pictures that are remembered
CLASSIFIERS_KEPT = 16  # adapted classifiers that are remembered
WITHOUT_KEPT = 16  # what was learned with one example left out: of so many classes
DATASETS_KEPT = 3
