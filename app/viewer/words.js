// @ts-check
// What the viewer says in sentences: what the gates are, and what is special about the shown one.

const SMALL = 0.05; // a gate that differs less from usual on most clips lets nearly the same through of all

/**
 * What a gate is.
 *
 * @param {Viewer} viewer
 * @param {string} gate
 * @returns {string}
 */
function gateSentence({ words, lead }, gate) {
  if (gate === "combined") return words.combined[lead.attention] ?? words.combined.any;
  const axis = lead.units[gate];
  return words.units_of[lead.attention]?.[axis] ?? words.units[axis];
}

/** @param {Viewer} viewer */
function drawWords(viewer) {
  const { words, lead } = viewer;
  const { gate, channel, block } = viewer.view;
  const missing = missingChannels(viewer, blockOf(lead, block), gate);
  const channelNote = channel === null ? "" : words.channel.replace("{channel}", String(channel));
  const note = missing === words.coming && channel === null ? "" : missing || channelNote; // they arrive before a visitor asks
  viewer.part("can").replaceChildren(...gatesOf(viewer.block).map((name) => make("p", {}, gateSentence(viewer, name))));
  viewer.part("shown").textContent = note;
  viewer.part("shown").hidden = !note;
}

/**
 * What is special about the shown gate on this clip, in a sentence.
 *
 * @param {Viewer} viewer
 */
function drawSentence(viewer) {
  const { lead, words } = viewer;
  const map = viewer.mapOn(lead);
  viewer.part("sentence").textContent = "";
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
  const [low, high] = viewer.colorsOf(lead).limits;
  const digits = digitsOf(viewer.isDifference ? high : high - low);
  const filled = {
    block: `Block ${blocks.indexOf(own) + 1} of ${blocks.length}`,
    where: whereIs((Math.floor((place % size) / columns) + 0.5) / rows, ((place % columns) + 0.5) / columns, rows, columns),
    when: frames > 1 ? ` at ${lead.times[Math.floor(place / size)].toFixed(1)} s` : " in every frame",
    value: value.toFixed(digits),
    usual: (value - data[place]).toFixed(digits),
    limit: high.toFixed(digits),
  };
  const isFlat = viewer.isDifference ? Math.abs(data[place]) < 0.1 * (high - low) : false;
  const { usual, more, less, open, small } = words.sentences;
  const sentence = !viewer.isDifference ? open : isFlat ? usual : data[place] > 0 ? more : less;
  const isSmall = viewer.isDifference && high < SMALL;
  viewer.part("sentence").textContent = (isSmall ? `${sentence} ${small}` : sentence).replace(/\{(\w+)\}/g, (/** @type {string} */ _, /** @type {string} */ name) => /** @type {any} */ (filled)[name]);
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

/**
 * The value at a place of the picture, in words; x and y are fractions of its size.
 *
 * @param {Viewer} viewer
 * @param {Answer} answer
 * @param {number} x
 * @param {number} y
 */
function readout(viewer, answer, x, y) {
  const [left, top, right, bottom] = answer.seen_box;
  const [across, down] = [(x - left) / (right - left), (y - top) / (bottom - top)];
  const map = viewer.mapOn(answer);
  if (viewer.isWaiting) return viewer.words.waiting_typical;
  if (!map || across < 0 || across >= 1 || down < 0 || down >= 1) return viewer.words.unseen;
  const frame = viewer.frameOf(answer);
  const [frames, rows, columns] = map.shape;
  const [row, column] = [Math.floor(down * rows), Math.floor(across * columns)];
  const cell = [rows > 1 ? `row ${row + 1}` : "all rows", columns > 1 ? `column ${column + 1}` : "all columns"];
  const when = frames > 1 ? `${answer.times[frame].toFixed(2)} s` : "all frames";
  const block = blockOf(answer, viewer.view.block).name;
  const value = at(map, frame, row, column);
  const { gate, channel } = viewer.view;
  const own = at(mapOf(answer, block, gate, channel), frame, row, column);
  const digits = digitsOf(viewer.colorsOf(answer).limits[1]);
  const text = viewer.isDifference ? `${own.toFixed(digits)}, usually ${(own - value).toFixed(digits)}` : decimals(value);
  return `${text} at ${block}, ${cell.join(", ")}, ${when}`;
}
