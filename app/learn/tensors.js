// @ts-check
// The tensors of a lesson, opened from `aia.visualization.trace_view`, and the arithmetic that is left to the page. A
// tensor's at(cell) gives its value at a cell {T, C, H, W} and ignores the axes that it lacks: that is broadcasting.

/**
 * @typedef {{ T: number, C: number, H: number, W: number }} Cell C is the channel's own number.
 * @typedef {"T" | "C" | "H" | "W"} Axis
 * @typedef {PackedArray & { axes: string, channels: number[], stride: number }} PackedTensor
 *
 * @typedef {object} Tensor
 * @property {string} axes
 * @property {number} stride Of rows and columns, only every `stride`-th is here.
 * @property {number} low
 * @property {number} high
 * @property {(cell: Cell) => number} at
 *
 * @typedef {object} SentModule What one module does, see `_module` in trace_view.py.
 * @property {string} title
 * @property {Record<string, string>} units
 * @property {Axis[]} multiplies
 * @property {Axis[]} steers
 * @property {number | null} follows
 * @property {boolean} averaged
 *
 * @typedef {object} Gate The mean of some units' gates.
 * @property {Axis[]} axes The units that it is the mean of.
 * @property {string} symbol
 * @property {Tensor} tensor
 *
 * @typedef {object} Module
 * @property {string} title
 * @property {boolean} averaged
 * @property {Record<string, Tensor>} units The gate of each unit, by its axis.
 * @property {Gate} outer It multiplies X and gives Y.
 * @property {Gate | null} inner It multiplies X and gives V, which the units of the outer gate see.
 * @property {Tensor} x
 * @property {Tensor} v X where there is no inner gate.
 * @property {Tensor} y
 *
 * @typedef {object} View A lesson as it was sent.
 * @property {string} network
 * @property {string} block
 * @property {[string, number, number][]} blocks
 * @property {string} unit
 * @property {string[]} units
 * @property {SentModule[]} modules
 * @property {string} combination
 * @property {number[]} shape
 * @property {number[]} channels
 * @property {number[]} means
 * @property {number[]} times
 * @property {string[]} frames
 * @property {PackedTensor} x
 * @property {Record<string, PackedTensor>} gates
 * @property {PackedTensor} max
 * @property {PackedTensor} mean
 * @property {PackedTensor} response
 * @property {number} bits
 * @property {string} data
 * @property {string} axes
 * @property {number[][][][]} kernel
 * @property {{ mean: number, var: number, weight: number, bias: number, eps: number }} norm
 * @property {[number, number]} normalised
 * @property {number[]} histogram
 * @property {boolean} channel_mean
 * @property {Record<string, number>} sizes
 * @property {Record<string, any>[]} scores
 * @property {string} [notice]
 */

/** @type {Axis[]} */
const AXES = ["T", "C", "H", "W"];
/** @type {Cell} */
const cell = { T: 0, C: 0, H: 0, W: 0 }; // the marked number
let view = /** @type {View} */ (/** @type {unknown} */ (null)); // the value of the component, parsed
let lesson = /** @type {Awaited<ReturnType<typeof openLesson>>} */ (/** @type {unknown} */ (null)); // its tensors

/** @param {string} axis */
const size = (axis) => view.shape[AXES.indexOf(/** @type {Axis} */ (axis))];

/**
 * @param {PackedTensor} packed
 * @param {Uint8Array | Uint16Array} levels
 * @returns {Tensor}
 */
function unpack({ axes, shape, at, low, step, stride, channels }, levels) {
  const channelPlaces = new Map(channels.map((channel, place) => [channel, place]));
  const placeIn = {
    T: (/** @type {number} */ t) => t,
    C: (/** @type {number} */ c) => channelPlaces.get(c) ?? NaN,
    H: (/** @type {number} */ h) => Math.floor(h / stride),
    W: (/** @type {number} */ w) => Math.floor(w / stride),
  };
  const dims = /** @type {Axis[]} */ ([...axes]).map((axis, i) => ({ axis, length: shape[i], place: placeIn[axis] }));
  return {
    axes,
    stride,
    low,
    high: low + step * (levels.BYTES_PER_ELEMENT === 2 ? 65535 : 255),
    at: (where) => low + step * levels[at + dims.reduce((offset, { axis, length, place }) => offset * length + place(where[axis]), 0)],
  };
}

/**
 * Every place of a channel at which a tensor was packed, without a border.
 *
 * @param {Tensor} tensor
 * @param {number} channel
 * @returns {Generator<Cell>}
 */
