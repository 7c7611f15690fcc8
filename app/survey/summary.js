// @ts-check
// Reads a survey's summary. A visitor may open any file, so nothing in it is trusted: what passes has these types and sizes.

/** @typedef {(number | null)[]} Interval Value, low end, high end of 95 %. */

/**
 * @typedef {object} Effect What a block's gates do for the answers.
 * @property {Interval | null} change
 * @property {Interval} flips
 * @property {(number | null)[]} classes Change of accuracy of each class.
 * @property {number | null} flipped A clip with another answer.
 */

/** @typedef {{ channel: number, eta: number, chance: number, q: number, means: (number | null)[] }} Channel */

/**
 * @typedef {object} SurveyBlock
 * @property {string} name
 * @property {Record<string, Effect>} without By mode.
 * @property {Interval | null} difference
 * @property {number} num_channels
 * @property {number} separating
 * @property {Channel[]} channels
 * @property {(number | null)[]} profile
 * @property {(number | null)[][]} profiles
 * @property {(number | null)[][]} margins
 * @property {(number | null)[]} typical Of each class a clip.
 * @property {number[][]} lowest Clip and mean gate.
 * @property {number[][]} highest
 */

/**
 * @typedef {object} Survey
 * @property {string} title
 * @property {{ name: string, network: string }} model
 * @property {number} num_clips
 * @property {number} num_groups
 * @property {boolean} has_groups
 * @property {number} errors
 * @property {number} level
 * @property {string[]} classes
 * @property {boolean} are_labels
 * @property {number} classes_left_out
 * @property {number[]} counts
 * @property {Interval | null} accuracy
 * @property {SurveyBlock[]} blocks
 * @property {string[]} clips
 * @property {Record<string, string>} examples Number of a clip -> name of the page's example.
 */

const SURVEY_BYTES = 400_000;
const SWITCHES = ["mean", "identity", "shuffle"];
const MOST = { name: 200, classes: 64, blocks: 200, channels: 64, frames: 64, clips: 5000, ends: 10 };

class NotASurvey extends Error {}

/**
 * The survey in a text, with nothing but what is drawn.
 *
 * @param {string} text
 * @returns {Survey}
 */
function parseSurvey(text) {
  if (text.length > SURVEY_BYTES) throw new NotASurvey("size");
  /** @type {any} */
  let raw;
  try {
    raw = JSON.parse(text);
  } catch {
    throw new NotASurvey("json");
  }
  if (raw?.format !== "aia-survey-summary") throw new NotASurvey("format");
  if (raw.version !== 1) throw new NotASurvey("version");
  try {
    return parseContent(raw);
  } catch {
    throw new NotASurvey("values"); // of another type or size
  }
}

/**
 * @param {any} raw
 * @returns {Survey}
 */
function parseContent(raw) {
  const classes = list(raw.classes, name, MOST.classes);
  const clips = list(raw.clips, name, MOST.clips);
  const ofClasses = (/** @type {any} */ value) => list(value, numberOrNull, classes.length, classes.length);
  const blocks = list(raw.blocks, (block) => parseBlock(block, classes.length, clips.length, ofClasses), MOST.blocks);
  /** @type {Record<string, string>} */
  const examples = {};
  for (const [clip, example] of Object.entries(raw.examples ?? {}).slice(0, MOST.clips)) examples[clip] = name(example);
  return {
    title: name(raw.title),
    model: { name: name(raw.model?.name), network: name(raw.model?.network) },
    num_clips: whole(raw.num_clips),
    num_groups: whole(raw.num_groups),
    has_groups: raw.has_groups === true,
    errors: whole(raw.errors),
    level: number(raw.level),
    classes,
    are_labels: raw.are_labels === true,
    classes_left_out: whole(raw.classes_left_out),
    counts: list(raw.counts, whole, classes.length, classes.length),
    accuracy: optional(raw.accuracy, interval),
    blocks,
    clips,
    examples,
  };
}

/**
 * @param {any} raw
 * @param {number} classes
 * @param {number} clips
 * @param {(value: any) => (number | null)[]} ofClasses
 * @returns {SurveyBlock}
 */
function parseBlock(raw, classes, clips, ofClasses) {
  const clip = (/** @type {any} */ value) => whole(value, clips - 1);
  const ofFrames = (/** @type {any} */ value) => list(value, numberOrNull, MOST.frames);
  const profile = ofFrames(raw.profile);
  const rows = (/** @type {any} */ value) =>
    list(value, (row) => list(row, numberOrNull, profile.length, profile.length), classes, classes);
  const ends = (/** @type {any} */ value) => list(value, ([at, mean]) => [clip(at), number(mean)], MOST.ends);
  /** @type {Record<string, Effect>} */
  const without = {};
  for (const mode of SWITCHES) {
    const effect = raw.without?.[mode];
    if (effect === undefined) continue;
    const changes = list(effect.classes, numberOrNull, classes);
    without[mode] = {
      change: optional(effect.change, interval),
      flips: interval(effect.flips),
      classes: changes.length === classes ? changes : [],
      flipped: optional(effect.flipped, clip),
    };
  }
  return {
    name: name(raw.name),
    without,
    difference: optional(raw.difference, interval),
    num_channels: whole(raw.num_channels),
    separating: whole(raw.separating),
    channels: list(raw.channels, (channel) => parseChannel(channel, ofClasses), MOST.channels),
    profile,
    profiles: rows(raw.profiles),
    margins: rows(raw.margins),
    typical: list(raw.typical, (value) => optional(value, clip), classes, classes),
    lowest: ends(raw.lowest),
    highest: ends(raw.highest),
  };
}

/**
 * @param {any} raw
 * @param {(value: any) => (number | null)[]} ofClasses
 * @returns {Channel}
 */
const parseChannel = (raw, ofClasses) => ({
  channel: whole(raw.channel),
  eta: number(raw.eta),
  chance: number(raw.chance),
  q: number(raw.q),
  means: ofClasses(raw.means),
});

// ---- values

/** @param {any} value */
function number(value) {
  if (typeof value !== "number" || !Number.isFinite(value) || Math.abs(value) > 1e6) throw new RangeError();
  return value;
}

/** @param {any} value */
function whole(value, most = 1e9) {
  if (!Number.isInteger(value) || value < 0 || value > most) throw new RangeError();
  return /** @type {number} */ (value);
}

/** @param {any} value */
const numberOrNull = (value) => (value === null ? null : number(value));

/**
 * @template Value
 * @param {any} value
 * @param {(value: any) => Value} parse
 */
const optional = (value, parse) => (value === null || value === undefined ? null : parse(value));

/** @param {any} value */
function interval(value) {
  const ends = list(value, numberOrNull, 3, 3);
  number(ends[0] ?? 0);
  return ends;
}

/**
 * A name on one line, without characters that turn the direction of the text.
 *
 * @param {any} value
 */
function name(value) {
  if (typeof value !== "string" || value.length > MOST.name) throw new RangeError();
  return value.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, " ");
}

/**
 * @template Value
 * @param {any} value
 * @param {(value: any) => Value} parse
 * @param {number} most
 */
function list(value, parse, most, least = 0) {
  if (!Array.isArray(value) || value.length > most || value.length < least) throw new RangeError();
  return value.map((item) => parse(item));
}
