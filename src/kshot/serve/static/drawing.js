// What stands in a box: strokes of a pen, or a picture. Coordinates are parts of the box, 0 to 1.

export const PEN = 0.05; // width of the pen; the models were trained on lines of about a twentieth of the picture
const EXTENT = 0.62; // the longer side of a centred drawing: so large are the characters the models were trained on
const LARGEST = 3; // a small drawing is enlarged at most so much
const SIDE = 140; // pixels of the picture that is sent

export class Drawing {
  strokes = [];
  picture = null; // {thumbnail, inputs: {"1x28x28": url}} of an upload, or {thumbnail} of a task
  label = null; // the class it is known to belong to
  version = 0;
  #sent = new Map();

  get empty() {
    return this.picture === null && this.strokes.length === 0;
  }

  touch() {
    this.version++;
    this.#sent.clear();
  }

  erase() {
    this.strokes = [];
    this.picture = null;
    this.label = null;
    this.touch();
  }

  undo() {
    if (this.picture) this.erase();
    this.strokes.pop();
    this.touch();
  }

  show(picture, label = null) {
    this.strokes = [];
    this.picture = picture;
    this.label = label;
    this.touch();
  }

  /** What is sent to a model whose inputs have this shape: a data URL. */
  send(shape, centred) {
    if (this.picture) return this.picture.inputs?.[shape.join("x")] ?? this.picture.thumbnail;
    const key = String(centred);
    if (!this.#sent.has(key)) this.#sent.set(key, this.#png(centred));
    return this.#sent.get(key);
  }

  /** What people see: a data URL. */
  get thumbnail() {
    return this.picture ? this.picture.thumbnail : this.send([], false);
  }

  #png(centred) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIDE;
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    paint(context, centred ? centre(this.strokes) : this.strokes, SIDE, "#000");
    return canvas.toDataURL("image/png");
  }
}

/** The strokes in the middle, as large as the characters that the models know; the pen stays as wide as it is. */
export function centre(strokes) {
  const points = strokes.flat();
  if (!points.length) return strokes;
  const xs = points.map((p) => p.x), ys = points.map((p) => p.y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const long = Math.max(right - left, bottom - top);
  const scale = long > 0 ? Math.min(EXTENT / long, LARGEST) : 1;
  const x = (left + right) / 2, y = (top + bottom) / 2;
  return strokes.map((stroke) => stroke.map((p) => ({ x: 0.5 + scale * (p.x - x), y: 0.5 + scale * (p.y - y) })));
}

/** Draw strokes on a canvas of a side in pixels. */
export function paint(context, strokes, side, colour) {
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = PEN * side;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    context.beginPath();
    if (stroke.length === 1) {
      context.arc(stroke[0].x * side, stroke[0].y * side, (PEN * side) / 2, 0, 2 * Math.PI);
      context.fill();
      continue;
    }
    stroke.forEach((p, i) => context[i ? "lineTo" : "moveTo"](p.x * side, p.y * side));
    context.stroke();
  }
}
