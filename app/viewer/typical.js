// @ts-check
// What is usual for a model's gates: loaded once for each model, and subtracted from an answer.

/**
 * @typedef {object} TypicalBlock
 * @property {string} name
 * @property {number[]} shape
 * @property {Record<string, PackedArray>} maps Also of "combined".
 * @property {Record<string, PackedArray> | null} gates
 * @property {number} profile_limit The difference of a frame's mean at the end of its bar.
 * @property {Record<string, number>} limits The difference of the last color, for each gate.
 * @property {Record<string, PackedArray>} channel_limits The same for each channel, in the channels' bytes.
 * @property {number[]} channel_mean
 * @property {number[]} channel_std
 *
 * @typedef {object} Typical
 * @property {Record<string, TypicalBlock>} byName
 * @property {Uint8Array} bytes
 * @property {Uint8Array | null} channelBytes
 * @property {Record<string, string>} units
 * @property {string[][]} multipliers
 * @property {"mean" | "product"} combine
 * @property {number} smallest_std A smaller standard deviation says nothing.
 * @property {number} spreads Standard deviations that a limit stands for.
 *
 * @typedef {{ key: string, clips: number, kind: string }} ReferenceLink
 */

/** @type {Map<string, Promise<Typical | null>>} */
const typicalByKey = new Map(); // the browser keeps the files, and this page keeps them opened

/**
 * What is usual for the model of an answer; null if it is unknown or did not arrive.
 *
 * @param {ReferenceLink | null | undefined} reference
 */
function typicalOf(reference) {
  if (!reference) return Promise.resolve(null);
  const known = typicalByKey.get(reference.key);
  if (known) return known;
  const loading = loadTypical(`${serverRoot()}/reference/${reference.key}`).catch(() => {
    typicalByKey.delete(reference.key); // another answer tries again
    return null;
  });
  typicalByKey.set(reference.key, loading);
  return loading;
}

/** @param {string} folder */
async function loadTypical(folder) {
  const response = await fetch(`${folder}/maps.json`, { signal: AbortSignal.timeout(60_000) }); // then gates are drawn
  if (!response.ok) throw new Error(`${response.status}`);
  const typical = await response.json();
  const floats = (/** @type {string} */ text) => Array.from(new Float32Array(bytesOf(text).buffer));
  for (const block of typical.blocks) {
    block.channel_mean = floats(block.channel_mean);
    block.channel_std = floats(block.channel_std);
  }
  const arrays = typical.blocks.flatMap((/** @type {TypicalBlock} */ block) => Object.values(block.maps));
  const bytes = sumDifferences(await inflate(new Response(bytesOf(typical.data))), arrays);
  const byName = Object.fromEntries(typical.blocks.map((/** @type {TypicalBlock} */ block) => [block.name, block]));
  /** @type {Typical} */
  return { ...typical, byName, bytes, channelBytes: null };
}

/**
 * Loads what is usual for single channels, for an answer that has its own.
 *
 * @param {Answer} answer
 */
async function loadTypicalChannels(answer) {
  const { typical, reference } = answer;
  if (!typical || !reference || typical.channelBytes) return;
  try {
    const bytes = await inflate(await fetch(`${serverRoot()}/reference/${reference.key}/channels.bin`));
    const packed = (/** @type {TypicalBlock} */ block) => [...Object.values(block.gates ?? {}), ...Object.values(block.channel_limits)];
    typical.channelBytes ??= sumDifferences(bytes, Object.values(typical.byName).flatMap(packed));
  } catch {
    // single channels are drawn as they are
  }
}

/**
 * What is usual for a block of an answer; null if it is unknown.
 *
 * @param {Answer} answer
 * @param {string} name
 */
function typicalBlock(answer, name) {
  const block = answer.typical?.byName[name];
  const own = answer.blocks.find((candidate) => candidate.name === name);
  return block && own && block.shape.join() === own.shape.join() ? block : null;
}

/**
 * Whether a gate is drawn for one channel alone.
 *
 * @param {Answer} answer
 * @param {Block} block
 * @param {string} gate
 * @param {number | null} channel
 * @returns {channel is number}
 */
function isSingle(answer, block, gate, channel) {
  return channel !== null && channel < channelsOf(answer, block, gate) && hasChannels(answer, block, gate);
}

/**
 * Whether it is known what is usual for a gate. Where modules follow one another, that is known of the combined gate only as
 * the mean over channels.
 *
 * @param {Answer} answer
 * @param {string} name
 * @param {string} wanted
 * @param {number | null} channel
 */
function hasTypical(answer, name, wanted, channel) {
  const block = blockOf(answer, name);
  const known = block && typicalBlock(answer, block.name);
  if (!known) return false;
  const gate = gateOf(block, wanted);
  if (!isSingle(answer, block, gate, channel)) return true;
  if (gate === "combined" && answer.combine === "product") return false;
  return Boolean(answer.typical?.channelBytes && known.gates);
}

