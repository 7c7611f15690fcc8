// @ts-check
// Draws the state: each part only when what it depends on has changed.

/** @param {number} value */
const decimals = (value) => value.toFixed(3);

/** @param {Viewer} viewer */
function render(viewer) {
  const { state, view, answers, lead } = viewer;
  const hasGates = lead.blocks.length > 0;
  const table = viewer.tables[state.colours];
  const limits = hasGates ? limitsOf(answers, view) : [0, 1];
  const look = [view.block, view.gate, view.channel, limits, state.colours, state.opacity, state.cells];
  syncInputs(viewer);
  once(viewer, "frames", [look, state.frame], () => drawFrames(viewer, limits, table));
  once(viewer, "film", look, () => drawFilm(viewer, limits, table));
  once(viewer, "chosen", [state.frame], () => markFrame(viewer));
  if (hasGates) {
    const bars = [state.block, state.gate, view.channel, state.channel, state.sorted, state.colours];
    const ladder = [view.gate, view.channel, limits, state.colours, state.frame, state.cells];
    once(viewer, "gates", [state.block, state.gate], () => drawGates(viewer));
    once(viewer, "can", [state.block, view.gate, view.channel], () => drawWords(viewer));
    once(viewer, "legend", [limits, state.colours, state.scale], () => drawLegend(viewer, limits, table));
    once(viewer, "ladder", ladder, () => drawLadder(viewer, limits, table));
    once(viewer, "rung", [state.block], () => markBlock(viewer));
    once(viewer, "bars", bars, () => drawChannels(viewer, table));
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
  const times = answers.map((answer) => `${answer.times[viewer.frameOf(answer)].toFixed(2)} s`);
  const differ = new Set(times).size > 1;
  viewer.part("time").textContent = differ ? times.map((time, side) => `${"AB"[side]} ${time}`).join(" · ") : times[0];
  viewer.input("frame").setAttribute("aria-valuetext", `frame ${state.frame + 1}, ${times[0]}`);
  const play = viewer.button("play");
  play.classList.toggle("playing", state.playing);
  play.setAttribute("aria-label", state.playing ? "Pause" : "Play");
  viewer.part("unpin").hidden = state.channel === null;
}

/**
 * @param {Viewer} viewer
 * @param {number[]} limits
 * @param {Uint8Array} table
 */
function drawFrames(viewer, limits, table) {
  const { root, state, view } = viewer;
  for (const canvas of /** @type {NodeListOf<HTMLCanvasElement>} */ (root.querySelectorAll("canvas.frame"))) {
    const answer = viewer.answers[Number(canvas.dataset.side)];
    const frame = viewer.frameOf(answer);
    const block = answer.blocks.length ? blockOf(answer, view.block).name : view.block;
    const note = block === view.block ? "" : `(at ${block}: it has no ${view.block})`;
    /** @type {any} */ (root.querySelector(`[data-other="${canvas.dataset.side}"]`)).textContent = note;
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
  if (!map) return `${when}, without gates`;
  const mean = profileOf(map, answer.times.length)[frame];
  return `${when}, under the gate of ${blockOf(answer, viewer.view.block).name}; its mean here is ${decimals(mean)}`;
}

/**
 * @param {Viewer} viewer
 * @param {number[]} limits
 * @param {Uint8Array} table
 */
function drawFilm(viewer, limits, table) {
  for (const button of /** @type {NodeListOf<any>} */ (viewer.root.querySelectorAll(".film button"))) {
    const frame = Number(button.dataset.frame);
    const answer = viewer.answers[button.dataset.side];
    const time = answer.times[frame].toFixed(2);
    const map = viewer.mapOn(answer);
    const mean = map ? profileOf(map, answer.times.length)[frame] : 0;
    const height = Math.min(Math.max((mean - limits[0]) / Math.max(limits[1] - limits[0], 1e-9), 0), 1);
    drawFrame(button.querySelector("canvas"), answer, frame, map, table, limits, viewer.state);
    button.querySelector("i").style.height = map ? `${(100 * height).toFixed(1)}%` : 0;
    button.querySelector(".mean").hidden = !map;
    button.querySelector("small").textContent = `${time} s${map ? ` · ${mean.toFixed(2)}` : ""}`;
    button.setAttribute("aria-label", `Frame ${frame + 1}, ${time} s${map ? `, mean ${decimals(mean)}` : ""}`);
  }
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
  const [, channels, rows, columns] = block.shape;
  const place = `${lead.blocks.indexOf(block) + 1} of ${lead.blocks.length} (${block.name})`;
  viewer.part("blocks-note").textContent = `block ${place}, ${rows}×${columns} cells, ${channels} channels`;
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

/**
 * What a gate is.
 *
 * @param {Viewer} viewer
 * @param {string} gate
 * @returns {string}
 */
function gateSentence({ words, lead }, gate) {
  return (gate === "combined" ? words.combined[lead.attention] : words.units[lead.units[gate]]) ?? words.combined.any;
}

/** @param {Viewer} viewer */
function drawWords(viewer) {
  const { words, lead } = viewer;
  const { gate, channel, block } = viewer.view;
  const missing = missingChannels(viewer, blockOf(lead, block), gate);
  const channelNote = channel === null ? "" : words.channel.replace("{channel}", String(channel));
  const note = missing === words.coming && channel === null ? "" : missing || channelNote; // they come before a visitor asks
  viewer.part("can").replaceChildren(...gatesOf(viewer.block).map((name) => make("p", {}, gateSentence(viewer, name))));
  viewer.part("shown").textContent = note;
  viewer.part("shown").hidden = !note;
}

/**
 * @param {Viewer} viewer
 * @param {number[]} limits
 * @param {Uint8Array} table
 */
function drawLegend(viewer, [low, high], table) {
  const { words, state } = viewer;
  const picture = new ImageData(256, 1);
  new Uint32Array(picture.data.buffer).set(table32(table, 255));
  viewer.part("legend").getContext("2d").putImageData(picture, 0, 0);
  const absolute = state.scale === "absolute";
  viewer.part("low").textContent = absolute ? words.low : decimals(low);
  viewer.part("high").textContent = absolute ? words.high : decimals(high);
  viewer.part("note").textContent = high - low < words.flat ? words.flat_note : words.scales[state.scale];
  viewer.part("legend").setAttribute("aria-label", `Colours from ${decimals(low)} to ${decimals(high)}`);
}

/**
 * @param {Viewer} viewer
 * @param {number[]} limits
 * @param {Uint8Array} table
 */
function drawLadder(viewer, limits, table) {
  const { lead, view, state } = viewer;
  for (const rung of viewer.part("ladder").children) {
    const canvas = rung.querySelector("canvas");
    const map = mapOf(lead, rung.dataset.block, view.gate, view.channel);
    const picture = paint(map, viewer.frameOf(lead), canvas.width, canvas.height, table, limits, state.cells, 1);
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }
}

/**
 * The numbers of the view as tables.
 *
 * @param {Viewer} viewer
 */
function drawTable(viewer) {
  const { block, gate } = viewer.state;
  const row = (/** @type {string} */ name, /** @type {number[]} */ values) =>
    make("tr", {}, make("th", {}, name), ...values.map((value) => make("td", {}, decimals(value))));
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
    const channels = channelMeans(answer, block, gate).map((mean, channel) => row(`channel ${channel}`, [mean]));
    const title = sideName(viewer, side, "Side ", ". ") + describe(viewer, answer, frame);
    return [
      make("table", {}, make("caption", {}, title), make("tr", {}, make("th"), ...columns), ...rows),
      make("table", {}, make("caption", {}, "Mean of every frame"), ...frames),
      make("table", {}, make("caption", {}, "Mean of every channel"), ...channels),
    ];
  });
  viewer.part("cells").replaceChildren(...tables);
}
