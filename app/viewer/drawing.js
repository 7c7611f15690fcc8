// @ts-check
// Draws the state: each part only when what it depends on has changed.

/** @param {number} value */
const decimals = (value) => value.toFixed(3);

/** @param {Viewer} viewer */
function render(viewer) {
  const { state, view, answers, lead } = viewer;
  const hasGates = lead.blocks.length > 0;
  const limits = hasGates ? answers.map((answer) => viewer.colorsOf(answer).limits) : [];
  const scale = [state.scale, viewer.isDifference, viewer.isWaiting, isDark(), limits];
  const look = [view.block, view.gate, view.channel, scale, state.colours, state.opacity, state.cells];
  syncInputs(viewer);
  once(viewer, "frames", [look, state.frame], () => drawFrames(viewer));
  once(viewer, "film", look, () => drawFilm(viewer));
  once(viewer, "chosen", [state.frame], () => markFrame(viewer));
  if (hasGates) {
    const bars = [state.block, state.gate, view.channel, state.channel, state.sorted, state.colours, scale];
    const ladder = [view.gate, view.channel, scale, state.colours, state.frame, state.cells];
    once(viewer, "gates", [state.block, state.gate], () => drawGates(viewer));
    once(viewer, "can", [state.block, view.gate, view.channel], () => drawWords(viewer));
    once(viewer, "sentence", [view.block, view.gate, view.channel, scale], () => drawSentence(viewer));
    once(viewer, "legend", [state.colours, view.channel, scale], () => drawLegend(viewer));
    once(viewer, "ladder", ladder, () => drawLadder(viewer));
    once(viewer, "rung", [state.block], () => markBlock(viewer));
    once(viewer, "bars", bars, () => drawChannels(viewer));
    if (viewer.part("table").open) once(viewer, "table", [look, state.frame], () => drawTable(viewer));
  }
  viewer.root.dataset.state = JSON.stringify(state);
}

/**
 * Draws a part unless it was drawn for the same key.
 *
 * @param {Viewer} viewer
 * @param {string} part
 * @param {any} key
 * @param {() => void} draw
 */
function once(viewer, part, key, draw) {
  const text = JSON.stringify(key);
  if (viewer.drawn[part] === text) return;
  viewer.drawn[part] = text;
  draw();
}

/** @param {Viewer} viewer */
function syncInputs(viewer) {
  const { state, root, answers } = viewer;
  for (const node of /** @type {NodeListOf<HTMLInputElement>} */ (root.querySelectorAll("[data-state]"))) {
    const value = /** @type {any} */ (state)[node.dataset.state ?? ""];
    if (node.type === "checkbox") node.checked = value;
    else node.value = value;
  }
  viewer.input("colours").disabled = viewer.isDifference; // a difference has its own
  const times = answers.map((answer) => `${answer.times[viewer.frameOf(answer)].toFixed(2)} s`);
  const differ = new Set(times).size > 1;
  viewer.part("time").textContent = differ ? times.map((time, side) => `${"AB"[side]} ${time}`).join(" · ") : times[0];
  viewer.input("frame").setAttribute("aria-valuetext", `frame ${state.frame + 1}, ${times[0]}`);
  const play = viewer.button("play");
  play.classList.toggle("playing", state.playing);
  play.setAttribute("aria-label", state.playing ? "Pause" : "Play");
  viewer.part("unpin").hidden = state.channel === null;
}

/** @param {Viewer} viewer */
function drawFrames(viewer) {
  const { root, state, view } = viewer;
  for (const canvas of /** @type {NodeListOf<HTMLCanvasElement>} */ (root.querySelectorAll("canvas.frame"))) {
    const answer = viewer.answers[Number(canvas.dataset.side)];
    const frame = viewer.frameOf(answer);
    const block = answer.blocks.length ? blockOf(answer, view.block).name : view.block;
    const note = block === view.block ? "" : `(at ${block}: it has no ${view.block})`;
    /** @type {any} */ (root.querySelector(`[data-other="${canvas.dataset.side}"]`)).textContent = note;
    const { limits, table } = viewer.colorsOf(answer);
    drawFrame(canvas, answer, frame, viewer.mapOn(answer), table, limits, state);
    canvas.setAttribute("aria-label", describe(viewer, answer, frame));
  }
  viewer.updateReadout?.();
}

/**
 * A frame and its map in words.
 *
 * @param {Viewer} viewer
 * @param {Answer} answer
 * @param {number} frame
 */
