// @ts-check
// The cells of a picture: which ones it draws, and where.

/**
 * @typedef {object} PictureOptions
 * @property {string} title
 * @property {Tensor} tensor
 * @property {string} kind Of its scale.
 * @property {Axis} [rows] The axis that is drawn down; the cell holds those that are not drawn.
 * @property {Axis} [cols] The axis that is drawn across.
 * @property {Axis | ""} [tiles] An axis with one picture for every place of it, side by side.
 * @property {number | null} [channel] Another channel than the cell's.
 * @property {string} [span] An axis along which the mark is drawn over its whole length.
 * @property {string} [note]
 * @property {boolean} [still] Without pointer and keys.
 */

/** What `picture` draws of a tensor. */
class Grid {
  /** @param {PictureOptions} options */
  constructor({ tensor, kind, rows = "H", cols = "W", tiles = "", channel = null }) {
    this.tensor = tensor;
    this.kind = kind;
    this.rows = rows;
    this.cols = cols;
    this.tiles = tiles;
    this.channel = channel;
    this.places = tiles === "C" ? view.channels : tiles ? [...Array(size(tiles)).keys()] : [0];
    this.height = Math.ceil(size(rows) / this.stride(rows));
    this.width = Math.ceil(size(cols) / this.stride(cols));
    /** @type {Partial<Cell>} */
    this.fixed = channel === null ? {} : { C: channel };
    const drawn = [rows, cols, tiles, ...Object.keys(this.fixed)];
    this.hidden = /** @type {Axis[]} */ ([...tensor.axes].filter((axis) => !drawn.includes(axis)));
  }

  /** @param {Axis} axis */
  stride(axis) {
    return "HW".includes(axis) ? this.tensor.stride : 1;
  }

  get scale() {
    return SCALES[this.kind](this.channel ?? undefined);
  }

  /**
   * What a tile sets of the cell.
   *
   * @param {number} tile
   * @returns {Partial<Cell>}
   */
  ofTile(tile) {
    return { ...this.fixed, ...(this.tiles ? { [this.tiles]: this.places[tile] } : {}) };
  }

  /** The tile with the marked cell. */
  get current() {
    return this.tiles ? Math.max(0, this.places.indexOf(cell[this.tiles])) : 0;
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {number} tile
   */
  paint(canvas, tile) {
    const { width, height, rows, cols, scale: colors } = this;
    const image = new ImageData(width, height);
    const where = { ...cell, ...this.ofTile(tile) };
    for (let r = 0, byte = 0; r < height; r++) {
      for (let c = 0; c < width; c++, byte += 4) {
        where[rows] = r * this.stride(rows);
        where[cols] = c * this.stride(cols);
        const [red, green, blue] = colors.of(this.tensor.at(where));
        image.data[byte] = red;
        image.data[byte + 1] = green;
        image.data[byte + 2] = blue;
        image.data[byte + 3] = 255;
      }
    }
    /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(image, 0, 0);
  }

  /**
   * Where the mark is on a tile, as CSS.
   *
   * @param {string} span
   */
  mark(span) {
    const middle = (/** @type {Axis} */ axis, /** @type {number} */ length) =>
      span === axis ? 50 : (100 * (Math.floor(cell[axis] / this.stride(axis)) + 0.5)) / length;
    const side = (/** @type {Axis} */ axis, /** @type {number} */ length) => (span === axis ? 100 : 100 / length);
    const { rows, cols, height, width } = this;
    return (
      `top: ${middle(rows, height)}%; left: ${middle(cols, width)}%; ` +
      `height: max(8px, ${side(rows, height)}%); width: max(8px, ${side(cols, width)}%)`
    );
  }
}
