// An answer of the server (`aia.pack`), opened: its maps, means and limits. No page is touched here.

const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

async function inflate(base64) {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** An answer with its bytes and pictures opened, or null for none. */
async function openAnswer(text) {
  if (!text) return null;
  const answer = JSON.parse(text);
  const pictures = answer.frames.map((source) => Object.assign(new Image(), { src: source }));
  [answer.bytes, answer.channelBytes] = await Promise.all([inflate(answer.data), inflate(answer.channel_data)]);
  await Promise.all(pictures.map((picture) => picture.decode()));
  return { ...answer, pictures, maps: new Map() };
}

/** Values of a packed array. */
function opened(bytes, { shape, at, low, step }) {
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, data: Float32Array.from(bytes.subarray(at, at + size), (level) => low + step * level) };
}

/** The block of this name, or the one that the answer would show first. */
function blockOf(answer, name) {
  const named = (wanted) => answer.blocks.find((block) => block.name === wanted);
  return named(name) ?? named(answer.first_block) ?? answer.blocks[0];
}
const gateOf = (block, gate) => (Object.hasOwn(block.maps, gate) ? gate : "combined");
const hasChannels = (block, gate) => block.gates !== null && channelsOf(block, gate) > 1;

/** How many channels a block's gate tells apart. */
function channelsOf(block, gate) {
  if (gate !== "combined") return block.gates?.[gate].shape[1] ?? 1;
  return block.applied.st === null ? 1 : block.shape[1];
}

/** One channel of a unit's own gate, `[T or 1, h or 1, w or 1]`. */
function channelOfUnit(answer, block, unit, channel) {
  const { shape: [frames, channels, rows, columns], at: start, low, step } = block.gates[unit];
  const size = rows * columns;
  const data = new Float32Array(frames * size);
  for (let t = 0; t < frames; t++) {
    const from = start + (t * channels + Math.min(channel, channels - 1)) * size;
    for (let i = 0; i < size; i++) data[t * size + i] = low + step * answer.channelBytes[from + i];
  }
  return { shape: [frames, rows, columns], data };
}

/** One channel of the gate that multiplies the feature, `[T, h, w]`: as `BlockGates` says it. */
function channelOfCombined(answer, block, channel) {
  const { c, st, how } = block.applied;
  const [frames, , rows, columns] = block.shape;
  const shape = [frames, rows, columns];
  const data = new Float32Array(frames * rows * columns);
  const share = how === "average" ? 0.5 : 1;
  if (st !== null) for (const axis of ["T", "H", "W"]) add(data, shape, channelOfUnit(answer, block, st + axis, channel), share / 3);
  if (c === null) return { shape, data };
  const u = channelOfUnit(answer, block, c, channel);
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
  const own = channel !== null && channel < channelsOf(block, gate) && hasChannels(block, gate);
  const key = [block.name, gate, own ? channel : ""].join();
  if (!answer.maps.has(key)) {
    let map;
    if (!own) map = opened(answer.bytes, block.maps[gate]);
    else if (gate === "combined") map = channelOfCombined(answer, block, channel);
    else map = channelOfUnit(answer, block, gate, channel);
    if (answer.maps.size > 400) answer.maps.clear(); // hovering over every channel must not fill the memory
    answer.maps.set(key, map);
  }
  return answer.maps.get(key);
}

/** Mean of a map in each frame. */
function profileOf({ shape: [frames, rows, columns], data }, count) {
  const size = rows * columns;
  return Array.from({ length: count }, (_, t) => {
    const from = (frames > 1 ? t : 0) * size;
    return data.subarray(from, from + size).reduce((a, b) => a + b, 0) / size;
  });
}

/** Mean of each channel of a block's gate. */
function channelMeans(answer, name, gate) {
  const block = blockOf(answer, name);
  gate = gateOf(block, gate);
  if (gate === "combined" || block.gates === null) return block.channel_mean;
  const { shape: [frames, channels, rows, columns], at: start, low, step } = block.gates[gate];
  const sums = new Float64Array(channels);
  const size = rows * columns;
  for (let t = 0, i = start; t < frames; t++)
    for (let c = 0; c < channels; c++) for (let k = 0; k < size; k++, i++) sums[c] += answer.channelBytes[i];
  return Array.from(sums, (sum) => low + (step * sum) / (frames * size));
}

/** The values that the first and the last colour stand for; the same for both sides and for all frames. */
function limitsOf(answers, state) {
  if (state.scale === "absolute") return [0, 1];
  let [low, high] = [Infinity, -Infinity];
  for (const answer of answers.filter((a) => a.blocks.length)) {
    const blocks = state.scale === "block" ? [blockOf(answer, state.block)] : answer.blocks;
    for (const block of blocks.filter((b) => Object.hasOwn(b.maps, state.gate) || state.scale === "block"))
      for (const value of mapOf(answer, block.name, state.gate, state.channel).data) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
  }
  return low <= high ? [low, high] : [0, 1];
}
