// @ts-check
// Draws an answer of Live with the viewer's functions: the map over the camera, the film with its profile, the channels.

/** @param {Live} live */
function drawLive(live) {
  const { answer } = live;
  if (!answer) return;
  const { view } = answer;
  const hasGates = view.blocks.length > 0;
  live.part("says").textContent = answer.says;
  live.part("percent").textContent = answer.percent;
  live.part("next").textContent = answer.next;
  live.part("bar").style.width = `${(100 * answer.probability).toFixed(1)}%`;
  live.root.classList.toggle("unsure", !answer.known);
  for (const name of ["legend", "channels", "blocks"]) live.part(name).hidden = !hasGates;
  live.part("gateless").hidden = hasGates;
  drawGroups(live);
  drawBlocks(live);
  const { limits, table } = liveColors(live);
  const map = !hasGates ? null : live.isDifference ? differenceOf(view, live.state.block, "combined", null) : mapOf(view, live.state.block, "combined", null);
  drawLiveMap(live, map, limits, table);
  drawLiveFilm(live, map, limits, table);
  if (!hasGates) return;
  drawLiveLegend(live, limits, table);
  const bars = channelBars(/** @type {any} */ (live), view);
  const order = bars.values.map((_, channel) => channel);
  drawBars(live.part("bars"), bars, order, null, getComputedStyle(live.root).color);
  const end = bars.limits[1].toFixed(digitsOf(bars.limits[1]));
  live.part("ends").textContent = `−${end} … +${end}`;
  live.part("ends").hidden = !bars.isDifference;
}

/**
 * How many windows are drawn in a second, in words; "" for the first one.
 *
 * @param {number[]} drawn When the latest ones were drawn, ms.
 * @param {string} words
 */
function rateOf(drawn, words) {
  const rate = (1000 * (drawn.length - 1)) / (drawn[drawn.length - 1] - drawn[0]);
  return drawn.length > 1 ? words.replace("{rate}", rate.toFixed(rate < 2 ? 1 : 0)) : "";
}

/**
 * Takes the latest answer from the screen.
 *
 * @param {Live} live
 */
function clearLive(live) {
  for (const name of ["says", "percent", "next", "rate"]) live.part(name).textContent = "";
  live.part("bar").style.width = "0";
  for (const name of ["legend", "channels", "blocks", "gateless"]) live.part(name).hidden = true;
  live.part("film").replaceChildren();
  drawLiveMap(live, null, [0, 1], live.tables.viridis);
  drawGroups(live);
}

/**
 * The values of the first and the last color, and the colors.
 *
 * @param {Live} live
 */
function liveColors(live) {
  if (!live.isDifference) return { limits: [0, 1], table: live.tables.viridis };
  const limit = differenceLimit(live.lead, live.state.block, "combined", null);
  return { limits: [-limit, limit], table: live.tables[isDark() ? DIFFERENCE_DARK : DIFFERENCE] };
}

/**
 * @param {Live} live
 * @param {GateMap | null} map
 * @param {number[]} limits
 * @param {Uint8Array} table
 */
function drawLiveMap(live, map, limits, table) {
  /** @type {HTMLCanvasElement} */
  const canvas = live.part("map");
  const { width, height } = live.camera.canvas;
  Object.assign(canvas, { width, height }); // this empties it
  if (map) drawMap(canvas, live.lead, live.lead.times.length - 1, map, table, limits, /** @type {any} */ (live.state));
}

/**
 * @param {Live} live
 * @param {GateMap | null} map
 * @param {number[]} limits
 * @param {Uint8Array} table
 */
function drawLiveFilm(live, map, limits, table) {
  const { view, places } = /** @type {LiveAnswer} */ (live.answer);
  const film = live.part("film");
  while (film.children.length > places.length) film.lastChild.remove();
  while (film.children.length < places.length) film.append(make("div", {}, make("canvas"), make("span", { class: "mean" }, make("i"))));
  const means = map ? profileOf(map, places.length) : [];
  const ends = live.isDifference ? profileLimits(view, live.state.block, "combined", null) : limits;
  places.forEach((place, t) => {
    const picture = live.frames.sent[live.frames.sent.length - place]?.picture;
    const [canvas, bar] = film.children[t].children;
    if (!picture) return;
    Object.assign(canvas, { width: picture.width, height: picture.height });
    drawFrame(canvas, /** @type {any} */ ({ pictures: { [t]: picture }, seen_box: view.seen_box }), t, map, table, limits, /** @type {any} */ (live.state));
    bar.hidden = !map;
    if (!map) return;
    const [from, to] = barEnds(means[t], ends, live.isDifference ? 0 : ends[0]);
    Object.assign(bar.firstChild.style, {
      bottom: `${(100 * from).toFixed(1)}%`,
      height: `${(100 * Math.max(to - from, 0.02)).toFixed(1)}%`,
      background: css(table, (means[t] - ends[0]) / (ends[1] - ends[0])),
    });
  });
}

/**
 * @param {Live} live
 * @param {number[]} limits
 * @param {Uint8Array} table
 */
function drawLiveLegend(live, limits, table) {
  const { words } = live;
  const end = limits[1].toFixed(digitsOf(limits[1]));
  const [low, high] = live.isDifference ? [`${words.less} −${end}`, `+${end} ${words.more}`] : [words.low, words.high];
  if (live.part("low").textContent === low && live.drawnTable === table) return;
  live.drawnTable = table;
  live.part("low").textContent = low;
  live.part("high").textContent = high;
  const picture = new ImageData(256, 1);
  new Uint32Array(picture.data.buffer).set(table32(table, 255));
  contextOf(live.part("colors")).putImageData(picture, 0, 0);
}

/**
 * What each group says; a press shows another one's gates.
 *
 * @param {Live} live
 */
function drawGroups(live) {
  const { answer, options, state } = live;
  const groups = live.part("groups");
  groups.hidden = state.model !== options.all;
  if (groups.hidden) return;
  for (const [task, [title, brief]] of Object.entries(options.groups)) {
    let card = groups.querySelector(`[data-task="${task}"]`);
    if (!card) groups.append((card = make("button", { type: "button", "data-task": task }, make("b", {}, title), make("span"), make("small"))));
    const own = answer && /** @type {[string, string, boolean]} */ ([answer.says, answer.percent, answer.known]);
    const [says, percent, known] = (task === state.task ? own : answer?.others[task]) ?? [brief, "", false];
    card.setAttribute("aria-pressed", String(task === state.task));
    card.classList.toggle("unsure", !known);
    card.children[1].textContent = says;
    card.children[2].textContent = percent;
  }
}

/**
 * The menu of blocks, which is new for another model.
 *
 * @param {Live} live
 */
function drawBlocks(live) {
  const { names } = live.lead;
  const select = live.input("block");
  if (select.dataset.names !== names.join()) {
    select.dataset.names = names.join();
    select.replaceChildren(...names.map((/** @type {string} */ name, /** @type {number} */ i) => new Option(`${i + 1} of ${names.length} (${name})`, name)));
  }
  select.value = live.state.block;
}
