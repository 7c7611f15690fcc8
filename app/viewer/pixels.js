// Values to pixels: the same pictures as `aia.visualization.render` draws.

const known = new Map(); // what `between` answered: a viewer draws the same sizes again and again

/** For each of `size` pixels the values before and behind its middle among `cells`, and the share of the one behind. */
function between(size, cells, nearest) {
  const key = `${size},${cells},${nearest}`;
  if (known.has(key)) return known.get(key);
  const found = { before: new Int32Array(size), behind: new Int32Array(size), share: new Float32Array(size) };
  for (let i = 0; i < size; i++) {
    const place = ((i + 0.5) * cells) / size - 0.5;
    const before = nearest ? Math.round(place) : Math.min(Math.max(Math.floor(place), 0), cells - 1);
    found.before[i] = before;
    found.behind[i] = nearest ? before : Math.min(before + 1, cells - 1);
    found.share[i] = nearest ? 0 : Math.min(Math.max(place - before, 0), 1);
  }
  known.set(key, found);
  return found;
}

/** Paints one frame of a map over `width` x `height` pixels. Values are interpolated, not colours: as the library does. */
function paint(map, t, width, height, table, [low, high], cells, alpha) {
  const [frames, rows, columns] = map.shape;
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  const from = (frames > 1 ? t : 0) * rows * columns;
  const scale = 255 / Math.max(high - low, 1e-9);
  const colours = table32(table, Math.round(alpha * 255));
  const across = between(width, columns, cells);
  const down = between(height, rows, cells);
  const line = new Float32Array(columns);
  for (let y = 0, i = 0; y < height; y++) {
    const a = from + down.before[y] * columns;
    const b = from + down.behind[y] * columns;
    const share = down.share[y];
    for (let x = 0; x < columns; x++) line[x] = ((1 - share) * map.data[a + x] + share * map.data[b + x] - low) * scale;
    for (let x = 0; x < width; x++, i++) {
      const left = line[across.before[x]];
      const level = left + across.share[x] * (line[across.behind[x]] - left);
      pixels[i] = colours[level <= 0 ? 0 : level >= 255 ? 255 : (level + 0.5) | 0];
    }
  }
  return picture;
}

/** A colour table as little-endian RGBA words. */
function table32(table, alpha) {
  return Uint32Array.from({ length: 256 }, (_, i) => (alpha << 24) | (table[3 * i + 2] << 16) | (table[3 * i + 1] << 8) | table[3 * i]);
}

const css = (table, value) => {
  const i = 3 * Math.round(255 * Math.min(Math.max(value, 0), 1));
  return `rgb(${table[i]},${table[i + 1]},${table[i + 2]})`;
};

/** The part of a picture of this size that the network saw, in whole pixels. */
function seenPart([left, top, right, bottom], width, height) {
  const x = Math.round(left * width);
  const y = Math.round(top * height);
  return [x, y, Math.max(Math.round(right * width) - x, 1), Math.max(Math.round(bottom * height) - y, 1)];
}

const scratch = document.createElement("canvas");

/** Draws a frame with its map over it; without a block, the frame alone. */
function drawFrame(canvas, answer, frame, map, table, limits, state) {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  context.globalAlpha = 1;
  context.drawImage(answer.pictures[frame], 0, 0, width, height);
  if (!map) return;
  const [x, y, w, h] = seenPart(answer.seen_box, width, height);
  context.fillStyle = "rgba(0,0,0,.65)"; // what the network did not see
  context.fillRect(0, 0, width, y);
  context.fillRect(0, y + h, width, height - y - h);
  context.fillRect(0, y, x, h);
  context.fillRect(x + w, y, width - x - w, h);
  [scratch.width, scratch.height] = [w, h];
  scratch.getContext("2d").putImageData(paint(map, frame, w, h, table, limits, state.cells, state.opacity), 0, 0);
  context.drawImage(scratch, x, y);
}