function describe(viewer, answer, frame) {
  const when = `Frame ${frame + 1} of ${answer.times.length}, ${answer.times[frame].toFixed(2)} s`;
  const map = viewer.mapOn(answer);
  if (viewer.isWaiting) return when;
  if (!map) return `${when}, without gates`;
  const mean = profileOf(map, answer.times.length)[frame];
  const what = viewer.isDifference ? "its mean difference from usual" : "its mean";
  return `${when}, under the gate of ${blockOf(answer, viewer.view.block).name}; ${what} here is ${number(viewer, mean)}`;
}

/**
 * A difference with its sign.
 *
 * @param {number} value
 * @param {number} digits
 */
function signed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : (value < 0 ? "−" : "+") + text;
}

/**
 * A value that is drawn: of a gate, or of a difference with its sign.
 *
 * @param {Viewer} viewer
 * @param {number} value
 */
function number(viewer, value) {
  if (!viewer.isDifference) return decimals(value);
  return signed(value, Math.max(3, digitsOf(viewer.colorsOf(viewer.lead).limits[1])));
}

/** @param {Viewer} viewer */
function drawFilm(viewer) {
  for (const button of /** @type {NodeListOf<any>} */ (viewer.root.querySelectorAll(".film button"))) {
    const frame = Number(button.dataset.frame);
    const answer = viewer.answers[button.dataset.side];
    const time = answer.times[frame].toFixed(2);
    const map = viewer.mapOn(answer);
    const mean = map ? profileOf(map, answer.times.length)[frame] : 0;
    const { limits, table } = viewer.colorsOf(answer);
    const { block, gate, channel } = viewer.view;
    const ends = map && viewer.isDifference ? profileLimits(answer, block, gate, channel) : limits;
    const [from, to] = barEnds(mean, ends, viewer.isDifference ? 0 : ends[0]);
    drawFrame(button.querySelector("canvas"), answer, frame, map, table, limits, viewer.state);
    const bar = button.querySelector("i").style;
    bar.bottom = `${(100 * from).toFixed(1)}%`;
    bar.height = map ? `${(100 * (to - from)).toFixed(1)}%` : "0";
    bar.background = map && viewer.isDifference ? css(table, (mean - ends[0]) / (ends[1] - ends[0])) : "";
    button.querySelector(".mean").hidden = !map;
    button.querySelector("small").textContent = `${time} s`;
    button.setAttribute("aria-label", `Frame ${frame + 1}, ${time} s${map ? `, mean ${number(viewer, mean)}` : ""}`);
  }
}

/**
 * Where a bar of a value begins and ends, as shares of the height that the limits span.
 *
 * @param {number} value
 * @param {number[]} limits
 * @param {number} origin
 */
function barEnds(value, [low, high], origin) {
  const place = (/** @type {number} */ at) => Math.min(Math.max((at - low) / Math.max(high - low, 1e-9), 0), 1);
  return [place(Math.min(value, origin)), place(Math.max(value, origin))];
}

/** @param {Viewer} viewer */
function markFrame(viewer) {
  for (const button of /** @type {NodeListOf<any>} */ (viewer.root.querySelectorAll(".film button"))) {
    const { frame, side } = button.dataset;
    const isCurrent = Number(frame) === viewer.frameOf(viewer.answers[side]);
    button.setAttribute("aria-current", isCurrent);
    if (isCurrent) keepInSight(button, button.parentElement);
  }
}

/**
 * Scrolls a row, and nothing but the row, until it shows one of its elements.
 *
 * @param {HTMLElement} element
 * @param {HTMLElement} row
 */
function keepInSight(element, row) {
  const [inner, outer] = [element.getBoundingClientRect(), row.getBoundingClientRect()];
  if (inner.left < outer.left) row.scrollLeft -= outer.left - inner.left;
  if (inner.right > outer.right) row.scrollLeft += inner.right - outer.right;
}

/** @param {Viewer} viewer */
function markBlock(viewer) {
  const { block, lead } = viewer;
  for (const rung of viewer.part("ladder").children) {
    const isChosen = rung.dataset.block === viewer.state.block;
    rung.setAttribute("aria-checked", isChosen);
    rung.tabIndex = isChosen ? 0 : -1;
    if (isChosen) keepInSight(rung, rung.parentElement);
  }
  const [, , rows, columns] = block.shape;
  const place = `${lead.blocks.indexOf(block) + 1} of ${lead.blocks.length} (${block.name})`;
  viewer.part("blocks-note").textContent = `block ${place}, ${rows}×${columns} cells${channelCount(block)}`;
}

