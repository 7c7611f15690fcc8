// An answer of the server (`aia.visualization.web`), opened: its maps, means and limits. No page is touched here.

const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

async function inflate(response) {
  if (!response.ok) throw new Error(`${response.status}`);
  const stream = response.body.pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const sizeOf = ({ shape }) => shape.reduce((a, b) => a * b, 1);

/** Levels of packed arrays, made of their differences in place. */
function summed(bytes, arrays) {
  for (const array of arrays) {
    const channels = array.shape[3];
    const end = array.at + sizeOf(array);
    for (let i = array.at + channels; i < end; i++) bytes[i] += bytes[i - channels];
  }
  return bytes;
}
const arraysOf = (answer, kind) => answer.blocks.flatMap((block) => Object.values(block[kind] ?? {}));

/**
 * An answer with its means and pictures opened, or null for none.
 *
 * Its channels' own gates follow: `loading` is a promise until they are here (`channelBytes`) or could not be had (`lost`).
 */
async function openAnswer(value) {
  if (!value) return null;
  const answer = Object.assign(JSON.parse(value.answer), { maps: new Map(), channelBytes: null, lost: false, loading: null });
  if (value.channels) answer.loading = load(answer, value.channels.url);
  answer.pictures = answer.frames.map((source) => Object.assign(new Image(), { src: source }));
  for (const block of answer.blocks) block.channel_mean = Array.from(new Float32Array(bytesOf(block.channel_mean).buffer));
  answer.bytes = summed(await inflate(new Response(bytesOf(answer.data))), arraysOf(answer, "maps"));
  await Promise.all(answer.pictures.map((picture) => picture.decode()));
  return answer;
}

async function load(answer, url) {
  try {
    answer.channelBytes = summed(await inflate(await fetch(url)), arraysOf(answer, "gates"));
  } catch {
    answer.lost = true; // the means are drawn all the same
  }
  answer.loading = null;
}

/** The block of this name, or the one that the answer would show first. */
function blockOf(answer, name) {
  const named = (wanted) => answer.blocks.find((block) => block.name === wanted);
  return named(name) ?? named(answer.first_block) ?? answer.blocks[0];
}
const gatesOf = (block) => ["combined", ...Object.keys(block.maps)];
const gateOf = (block, gate) => (gatesOf(block).includes(gate) ? gate : "combined");

/** How many channels a block's gate tells apart. */
function channelsOf(block, gate) {
  return (gate === "combined" ? block.applied.st === null : gate.endsWith("C")) ? 1 : block.shape[1];
}
/** Whether there are maps of single channels: here, or still on their way. */
const tellsChannels = (answer, block, gate) => block.gates !== null && !answer.lost && channelsOf(block, gate) > 1;
const hasChannels = (answer, block, gate) => answer.channelBytes !== null && tellsChannels(answer, block, gate);

/** One channel of a packed array, `[T or 1, h or 1, w or 1]`. */
function opened(bytes, { shape, at, low, step }, channel = 0) {
  const [frames, rows, columns, channels] = shape;
  const data = new Float32Array(frames * rows * columns);
  for (let i = 0, k = at + channel; i < data.length; i++, k += channels) data[i] = low + step * bytes[k];
  return { shape: [frames, rows, columns], data };
}

/** A unit's map: one channel's own, or with null the mean over channels. The one channel of a C gate stands for all. */
function mapOfUnit(answer, block, unit, channel) {
  if (channel === null || channelsOf(block, unit) === 1) return opened(answer.bytes, block.maps[unit]);
  return opened(answer.channelBytes, block.gates[unit], channel);
}

/** The map of the gate that multiplies the feature, `[T, h, w]`: as `BlockGates` says it. */
function mapOfCombined(answer, block, channel) {
  const { c, st, how } = block.applied;
  const [frames, , rows, columns] = block.shape;
  const shape = [frames, rows, columns];
  const data = new Float32Array(frames * rows * columns);
  const share = how === "average" ? 0.5 : 1;
  if (st !== null) for (const axis of ["T", "H", "W"]) add(data, shape, mapOfUnit(answer, block, st + axis, channel), share / 3);
  if (c === null) return { shape, data };
  const u = mapOfUnit(answer, block, c, channel);
  if (st !== null && how === "cascade") data.forEach((value, i) => (data[i] = value * u.data[i]));
  else add(data, shape, u, share);
  return { shape, data };
}

/** Adds a map, times a factor, to values of this shape; an axis of length 1 stands for all its places. */
function add(data, [frames, rows, columns], map, factor) {
  const step = (axis, length) => (map.shape[axis] > 1 ? length : 0);
  const [dt, dy, dx] = [step(0, map.shape[1] * map.shape[2]), step(1, map.shape[2]), step(2, 1)];
  for (let t = 0, i = 0; t < frames; t++)
    for (let y = 0; y < rows; y++) for (let x = 0, k = t * dt + y * dy; x < columns; x++, i++, k += dx) data[i] += factor * map.data[k];
}

/** The value of a map at a frame and a place; an axis of length 1 stands for all its places. */
function at({ shape: [frames, rows, columns], data }, t, y, x) {
  return data[((frames > 1 ? t : 0) * rows + (rows > 1 ? y : 0)) * columns + (columns > 1 ? x : 0)];
}

/** The map of a block's gate: its mean over channels, or one channel's own; kept once it is made. */
function mapOf(answer, name, gate, channel) {
  const block = blockOf(answer, name);
  gate = gateOf(block, gate);
  const own = channel !== null && channel < channelsOf(block, gate) && hasChannels(answer, block, gate) ? channel : null;
  const key = [block.name, gate, own ?? ""].join();
  if (!answer.maps.has(key)) {
    const map = gate === "combined" ? mapOfCombined(answer, block, own) : mapOfUnit(answer, block, gate, own);
    if (answer.maps.size > 400) answer.maps.clear(); // hovering over every channel must not fill the memory
    answer.maps.set(key, map);
  }
  return answer.maps.get(key);
}

const meanOf = (data) => data.reduce((a, b) => a + b, 0) / data.length;

/** Mean of a map in each frame. */
function profileOf({ shape: [frames, rows, columns], data }, count) {
  const size = rows * columns;
  return Array.from({ length: count }, (_, t) => {
    const from = (frames > 1 ? t : 0) * size;
    return meanOf(data.subarray(from, from + size));
  });
}

/** Mean of each channel of a block's gate; none where the channels' gates are not here. */
function channelMeans(answer, name, gate) {
  const block = blockOf(answer, name);
  gate = gateOf(block, gate);
  if (gate === "combined") return block.channel_mean;
  if (channelsOf(block, gate) === 1) return [meanOf(mapOf(answer, name, gate, null).data)];
  if (!hasChannels(answer, block, gate)) return [];
  const { shape: [, , , channels], at: start, low, step } = block.gates[gate];
  const sums = new Float64Array(channels);
  const places = sizeOf(block.gates[gate]) / channels;
  for (let place = 0, i = start; place < places; place++) for (let c = 0; c < channels; c++, i++) sums[c] += answer.channelBytes[i];
  return Array.from(sums, (sum) => low + (step * sum) / places);
}

/** The values that the first and the last colour stand for; the same for both sides and for all frames. */
function limitsOf(answers, state) {
  if (state.scale === "absolute") return [0, 1];
  let [low, high] = [Infinity, -Infinity];
  for (const answer of answers.filter((a) => a.blocks.length)) {
    const blocks = state.scale === "block" ? [blockOf(answer, state.block)] : answer.blocks;
    for (const block of blocks.filter((b) => gatesOf(b).includes(state.gate) || state.scale === "block"))
      for (const value of mapOf(answer, block.name, state.gate, state.channel).data) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
  }
  return low <= high ? [low, high] : [0, 1];
}
