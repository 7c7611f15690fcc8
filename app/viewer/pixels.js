// @ts-check
// Values to pixels: the same pictures as `aia.visualization.render` draws.

/** @typedef {{ before: Int32Array, after: Int32Array, share: Float32Array }} Neighbors */

/** @type {Map<string, Neighbors>} */
const neighborCache = new Map(); // a viewer draws the same sizes again and again

/**
 * For each of `size` pixels the values before and after its center among `cells`, and the share of the one after.
 *
 * @param {number} size
 * @param {number} cells
 * @param {boolean} nearest
 */
function neighborsOf(size, cells, nearest) {
  const key = `${size},${cells},${nearest}`;
  const cached = neighborCache.get(key);
  if (cached) return cached;
  const neighbors = { before: new Int32Array(size), after: new Int32Array(size), share: new Float32Array(size) };
  for (let i = 0; i < size; i++) {
    const place = ((i + 0.5) * cells) / size - 0.5;
    const before = nearest ? Math.round(place) : Math.min(Math.max(Math.floor(place), 0), cells - 1);
    neighbors.before[i] = before;
    neighbors.after[i] = nearest ? before : Math.min(before + 1, cells - 1);
    neighbors.share[i] = nearest ? 0 : Math.min(Math.max(place - before, 0), 1);
  }
  neighborCache.set(key, neighbors);
  return neighbors;
}

/**
 * Paints one frame of a map over `width` x `height` pixels. Values are interpolated, not colors, as in the library.
 *
 * @param {GateMap} map
 * @param {number} t
 * @param {number} width
 * @param {number} height
 * @param {Uint8Array} table
 * @param {number[]} limits
 * @param {boolean} cells
 * @param {number} alpha
 */
function paint(map, t, width, height, table, [low, high], cells, alpha) {
  const [frames, rows, columns] = map.shape;
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  const start = (frames > 1 ? t : 0) * rows * columns;
  const scale = 255 / Math.max(high - low, 1e-9);
  const colors = table32(table, Math.round(alpha * 255));
  const across = neighborsOf(width, columns, cells);
  const down = neighborsOf(height, rows, cells);
  const line = new Float32Array(columns);
  for (let y = 0, i = 0; y < height; y++) {
    const a = start + down.before[y] * columns;
    const b = start + down.after[y] * columns;
    const share = down.share[y];
    for (let x = 0; x < columns; x++) line[x] = ((1 - share) * map.data[a + x] + share * map.data[b + x] - low) * scale;
    for (let x = 0; x < width; x++, i++) {
      const left = line[across.before[x]];
      const level = left + across.share[x] * (line[across.after[x]] - left);
      pixels[i] = colors[level <= 0 ? 0 : level >= 255 ? 255 : (level + 0.5) | 0];
    }
  }
  return picture;
}

/**
 * A color map as little-endian RGBA words.
 *
 * @param {Uint8Array} table
 * @param {number} alpha
 */
function table32(table, alpha) {
  return Uint32Array.from({ length: 256 }, (_, i) => (alpha << 24) | (table[3 * i + 2] << 16) | (table[3 * i + 1] << 8) | table[3 * i]);
}

/**
 * The color of a value from 0 to 1, for CSS.
 *
 * @param {Uint8Array} table
 * @param {number} value
 */
function css(table, value) {
  const i = 3 * Math.round(255 * Math.min(Math.max(value, 0), 1));
  return `rgb(${table[i]},${table[i + 1]},${table[i + 2]})`;
}

/**
 * The part of a picture of this size that the network saw, in whole pixels: left, top, width, height.
 *
 * @param {number[]} box
 * @param {number} width
 * @param {number} height
 */
function seenPart([left, top, right, bottom], width, height) {
  const x = Math.round(left * width);
  const y = Math.round(top * height);
  return [x, y, Math.max(Math.round(right * width) - x, 1), Math.max(Math.round(bottom * height) - y, 1)];
}

const UNSEEN = "rgba(0,0,0,.65)"; // over what the network did not see
const scratch = document.createElement("canvas");

/** @param {HTMLCanvasElement} canvas */
const contextOf = (canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));

/**
 * Draws a frame with its map over it; without a map, the frame alone.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Answer} answer
 * @param {number} frame
 * @param {GateMap | null} map
 * @param {Uint8Array} table
 * @param {number[]} limits
 * @param {ViewerState} state
 */
function drawFrame(canvas, answer, frame, map, table, limits, state) {
  const { width, height } = canvas;
  const context = contextOf(canvas);
  context.globalAlpha = 1;
  context.drawImage(answer.pictures[frame], 0, 0, width, height);
  if (map) drawMap(canvas, answer, frame, map, table, limits, state);
}

/**
 * Draws a map, and darkens what the network did not see.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Answer} answer
 * @param {number} frame
 * @param {GateMap} map
 * @param {Uint8Array} table
 * @param {number[]} limits
 * @param {ViewerState} state
 */
function drawMap(canvas, answer, frame, map, table, limits, state) {
  const { width, height } = canvas;
  const context = contextOf(canvas);
  const [x, y, w, h] = seenPart(answer.seen_box, width, height);
  context.fillStyle = UNSEEN;
  context.fillRect(0, 0, width, y);
  context.fillRect(0, y + h, width, height - y - h);
  context.fillRect(0, y, x, h);
  context.fillRect(x + w, y, width - x - w, h);
  [scratch.width, scratch.height] = [w, h];
  contextOf(scratch).putImageData(paint(map, frame, w, h, table, limits, state.cells, state.opacity), 0, 0);
  context.drawImage(scratch, x, y);
}
