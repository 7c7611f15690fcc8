// @ts-check
// The table of the blocks: what each block's gates do for the answers, with intervals.

/** @typedef {"change" | "flips"} Measure */

/**
 * What a row draws: the change of accuracy, or without labels the share of answers that change.
 *
 * @param {Survey} survey
 * @returns {Measure}
 */
const measureOf = (survey) => (survey.accuracy ? "change" : "flips");

/**
 * The rows of the table.
 *
 * @param {Survey} survey
 * @param {string} mode
 * @param {string} chosen Name of a block.
 * @param {Record<string, any>} words
 */
function blockRows(survey, mode, chosen, words) {
  const measure = measureOf(survey);
  const intervals = survey.blocks.map((block) => block.without[mode]?.[measure] ?? null);
  const ends = intervals.flatMap((interval) => interval ?? []).filter((end) => end !== null);
  const low = Math.min(0, ...ends);
  const high = Math.max(0, ...ends);
  const place = (/** @type {number | null} */ value) => (100 * ((value ?? 0) - low)) / (high - low || 1);
  return survey.blocks.map((block, i) => {
    const interval = intervals[i];
    const button = make(
      "button",
      { type: "button", "data-block": block.name, "aria-pressed": String(block.name === chosen) },
      `${i + 1} (${block.name})`,
    );
    const cell = make("td", { class: "track", "aria-hidden": "true" });
    cell.append(make("i", { class: "zero", style: `left:${place(0).toFixed(2)}%` }));
    if (interval) {
      const [value, from, to] = interval;
      if (from !== null && to !== null) {
        const style = `left:${place(from).toFixed(2)}%;width:${(place(to) - place(from)).toFixed(2)}%`;
        cell.append(make("i", { class: "range", style }));
      }
      cell.append(make("i", { class: "value", style: `left:${place(value).toFixed(2)}%` }));
    }
    const said = interval ? points(interval, measure === "change") : words.unknown;
    return make(
      "tr",
      { class: block.name === chosen ? "chosen" : false },
      make("th", { scope: "row" }, button),
      cell,
      make("td", { class: "number" }, said),
      make("td", { class: "number wide" }, `${block.separating} / ${block.num_channels}`),
      make("td", { class: "number wide" }, block.difference ? gates(block.difference) : words.unknown),
    );
  });
}

/** @param {number} value */
const minus = (value, digits = 1, sign = false) => {
  const text = Math.abs(value).toFixed(digits);
  const isZero = Number(text) === 0;
  return `${value < 0 && !isZero ? "−" : sign && !isZero ? "+" : ""}${text}`;
};

/**
 * An interval of shares in percentage points.
 *
 * @param {Interval} interval
 */
function points(interval, sign = false) {
  const [value, low, high] = interval.map((end) => (end === null ? null : minus(100 * end, 1, sign)));
  return low === null || high === null ? `${value}` : `${value} (${low} to ${high})`;
}

/**
 * An interval of a difference of gates.
 *
 * @param {Interval} interval
 */
function gates(interval) {
  const [value, low, high] = interval.map((end) => (end === null ? null : minus(end, 3, true)));
  return low === null || high === null ? `${value}` : `${value} (${low} to ${high})`;
}
