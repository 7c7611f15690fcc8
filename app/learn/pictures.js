// @ts-check
// Pictures of tensors: their colors, legends, and the mark that follows the pointer and the keys.

/** @typedef {[number, number, number]} Rgb */
/** @typedef {{ low: number, high: number, name: string, of: (value: number) => Rgb }} Scale */

/** @type {Record<string, string>} */
const AXIS_NAMES = { T: "frame", C: "channel", H: "row", W: "column" };
/** @type {(() => void)[]} */
let followers = []; // functions that bring what is on the stage to the marked cell

// ---- numbers and words

/** @param {number} value */
function number(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
}

/** @param {number} value */
const plus = (value) => (number(value).startsWith("−") ? "− " : "+ ") + number(Math.abs(value));
/** @param {number} p */
const percent = (p) => (p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);
/** @param {number[]} sizes */
const count = (sizes) => product(sizes).toLocaleString("en-GB");
/** @param {number[]} sizes */
const shape = (sizes) => `[${sizes.join(", ")}]`;
/** @param {number} value */
const sigmoid = (value) => 1 / (1 + Math.exp(-value));
/** @param {string} pooled */
const gateSizes = (pooled) => AXES.map((axis) => (axis === pooled ? 1 : size(axis)));
/** @param {string} mode */
const ratio = (mode) => view.sizes[mode] / view.sizes.input;

/**
 * A place in words, by those of its axes that a tensor has. Channels are counted from 0, as everywhere in AIA Studio.
 *
 * @param {Cell} where
 * @param {string} axes
 */
function inWords(where, axes) {
  const shown = AXES.filter((axis) => axes.includes(axis));
  return shown.map((axis) => `${AXIS_NAMES[axis]} ${where[axis] + (axis === "C" ? 0 : 1)}`).join(", ");
}

// ---- colors: viridis for gates, magma for features, blue over white to orange for what has a sign

/**
 * @param {Uint8Array} table
 * @returns {(share: number) => Rgb}
 */
function ramp(table) {
  return (u) => {
    const i = 3 * Math.round(255 * Math.min(1, Math.max(0, u)));
    return [table[i], table[i + 1], table[i + 2]];
  };
}

/**
 * @param {number} u
 * @returns {Rgb}
 */
function diverging(u) {
  const end = u < 0.5 ? [26, 84, 144] : [200, 82, 0];
  const far = Math.min(1, Math.abs(2 * u - 1));
  const [r, g, b] = [250, 250, 248].map((white, i) => Math.round(white + (end[i] - white) * far));
  return [r, g, b];
}

const [viridis, magma] = [ramp(bytesOf(COLOR_MAPS.viridis)), ramp(bytesOf(COLOR_MAPS.magma))];
/**
 * @param {(share: number) => Rgb} colors
 * @param {number} low
 * @param {number} high
 * @param {string} name
 * @returns {Scale}
 */
const scale = (colors, low, high, name) => ({ low, high, name, of: (v) => colors((v - low) / (high - low || 1)) });
/**
 * @param {number} peak
 * @param {string} name
 */
const around0 = (peak, name) => scale(diverging, -peak || -1, peak || 1, name);

/**
 * The scale of each kind of picture; that of a feature belongs to one channel, over all frames.
 *
 * @type {Record<string, (channel?: number) => Scale>}
 */
const SCALES = {
  gate: () => scale(viridis, 0, 1, "gate: 0 is shut, 1 is open"),
  feature: (channel = cell.C) => scale(magma, rangeOfFeature(channel)[0], rangeOfFeature(channel)[1], `channel ${channel}, all frames`),
  pooled: () =>
    lesson.axis === "C"
      ? scale(
          magma,
          Math.min(lesson.feature.low, lesson.mean.low),
          Math.max(lesson.feature.high, lesson.max.high),
          "all channels and frames",
        )
      : SCALES.feature(),
  response: () => around0(Math.max(-lesson.response.low, lesson.response.high), "response"),
  kernel: () => around0(Math.max(...view.kernel.flat(3).map(Math.abs)), "weight of the kernel"),
};

/**
 * @param {number} channel
 * @returns {number[]}
 */
function rangeOfFeature(channel) {
  if (!lesson.ranges.has(channel)) lesson.ranges.set(channel, rangeOf(lesson.feature, channel));
  return lesson.ranges.get(channel);
}

// ---- elements

/**
 * @param {string} name
 * @param {...(Node | string | null)} children
 */
const row = (name, ...children) => make("div", { class: `row ${name}` }, ...children);
/** @param {string} text */
const sign = (text) => make("span", { class: "sign", "aria-hidden": "true" }, text);
/** @param {...string} words */
const quiet = (...words) => make("p", { class: "quiet" }, ...words);

/**
 * "U_T of X" with T as an index.
 *
 * @param {string} text
 */
function symbol(text) {
  return text.split(/_(.)/).map((part, i) => (i % 2 ? make("sub", {}, part) : part));
}

