// @ts-check
// The maps of an answer, their means and limits, computed from the packed gates.

/**
 * One channel of a packed array.
 *
 * @param {Uint8Array} bytes
 * @param {PackedArray} array
 * @returns {GateMap}
 */
function unpack(bytes, { shape, at, low, step }, channel = 0) {
  const [frames, rows, columns, channels] = shape;
  const data = new Float32Array(frames * rows * columns);
  for (let i = 0, k = at + channel; i < data.length; i++, k += channels) data[i] = low + step * bytes[k];
  return { shape: [frames, rows, columns], data };
}

/**
 * A unit's map: of one channel, or with null the mean over channels.
 *
 * @param {Answer} answer
 * @param {Block} block
 * @param {string} unit
 * @param {number | null} channel
 */
function mapOfUnit(answer, block, unit, channel) {
  const own = channel === null || !answer.channelBytes || !block.gates?.[unit] ? null : block.gates[unit];
  if (!own || !answer.channelBytes) return unpack(answer.bytes, block.maps[unit]);
  return unpack(answer.channelBytes, own, channel ?? 0);
}

/**
 * The map of the gate that multiplies the feature, by the rule that the answer states.
 *
 * @param {Answer} answer
 * @param {Block} block
 * @param {number | null} channel
 * @returns {GateMap}
 */
function mapOfCombined(answer, block, channel) {
  const [frames, , rows, columns] = block.shape;
  const shape = [frames, rows, columns];
  const modules = answer.multipliers.map((units) => {
    const mean = new Float32Array(frames * rows * columns);
    for (const unit of units) addMap(mean, shape, mapOfUnit(answer, block, unit, channel), 1 / units.length);
    return mean;
  });
  const [data, ...others] = modules;
  for (const other of others) {
    if (answer.combine === "product") other.forEach((value, i) => (data[i] *= value));
    else other.forEach((value, i) => (data[i] += value));
  }
  if (answer.combine === "mean" && others.length) data.forEach((value, i) => (data[i] = value / modules.length));
  return { shape, data };
}

/**
 * Adds a map, times a factor, to values of this shape; an axis of length 1 stands for all its places.
 *
 * @param {Float32Array} data
 * @param {number[]} shape
 * @param {GateMap} map
 * @param {number} factor
 */
function addMap(data, [frames, rows, columns], map, factor) {
  const stride = (/** @type {number} */ axis, /** @type {number} */ length) => (map.shape[axis] > 1 ? length : 0);
  const [dt, dy, dx] = [stride(0, map.shape[1] * map.shape[2]), stride(1, map.shape[2]), stride(2, 1)];
  for (let t = 0, i = 0; t < frames; t++)
    for (let y = 0; y < rows; y++) for (let x = 0, k = t * dt + y * dy; x < columns; x++, i++, k += dx) data[i] += factor * map.data[k];
}

/**
 * The value of a map at a frame and a place; an axis of length 1 stands for all its places.
 *
 * @param {GateMap} map
 * @param {number} t
 * @param {number} y
 * @param {number} x
 */
function at({ shape: [frames, rows, columns], data }, t, y, x) {
  return data[((frames > 1 ? t : 0) * rows + (rows > 1 ? y : 0)) * columns + (columns > 1 ? x : 0)];
}

const MAX_CACHED_MAPS = 400; // a pointer over the bars asks for every channel

/**
 * The map of a block's gate: its mean over channels, or one channel's own once it has arrived.
 *
 * @param {Answer} answer
 * @param {string} name
 * @param {string} wanted
 * @param {number | null} channel
 * @returns {GateMap}
 */
function mapOf(answer, name, wanted, channel) {
  const block = blockOf(answer, name);
  const gate = gateOf(block, wanted);
  const isOwn = channel !== null && channel < channelsOf(answer, block, gate) && hasChannels(answer, block, gate);
  const shown = isOwn ? channel : null;
  const key = [block.name, gate, shown ?? ""].join();
  const cached = answer.cache.get(key);
  if (cached) return cached;
  const map = gate === "combined" ? mapOfCombined(answer, block, shown) : mapOfUnit(answer, block, gate, shown);
  if (answer.cache.size > MAX_CACHED_MAPS) answer.cache.clear();
  answer.cache.set(key, map);
  return map;
}

/** @param {Float32Array} values */
const meanOf = (values) => values.reduce((a, b) => a + b, 0) / values.length;

/**
 * Mean of a map in each frame.
 *
 * @param {GateMap} map
 * @param {number} count
 */
function profileOf({ shape: [frames, rows, columns], data }, count) {
  const size = rows * columns;
  return Array.from({ length: count }, (_, t) => {
    const start = (frames > 1 ? t : 0) * size;
    return meanOf(data.subarray(start, start + size));
  });
}

/**
 * Mean of each channel of a block's gate; empty while the channels' gates have not arrived.
 *
 * @param {Answer} answer
 * @param {string} name
 * @param {string} wanted
 * @returns {number[]}
 */
function channelMeans(answer, name, wanted) {
  const block = blockOf(answer, name);
  const gate = gateOf(block, wanted);
  if (gate === "combined") return block.channel_mean;
  if (channelsOf(answer, block, gate) === 1) return [meanOf(mapOf(answer, name, gate, null).data)];
  if (!hasChannels(answer, block, gate) || !block.gates || !answer.channelBytes) return [];
  return meansByChannel(answer.channelBytes, block.gates[gate]);
}

/**
 * Mean of each channel of a packed array.
 *
 * @param {Uint8Array} bytes
 * @param {PackedArray} array
 */
function meansByChannel(bytes, { shape, at: start, low, step }) {
  const channels = shape[3];
  const sums = new Float64Array(channels);
  const places = product(shape) / channels;
  for (let place = 0, i = start; place < places; place++) for (let c = 0; c < channels; c++, i++) sums[c] += bytes[i];
  return Array.from(sums, (sum) => low + (step * sum) / places);
}

/**
 * The values of the first and the last color of gates: the same for both sides and for all frames.
 *
 * @param {Answer[]} answers
 * @param {Pick<ViewerState, "block" | "gate" | "channel" | "scale">} state
 * @returns {number[]}
 */
function limitsOf(answers, { block: name, gate, channel, scale }) {
  if (scale === "absolute") return [0, 1];
  let [low, high] = [Infinity, -Infinity];
  for (const answer of answers.filter(({ blocks }) => blocks.length)) {
    const blocks = scale === "block" ? [blockOf(answer, name)] : answer.blocks.filter((block) => gatesOf(block).includes(gate));
    for (const block of blocks)
      for (const value of mapOf(answer, block.name, gate, channel).data) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
  }
  return low <= high ? [low, high] : [0, 1];
}
