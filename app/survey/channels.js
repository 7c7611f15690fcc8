// @ts-check
// Class by channel: the mean gate of the channels that tell the classes apart best, less the mean of the classes.

const NARROW = "(max-width: 639px), (min-width: 1000px) and (max-width: 1279px)"; // one column, or two narrow ones
const PAGE_OF_CHANNELS = { narrow: 6, wide: 12 };

/** @param {(number | null)[]} values */
function meanOf(values) {
  const known = values.filter((value) => value !== null);
  return known.reduce((sum, value) => sum + value, 0) / (known.length || 1);
}

/**
 * The difference of a channel's gate in one class from the mean of the classes.
 *
 * @param {Channel} channel
 * @param {number} kind
 */
const differenceIn = (channel, kind) => {
  const own = channel.means[kind];
  return own === null ? null : own - meanOf(channel.means);
};

/**
 * Head and rows of the grid.
 *
 * @param {Survey} survey
 * @param {SurveyBlock} block
 * @param {{ channels: Channel[], kind: number | null, channel: number | null }} shown
 * @param {Uint8Array} table Color map of differences.
 * @param {Record<string, any>} words
 */
function channelGrid(survey, block, shown, table, words) {
  const all = block.channels.flatMap((channel) => channel.means.map((_, kind) => differenceIn(channel, kind) ?? 0));
  const limit = Math.max(0.01, ...all.map(Math.abs));
  const head = make(
    "tr",
    { role: "row" },
    make("th", { role: "columnheader" }, words.channel),
    ...shown.channels.map((channel) => {
      const passes = channel.q <= survey.level;
      const title = words.channel_head
        .replace("{channel}", String(channel.channel))
        .replace("{eta}", minus(channel.eta, 2))
        .replace("{chance}", minus(channel.chance, 2))
        .replace("{q}", channel.q < 0.001 ? "< 0.001" : minus(channel.q, 3));
      return make("th", { role: "columnheader", title, "aria-label": title }, `${channel.channel}${passes ? "*" : ""}`);
    }),
  );
  const rows = survey.classes.map((label, kind) =>
    make(
      "tr",
      { role: "row" },
      make("th", { role: "rowheader", title: label }, label),
      ...shown.channels.map((channel) => {
        const difference = differenceIn(channel, kind);
        const isChosen = kind === shown.kind && channel.channel === shown.channel;
        const attributes = {
          role: "gridcell",
          tabindex: "-1",
          "data-kind": kind,
          "data-channel": channel.channel,
          "aria-selected": String(isChosen),
          style: difference === null ? "" : colorsFor(difference / limit, table),
        };
        return make("td", attributes, difference === null ? "" : minus(difference, 2, true));
      }),
    ),
  );
  return { head, rows };
}

/**
 * The color of a difference from -1 to 1, and of the ink on it.
 *
 * @param {number} share
 * @param {Uint8Array} table
 */
function colorsFor(share, table) {
  const at = 3 * Math.round(255 * Math.min(Math.max((share + 1) / 2, 0), 1));
  const color = table.slice(at, at + 3);
  const [r, g, b] = Array.from(color, (level) => (level / 255) ** 2.2);
  const ink = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff"; // the one with more contrast
  return `background:rgb(${color.join(" ")});color:${ink}`;
}

/**
 * Arrow keys, Home and End move through the cells of a grid; only one cell is a tab stop.
 *
 * @param {HTMLElement} grid
 */
function walkGrid(grid) {
  const cells = () => /** @type {HTMLElement[][]} */ (
    [...grid.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("[role=gridcell]")])
  );
  grid.addEventListener("keydown", (event) => {
    const rows = cells();
    const y = rows.findIndex((row) => row.includes(/** @type {HTMLElement} */ (event.target)));
    if (y < 0) return;
    const x = rows[y].indexOf(/** @type {HTMLElement} */ (event.target));
    /** @type {Record<string, [number, number]>} */
    const moves = {
      ArrowUp: [y - 1, x],
      ArrowDown: [y + 1, x],
      ArrowLeft: [y, x - 1],
      ArrowRight: [y, x + 1],
      Home: [y, 0],
      End: [y, rows[y].length - 1],
    };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      rows[y][x].click();
    }
    const to = moves[event.key];
    if (!to) return;
    event.preventDefault();
    const cell = rows[to[0]]?.[to[1]];
    if (!cell) return;
    rows[y][x].tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus();
  });
}
