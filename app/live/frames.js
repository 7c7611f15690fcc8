// @ts-check
// The camera's latest frames: as small JPEGs for the server, and as thumbnails for the film.

/**
 * @typedef {object} LiveFrame
 * @property {number} time In seconds.
 * @property {Blob} jpeg
 * @property {HTMLCanvasElement} picture
 */

const JPEG_QUALITY = 0.85;
const THUMBNAIL_SIDE = 96; // pixels
const MAX_UNSENT = 16; // frames in one request; the oldest make room for new ones

class LiveFrames {
  /** @param {number} side Pixels of a frame's longer side. */
  constructor(side) {
    this.side = side;
    /** @type {LiveFrame[]} */
    this.sent = [];
    /** @type {LiveFrame[]} */
    this.unsent = [];
  }

  /**
   * Keeps what a canvas shows now.
   *
   * @param {HTMLCanvasElement} canvas
   * @param {number} time
   */
  async add(canvas, time) {
    const picture = reduced(canvas, THUMBNAIL_SIDE);
    const small = Math.max(canvas.width, canvas.height) > this.side ? reduced(canvas, this.side) : canvas;
    /** @type {Blob | null} */
    const jpeg = await new Promise((resolve) => small.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
    if (!jpeg) return;
    this.unsent.push({ time, jpeg, picture });
    if (this.unsent.length > MAX_UNSENT) this.unsent.shift();
  }

  /**
   * The body of a request with all frames that were not sent yet.
   *
   * @param {number} seconds Of the window.
   */
  take(seconds) {
    const frames = this.unsent.splice(0);
    this.sent.push(...frames);
    const last = this.sent[this.sent.length - 1]?.time ?? 0;
    this.sent = this.sent.filter(({ time }) => time > last - 2 * seconds);
    const parts = frames.flatMap(({ time, jpeg }) => {
      const head = new DataView(new ArrayBuffer(12));
      head.setFloat64(0, time, true);
      head.setUint32(8, jpeg.size, true);
      return [head, jpeg];
    });
    return new Blob(parts);
  }

  clear() {
    this.sent = [];
    this.unsent = [];
  }
}

/**
 * A smaller copy of a canvas.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {number} side
 */
function reduced(canvas, side) {
  const scale = side / Math.max(canvas.width, canvas.height, 1);
  const [width, height] = [canvas.width, canvas.height].map((length) => Math.max(1, Math.round(length * scale)));
  const copy = Object.assign(document.createElement("canvas"), { width, height });
  contextOf(copy).drawImage(canvas, 0, 0, width, height);
  return copy;
}
