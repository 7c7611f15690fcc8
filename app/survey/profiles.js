// @ts-check
// The mean temporal profile of each class, with its 95 % band, over the mean of all clips.

const [PROFILE_WIDTH, PROFILE_HEIGHT] = [120, 60];

/**
 * A picture for each class, which is a button.
 *
 * @param {Survey} survey
 * @param {SurveyBlock} block
 * @param {number | null} chosen
 */
function profileButtons(survey, block, chosen) {
  const { low, high } = spanOf(block);
  const scale = (/** @type {(number | null)[]} */ values) =>
    values.map((value, frame) => ({
      x: block.profile.length > 1 ? (PROFILE_WIDTH * frame) / (block.profile.length - 1) : PROFILE_WIDTH / 2,
      y: value === null ? null : PROFILE_HEIGHT * (1 - (value - low) / (high - low || 1)),
    }));
  return survey.classes.map((label, kind) => {
    const own = block.profiles[kind];
    const margin = block.margins[kind];
    const edge = (/** @type {number} */ side) =>
      scale(own.map((value, t) => (value === null ? null : value + side * (margin[t] ?? 0))));
    const band = [...edge(1), ...edge(-1).reverse()].filter(({ y }) => y !== null);
    const picture = make(
      "svg:svg",
      { viewBox: `0 0 ${PROFILE_WIDTH} ${PROFILE_HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      make("svg:polygon", { class: "band", points: band.map(({ x, y }) => `${x},${y}`).join(" ") }),
      make("svg:polyline", { class: "all", points: line(scale(block.profile)) }),
      make("svg:polyline", { class: "own", points: line(scale(own)) }),
    );
    const range = `${minus(Math.min(...known(own)), 2)} – ${minus(Math.max(...known(own)), 2)}`;
    return make(
      "button",
      { type: "button", class: "profile", "data-profile": kind, "aria-pressed": String(kind === chosen) },
      make("b", {}, label),
      picture,
      make("small", {}, known(own).length ? range : ""),
    );
  });
}

/** @param {(number | null)[]} values */
const known = (values) => values.filter((value) => value !== null);

/** @param {{ x: number, y: number | null }[]} places */
const line = (places) =>
  places
    .filter(({ y }) => y !== null)
    .map(({ x, y }) => `${x},${y}`)
    .join(" ");

/**
 * The lowest and the highest value that is drawn of a block: the same axis for all classes.
 *
 * @param {SurveyBlock} block
 */
function spanOf(block) {
  const ends = block.profiles.flatMap((row, kind) =>
    row.flatMap((value, t) => (value === null ? [] : [-1, 1].map((side) => value + side * (block.margins[kind][t] ?? 0)))),
  );
  const values = [...ends, ...known(block.profile)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = Math.max(0.01, 0.05 * (high - low));
  return values.length ? { low: low - margin, high: high + margin } : { low: 0, high: 1 };
}