/**
 * @param {string} kind
 * @param {number} [channel]
 */
function legend(kind, channel) {
  const bar = make("canvas", { width: 128, height: 1, "aria-hidden": "true" });
  const [low, high, name] = [make("span"), make("span"), make("span", { class: "quiet" })];
  followers.push(() => {
    const shown = SCALES[kind](channel);
    const picture = new ImageData(128, 1);
    for (let i = 0; i < 128; i++) {
      picture.data.set([...shown.of(shown.low + ((shown.high - shown.low) * i) / 127), 255], 4 * i);
    }
    bar.getContext("2d").putImageData(picture, 0, 0);
    [low.textContent, high.textContent] = [shown.low, shown.high].map((end) => number(end, kind === "gate" ? 0 : 2));
    name.textContent = shown.name;
  });
  return make("p", { class: "key" }, low, bar, high, name);
}

/**
 * A picture of a tensor with the mark of the cell.
 *
 * @param {PictureOptions} options
 * @returns {HTMLElement}
 */
function picture(options) {
  const { title, tensor, span = "", note = "", still = false } = options;
  const grid = new Grid(options);
  const { places, width, height, tiles } = grid;
  const boxes = places.map(() => make("span", { class: "tile" }, make("canvas", { width, height }), make("i")));
  const role = still
    ? { role: "img" }
    : { role: "application", "aria-roledescription": "picture of numbers", tabindex: 0 };
  const style = `--tiles: ${Math.min(places.length, 8)}; --ratio: ${width / height}`;
  const element = make("div", { class: tiles ? "tiles film" : "tiles", style, ...role }, ...boxes);
  const value = make("span", { class: "value" });
  const head = make("figcaption", {}, make("b", {}, ...symbol(title)), value, make("span", { class: "quiet" }, note));

  /** @type {string | null} */
  let painted = null;
  followers.push(() => {
    const key = grid.hidden.map((axis) => cell[axis]).join();
    if (key !== painted) boxes.forEach((box, tile) => grid.paint(box.firstChild, tile));
    painted = key;
    const { current } = grid;
    const ofChannel = grid.channel === null || grid.channel === cell.C;
    boxes.forEach((box, tile) => {
      box.lastChild.hidden = tile !== current && span !== tiles;
      box.lastChild.style.cssText = grid.mark(span);
      box.classList.toggle("now", tiles === "T" && tile === current && ofChannel);
      box.classList.toggle("faint", !ofChannel);
    });
    const where = { ...cell, ...grid.ofTile(current) };
    const text = number(tensor.at(where));
    value.textContent = span === grid.rows || span === grid.cols ? "" : text;
    const { low, high } = grid.scale;
    const range = `Colors go from ${number(low)} to ${number(high)}.`;
    element.setAttribute("aria-label", `${title.replace("_", " ")}: ${text} at ${inWords(where, tensor.axes)}. ${range}`);
  });
  if (!still) followInput(element, boxes, grid);
  return make("figure", {}, head, element);
}

/**
 * Moves the mark with the pointer and the arrow keys.
 *
 * @param {HTMLElement} element
 * @param {HTMLElement[]} boxes
 * @param {Grid} grid
 */
function followInput(element, boxes, grid) {
  const { rows, cols, width, height } = grid;
  const point = (/** @type {PointerEvent} */ event) => {
    const tile = boxes.findIndex((box) => box.contains(/** @type {Node} */ (event.target)));
    if (tile < 0) return;
    const box = boxes[tile].getBoundingClientRect();
    const r = Math.min(height - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * height)));
    const c = Math.min(width - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * width)));
    move({ ...grid.ofTile(tile), [rows]: r * grid.stride(rows), [cols]: c * grid.stride(cols) });
  };
  element.addEventListener("pointerdown", point);
  element.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch") point(event);
  });
  element.addEventListener("keydown", (event) => {
    /** @type {Record<string, [Axis, number]>} */
    const keys = { ArrowUp: [rows, -1], ArrowDown: [rows, 1], ArrowLeft: [cols, -1], ArrowRight: [cols, 1] };
    if (!keys[event.key]) return;
    event.preventDefault();
    const [axis, direction] = keys[event.key];
    const next = cell[axis] + direction * grid.stride(axis);
    if (next >= 0 && next < size(axis)) move({ ...grid.fixed, [axis]: next });
    find("[data-said]").textContent = element.getAttribute("aria-label");
  });
}

/**
 * A map of the shown unit: drawn by rows and columns where it has both, and otherwise against time.
 *
 * @param {PictureOptions} options
 */
function unitPicture(options) {
  /** @type {Record<string, [Axis, Axis]>} */
  const againstTime = { H: ["T", "W"], W: ["H", "T"] };
  const [rows, cols] = againstTime[lesson.axis] ?? ["H", "W"];
  const note = "HW".includes(lesson.axis) ? `down: ${AXIS_NAMES[rows]}s, across: ${AXIS_NAMES[cols]}s` : "";
  return picture({ ...options, rows, cols, note });
}