function* everywhere(tensor, channel, border = 0) {
  for (let T = 0; T < size("T"); T++) {
    for (let H = border; H < size("H") - border; H += tensor.stride) {
      for (let W = border; W < size("W") - border; W += tensor.stride) yield { T, C: channel, H, W };
    }
  }
}

/**
 * Lowest and highest value of a channel, and of 0, since gates bring values closer to it.
 *
 * @param {Tensor} tensor
 * @param {number} channel
 */
function rangeOf(tensor, channel) {
  let [low, high] = [0, 0];
  for (const where of everywhere(tensor, channel)) {
    const value = tensor.at(where);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/**
 * @param {Tensor} a
 * @param {Tensor} b
 * @returns {Tensor}
 */
const times = (a, b) => ({ ...a, axes: "TCHW", at: (where) => a.at(where) * b.at(where) });

/**
 * @param {Tensor[]} tensors
 * @returns {Tensor}
 */
const meanOf = (tensors) => ({
  ...tensors[0],
  axes: "TCHW",
  at: (where) => tensors.reduce((sum, tensor) => sum + tensor.at(where), 0) / tensors.length,
});

/**
 * Makes a module from its description: which gates multiply its input, and which steer those.
 *
 * @param {SentModule} sent
 * @param {Record<string, Tensor>} gates
 * @param {Tensor} x
 * @returns {Module}
 */
function openModule({ title, averaged, units, multiplies, steers }, gates, x) {
  const own = Object.fromEntries(Object.entries(units).map(([axis, unit]) => [axis, gates[unit]]));
  const gateOf = (/** @type {Axis[]} */ axes) =>
    axes.length === 1
      ? { axes, symbol: `U_${axes[0]}`, tensor: own[axes[0]] }
      : { axes, symbol: "G", tensor: meanOf(axes.map((axis) => own[axis])) };
  const outer = gateOf(multiplies);
  const inner = steers.length ? gateOf(steers) : null;
  return { title, averaged, units: own, outer, inner, x, v: inner ? times(x, inner.tensor) : x, y: times(x, outer.tensor) };
}

/** The tensors of the view. `used` is the gate that the shown unit is a part of. */
async function openLesson(/** @type {View} */ sent) {
  const { x, gates, max, mean, response, modules, unit } = sent;
  const bytes = await inflate(new Response(bytesOf(sent.data)));
  const values = sent.bits === 16 ? new Uint16Array(bytes.buffer) : bytes;
  const levels = sumDifferences(values, [x, ...Object.values(gates), max, mean, response]);
  const feature = unpack(x, levels);
  const opened = Object.fromEntries(Object.entries(gates).map(([name, packed]) => [name, unpack(packed, levels)]));
  /** @type {Module[]} */
  const made = [];
  for (const module of modules) made.push(openModule(module, opened, module.follows === null ? feature : made[module.follows].y));
  const module = made[modules.findIndex(({ units }) => Object.values(units).includes(unit))];
  const axis = /** @type {Axis} */ (unit.slice(-1));
  const isOuter = module.outer.axes.includes(axis);
  return {
    axis,
    feature,
    modules: made,
    module,
    isOuter,
    used: isOuter || !module.inner ? module.outer : module.inner,
    input: isOuter ? module.v : module.x, // of the unit
    seesX: !isOuter || !module.inner,
    product: isOuter ? module.y : module.v,
    ranges: new Map(),
    max: unpack(max, levels),
    mean: unpack(mean, levels),
    response: unpack(response, levels),
  };
}

/** The 54 products of the convolution at the cell: kernel axes in the order of view.axes, outside counts as 0. */
function products() {
  /** @type {{ map: number, weight: number, outside: boolean, value: number }[]} */
  const terms = [];
  const axes = /** @type {Axis[]} */ ([...view.axes]);
  view.kernel.forEach((planes, map) =>
    planes.forEach((rows, i) =>
      rows.forEach((weights, j) =>
        weights.forEach((weight, k) => {
          const where = { ...cell };
          [i, j, k].forEach((offset, n) => (where[axes[n]] += offset - 1));
          const outside = axes.some((axis) => where[axis] < 0 || where[axis] >= size(axis));
          terms.push({ map, weight, outside, value: outside ? 0 : [lesson.max, lesson.mean][map].at(where) });
        }),
      ),
    ),
  );
  return terms;
}

/**
 * A response after batch norm.
 *
 * @param {number} response
 */
function normalized(response) {
  const { weight, mean, var: variance, bias, eps } = view.norm;
  return (weight * (response - mean)) / Math.sqrt(variance + eps) + bias;
}