/**
 * The usual map of a gate. Ask `hasTypical` first.
 *
 * @param {Answer} answer
 * @param {Block} block
 * @param {string} gate
 * @param {number | null} channel
 * @returns {GateMap}
 */
function typicalMap(answer, block, gate, channel) {
  const typical = /** @type {Typical} */ (answer.typical);
  const known = /** @type {TypicalBlock} */ (typicalBlock(answer, block.name));
  if (!isSingle(answer, block, gate, channel)) return unpack(typical.bytes, known.maps[gate]);
  const source = /** @type {any} */ ({ ...typical, blocks: [known] });
  return gate === "combined" ? mapOfCombined(source, /** @type {any} */ (known), channel) : mapOfUnit(source, /** @type {any} */ (known), gate, channel);
}

/**
 * How much more open a gate is than usual, everywhere. Ask `hasTypical` first.
 *
 * @param {Answer} answer
 * @param {string} name
 * @param {string} wanted
 * @param {number | null} channel
 * @returns {GateMap}
 */
function differenceOf(answer, name, wanted, channel) {
  const block = blockOf(answer, name);
  const gate = gateOf(block, wanted);
  const single = isSingle(answer, block, gate, channel) ? channel : null;
  const key = ["difference", block.name, gate, single ?? ""].join();
  const cached = answer.cache.get(key);
  if (cached) return cached;
  const own = mapOf(answer, block.name, gate, single);
  const usual = typicalMap(answer, block, gate, single);
  const [frames, rows, columns] = own.shape;
  const shape = [Math.max(frames, usual.shape[0]), rows, columns];
  const data = new Float32Array(product(shape));
  addMap(data, shape, own, 1);
  addMap(data, shape, usual, -1);
  const map = { shape, data };
  answer.cache.set(key, map);
  return map;
}

/**
 * The difference of the last color: the same for all clips and frames.
 *
 * @param {Answer} answer
 * @param {string} name
 * @param {string} wanted
 * @param {number | null} channel
 */
function differenceLimit(answer, name, wanted, channel) {
  const block = blockOf(answer, name);
  const gate = gateOf(block, wanted);
  const known = /** @type {TypicalBlock} */ (typicalBlock(answer, block.name));
  const bytes = answer.typical?.channelBytes;
  if (!bytes || !isSingle(answer, block, gate, channel)) return known.limits[gate];
  return Math.exp(unpack(bytes, known.channel_limits[gate], channel).data[0]); // sent as logarithms: they differ a hundredfold
}

/**
 * How many digits distinguish the values within a span, as in `aia.visualization.render`.
 *
 * @param {number} span
 */
const digitsOf = (span) => (span > 0 ? Math.min(Math.max(1 - Math.floor(Math.log10(span)), 2), 4) : 2);

/**
 * The ends of the bars of frames: those of the combined gate belong to the block, others are a third of the colors'.
 *
 * @param {Answer} answer
 * @param {string} name
 * @param {string} wanted
 * @param {number | null} channel
 */
function profileLimits(answer, name, wanted, channel) {
  const block = blockOf(answer, name);
  const known = /** @type {TypicalBlock} */ (typicalBlock(answer, block.name));
  const isCombined = gateOf(block, wanted) === "combined" && !isSingle(answer, block, "combined", channel);
  const limit = isCombined ? known.profile_limit : differenceLimit(answer, name, wanted, channel) / 3;
  return [-limit, limit];
}

/**
 * How far the mean gate of each channel is from what is usual, and how unusual that is; null where it is unknown.
 *
 * @param {Answer} answer
 * @param {string} name
 * @param {string} wanted
 * @returns {{ values: number[], unusual: number[], limit: number } | null}
 */
function channelDifferences(answer, name, wanted) {
  const block = blockOf(answer, name);
  const gate = gateOf(block, wanted);
  const known = typicalBlock(answer, block.name);
  const means = channelMeans(answer, block.name, gate);
  if (!known || !means.length) return null;
  const typical = /** @type {Typical} */ (answer.typical);
  const { spreads, smallest_std } = typical;
  let [usual, spread] = [known.channel_mean, known.channel_std];
  if (gate !== "combined") {
    if (channelsOf(answer, block, gate) > 1 && !(typical.channelBytes && known.gates)) return null;
    usual = channelsOf(answer, block, gate) === 1 ? [meanOf(unpack(typical.bytes, known.maps[gate]).data)] : meansByChannel(/** @type {Uint8Array} */ (typical.channelBytes), /** @type {any} */ (known.gates)[gate]);
    spread = usual.map((_, channel) => differenceLimit(answer, block.name, gate, channel) / spreads);
  }
  const values = means.map((mean, channel) => mean - usual[channel]);
  const unusual = values.map((value, channel) => value / Math.max(spread[channel], smallest_std));
  return { values, unusual, limit: spreads * Math.sqrt(meanOf(Float32Array.from(spread, (std) => std * std))) };
}