/** @param {Viewer} viewer */
function drawGates(viewer) {
  const parent = viewer.part("gates");
  const hadFocus = parent.contains(document.activeElement);
  const buttons = gatesOf(viewer.block).map((gate) => {
    const isChosen = gate === viewer.state.gate;
    const role = { role: "radio", "aria-checked": String(isChosen), tabindex: isChosen ? 0 : -1 };
    const attributes = { type: "button", ...role, "data-gate": gate, title: gateSentence(viewer, gate) };
    return make("button", attributes, viewer.words.gates[gate] ?? gate);
  });
  parent.replaceChildren(...buttons);
  if (hadFocus) buttons.find((button) => button.tabIndex === 0).focus();
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
    const ends = answers.filter(({ blocks }) => blocks.length).map((answer) => viewer.colorsOf(answer).limits[1]);
    const gated = ends.map((end) => end.toFixed(digitsOf(end)));
    const differ = new Set(gated).size > 1; // two models
    viewer.part("low").textContent = `${words.less} −${differ ? gated.join(" (A), −") + " (B)" : gated[0]}`;
    viewer.part("high").textContent = `+${differ ? gated.join(" (A), +") + " (B)" : gated[0]} ${words.more}`;
    const kinds = answers.flatMap(({ reference }) => (reference ? [`${reference.clips} ${reference.kind}`] : []));
    viewer.part("note").textContent = words.scales.typical.replace("{clips}", [...new Set(kinds)].join(" (A), ") + (new Set(kinds).size > 1 ? " (B)" : ""));
  } else if (viewer.isWaiting) {
    for (const name of ["low", "high"]) viewer.part(name).textContent = "";
    viewer.part("note").textContent = words.waiting_typical;
  } else {
    const isAbsolute = state.scale === "absolute" || state.scale === "typical";
    viewer.part("low").textContent = isAbsolute ? words.low : decimals(low);
    viewer.part("high").textContent = isAbsolute ? words.high : decimals(high);
    viewer.part("note").textContent = state.scale === "typical" ? words.no_typical : high - low < words.flat ? words.flat_note : words.scales[state.scale];
  }
  viewer.part("legend").setAttribute("aria-label", `Colors from ${number(viewer, low)} to ${number(viewer, high)}`);
}

/** @param {Viewer} viewer */
function drawLadder(viewer) {
  const { lead, view, state } = viewer;
  if (viewer.isWaiting) return;
  for (const rung of viewer.part("ladder").children) {
    const canvas = rung.querySelector("canvas");
    const { block } = rung.dataset;
    const map = viewer.isDifference
      ? differenceOf(lead, block, view.gate, channelIn(lead, block, view))
      : mapOf(lead, block, view.gate, view.channel);
    const { limits, table } = viewer.colorsOf(lead, block);
    const picture = paint(map, viewer.frameOf(lead), canvas.width, canvas.height, table, limits, state.cells, 1);
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }
}

/**
 * The view's channel, or null for the mean over channels where that channel's usual map is unknown.
 *
 * @param {Answer} answer
 * @param {string} block
 * @param {ViewerState} view
 */
const channelIn = (answer, block, { gate, channel }) => (hasTypical(answer, block, gate, channel) ? channel : null);

/**
 * The numbers of the view as tables.
 *
 * @param {Viewer} viewer
 */
function drawTable(viewer) {
  const line = (/** @type {string} */ name, /** @type {string[]} */ values) =>
    make("tr", {}, make("th", {}, name), ...values.map((value) => make("td", {}, value)));
  const row = (/** @type {string} */ name, /** @type {number[]} */ values) => line(name, values.map((value) => number(viewer, value)));
  const tables = viewer.answers.flatMap((answer, side) => {
    const map = viewer.mapOn(answer);
    if (!map) return [];
    const frame = viewer.frameOf(answer);
    const [, height, width] = map.shape;
    const rows = Array.from({ length: height }, (_, y) =>
      row(`row ${y + 1}`, Array.from({ length: width }, (_, x) => at(map, frame, y, x))),
    );
    const columns = Array.from({ length: width }, (_, x) => make("th", {}, `column ${x + 1}`));
    const frames = profileOf(map, answer.times.length).map((mean, t) => row(`${answer.times[t].toFixed(2)} s`, [mean]));
    const bars = channelBars(viewer, answer);
    const mean = (/** @type {number} */ value) => (bars.isDifference ? number(viewer, value) : decimals(value));
    const channels = bars.values.map((value, channel) => line(`channel ${channel}`, [mean(value)]));
    const title = sideName(viewer, side, "Side ", ". ") + describe(viewer, answer, frame);
    return [
      make("table", {}, make("caption", {}, title), make("tr", {}, make("th"), ...columns), ...rows),
      make("table", {}, make("caption", {}, "Mean of every frame"), ...frames),
      make("table", {}, make("caption", {}, "Mean of every channel"), ...channels),
    ];
  });
  viewer.part("cells").replaceChildren(...tables);
}
