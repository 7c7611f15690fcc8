// @ts-check
// An answer of the server (`aia.visualization.web`), opened: its blocks, gates and channels.

/**
 * @typedef {object} Block
 * @property {string} name
 * @property {number[]} shape T, C, H, W.
 * @property {Record<string, PackedArray>} maps The mean of each unit over channels: T, H, W, 1.
 * @property {Record<string, PackedArray> | null} gates The units that tell channels apart: T, H, W, C.
 * @property {number[]} channel_mean
 *
 * @typedef {object} OpenedAnswer
 * @property {HTMLImageElement[]} pictures
 * @property {Uint8Array} bytes Levels of all maps.
 * @property {Uint8Array | null} channelBytes Levels of the channels' own gates, once they have arrived.
 * @property {Promise<void> | null} loading Until the channels' gates have arrived, or are lost.
 * @property {boolean} lost
 * @property {Typical | null} typical What is usual for the model, once it has arrived.
 * @property {Promise<void> | null} typicalLoading Until it has arrived, or is lost.
 * @property {Map<string, GateMap>} cache
 *
 * @typedef {object} SentFields
 * @property {string} network
 * @property {string} [title]
 * @property {string} [says]
 * @property {string} [verdict] Of side B: how it compares with side A.
 * @property {boolean} [plain] Whether there is the same network without gates.
 * @property {string} attention
 * @property {Record<string, string>} units The axis that each unit pools: along it the unit's gate has one value.
 * @property {string[][]} multipliers For each module, the units whose mean gate multiplies the feature.
 * @property {"mean" | "product"} combine How the block's gate follows from those of its modules.
 * @property {number[]} times
 * @property {[number, number]} size
 * @property {[number, number, number, number]} seen_box
 * @property {string[]} frames
 * @property {string} first_block
 * @property {Block[]} blocks
 * @property {string} data
 * @property {boolean} [prepared] Drawn until the real answer is computed.
 * @property {Record<string, string>} [link]
 * @property {ReferenceLink | null} [reference] Where to load what is usual for the model.
 *
 * @typedef {SentFields & OpenedAnswer} Answer
 * @typedef {{ answer: string, channels: { url: string } | null }} SentAnswer
 * @typedef {{ shape: number[], data: Float32Array }} GateMap T or 1, H or 1, W or 1.
 */

/**
 * @param {Answer} answer
 * @param {"maps" | "gates"} kind
 */
const arraysOf = (answer, kind) => answer.blocks.flatMap((block) => Object.values(block[kind] ?? {}));

/**
 * An answer with its means and pictures opened. Its channels' own gates follow, see `loading`.
 *
 * @param {SentAnswer} value
 * @returns {Promise<Answer>}
 */
async function openAnswer(value) {
  /** @type {Answer} */
  const answer = Object.assign(JSON.parse(value.answer), { cache: new Map(), channelBytes: null, lost: false, loading: null });
  if (value.channels) answer.loading = load(answer, value.channels.url);
  answer.typical = null;
  answer.typicalLoading = answer.reference ? loadTypicalOf(answer) : null;
  answer.pictures = answer.frames.map((source) => Object.assign(new Image(), { src: source }));
  for (const block of answer.blocks) block.channel_mean = Array.from(new Float32Array(bytesOf(String(block.channel_mean)).buffer));
  answer.bytes = sumDifferences(await inflate(new Response(bytesOf(answer.data))), arraysOf(answer, "maps"));
  await Promise.all(answer.pictures.map((picture) => picture.decode()));
  return answer;
}

/** @param {Answer} answer */
async function loadTypicalOf(answer) {
  answer.typical = await typicalOf(answer.reference);
  answer.typicalLoading = null;
}

/**
 * @param {Answer} answer
 * @param {string} url
 */
async function load(answer, url) {
  try {
    const bytes = await inflate(await fetch(url));
    await answer.typicalLoading;
    await loadTypicalChannels(answer);
    answer.channelBytes = sumDifferences(bytes, arraysOf(answer, "gates"));
  } catch {
    answer.lost = true; // the means are drawn without them
  }
  answer.loading = null;
}

/**
 * The block of this name, or else the one that the answer shows first.
 *
 * @param {Answer} answer
 * @param {string} name
 * @returns {Block}
 */
function blockOf(answer, name) {
  const named = (/** @type {string} */ wanted) => answer.blocks.find((block) => block.name === wanted);
  return named(name) ?? named(answer.first_block) ?? answer.blocks[0];
}

/** @param {Block} block */
const gatesOf = (block) => ["combined", ...Object.keys(block.maps)];

/**
 * @param {Block} block
 * @param {string} gate
 */
const gateOf = (block, gate) => (gatesOf(block).includes(gate) ? gate : "combined");

/**
 * How many channels a block's gate tells apart: one where all its units pool the channels.
 *
 * @param {Answer} answer
 * @param {Block} block
 * @param {string} gate
 */
function channelsOf(answer, block, gate) {
  const units = gate === "combined" ? answer.multipliers.flat() : [gate];
  return units.every((unit) => answer.units[unit] === "C") ? 1 : block.shape[1];
}

/**
 * Whether there are maps of single channels, now or once they have arrived.
 *
 * @param {Answer} answer
 * @param {Block} block
 * @param {string} gate
 */
const mayShowChannels = (answer, block, gate) => block.gates !== null && !answer.lost && channelsOf(answer, block, gate) > 1;

/**
 * Whether there are maps of single channels now.
 *
 * @param {Answer} answer
 * @param {Block} block
 * @param {string} gate
 */
const hasChannels = (answer, block, gate) => answer.channelBytes !== null && mayShowChannels(answer, block, gate);
