// @ts-check
// What the picture shows, in words: a sentence on the clip, and the legend of the colors.

/**
 * What is special about the shown gate on this clip, in a sentence.
 *
 * @param {Viewer} viewer
 */
function drawSentence(viewer) {
  const { lead, words } = viewer;
  const map = viewer.mapOn(lead);
  if (!map) return;
  const { block, gate, channel } = viewer.view;
  const [frames, rows, columns] = map.shape;
  const size = rows * columns;
  const { data } = map;
  let place = 0;
  for (let i = 1; i < data.length; i++) {
    if (viewer.isDifference ? Math.abs(data[i]) > Math.abs(data[place]) : data[i] > data[place]) place = i;
  }
  const value = at(mapOf(lead, block, gate, channel), Math.floor(place / size), Math.floor((place % size) / columns), place % columns);
  const { blocks } = lead;
  const own = blockOf(lead, block);
  const filled = {
    block: `Block ${blocks.indexOf(own) + 1} of ${blocks.length}`,
    where: whereIs((Math.floor((place % size) / columns) + 0.5) / rows, ((place % columns) + 0.5) / columns, rows, columns),
    when: frames > 1 ? ` at ${lead.times[Math.floor(place / size)].toFixed(1)} s` : " in every frame",
    value: value.toFixed(2),
    usual: (value - data[place]).toFixed(2),
  };
  const [low, high] = viewer.colorsOf(lead).limits;
  const isFlat = viewer.isDifference ? Math.abs(data[place]) < 0.1 * (high - low) : false;
  const { usual, more, less, open } = words.sentences;
  const sentence = !viewer.isDifference ? open : isFlat ? usual : data[place] > 0 ? more : less;
  viewer.part("sentence").textContent = sentence.replace(/\{(\w+)\}/g, (/** @type {string} */ _, /** @type {string} */ name) => /** @type {any} */ (filled)[name]);
}

/**
 * A place of a picture in words, such as "the lower left". y and x are shares of its height and width.
 *
 * @param {number} y
 * @param {number} x
 * @param {number} rows
 * @param {number} columns
 */
function whereIs(y, x, rows, columns) {
  const down = rows === 1 ? "" : y < 1 / 3 ? "upper" : y > 2 / 3 ? "lower" : "";
  const across = columns === 1 ? "" : x < 1 / 3 ? "left" : x > 2 / 3 ? "right" : "";
  if (!down && !across) return rows === 1 ? "the middle columns" : columns === 1 ? "the middle rows" : "the center";
  if (!across) return columns === 1 ? `the ${down} rows` : `the ${down} middle`;
  return down ? `the ${down} ${across}` : `the ${across}`;
}

/** @param {Viewer} viewer */
function drawLegend(viewer) {
  const { words, state, lead, answers } = viewer;
  const { limits, table } = viewer.colorsOf(lead);
  const [low, high] = limits;
  const picture = new ImageData(256, 1);
  new Uint32Array(picture.data.buffer).set(table32(table, 255));
  viewer.part("legend").getContext("2d").putImageData(picture, 0, 0);
  if (viewer.isDifference) {
    const gated = answers.filter(({ blocks }) => blocks.length).map((answer) => viewer.colorsOf(answer).limits[1].toFixed(2));
    const differ = new Set(gated).size > 1; // two models
    viewer.part("low").textContent = `${words.less} −${differ ? gated.join(" (A), −") + " (B)" : gated[0]}`;
    viewer.part("high").textContent = `+${differ ? gated.join(" (A), +") + " (B)" : gated[0]} ${words.more}`;
    const { clips, kind } = /** @type {ReferenceLink} */ (lead.reference);
    viewer.part("note").textContent = words.scales.typical.replace("{clips}", `${clips} ${kind}`);
  } else {
    const isAbsolute = state.scale === "absolute" || state.scale === "typical";
    viewer.part("low").textContent = isAbsolute ? words.low : decimals(low);
    viewer.part("high").textContent = isAbsolute ? words.high : decimals(high);
    const isUnknown = state.scale === "typical" && !viewer.isWaiting;
    viewer.part("note").textContent = isUnknown ? words.no_typical : high - low < words.flat ? words.flat_note : words.scales[state.scale === "typical" ? "absolute" : state.scale];
  }
  viewer.part("legend").setAttribute("aria-label", `Colours from ${decimals(low)} to ${decimals(high)}`);
}
