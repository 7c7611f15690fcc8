// @ts-check
// The page around the stage: its words and its controls. Only another block or unit is asked of the server.
const FRAME_MS = 450;
/**
 * @param {string} selector
 * @returns {any}
 */
const find = (selector) => element.querySelector(selector);
/**
 * @param {string} selector
 * @returns {any[]}
 */
const all = (selector) => [...element.querySelectorAll(selector)];
const NOTICE = find("[data-notice] p").textContent;
let step = 1;
/** @type {number | undefined} */
let playTimer = undefined;
let latestLoad = 0;

// ---- the words

/**
 * The words that depend on the lesson and the cell, by their name in learn.html.
 *
 * @returns {Record<string, any>}
 */
function fills() {
  return { ...lessonWords(), ...cellWords(), ...convolutionWords(), ...effectWords() };
}

function lessonWords() {
  const { axis, isOuter, seesX, feature } = lesson;
  const [first, second] = view.modules.map(({ title }) => title);
  return {
    network: view.network,
    thin: feature.stride,
    block: view.block,
    unit: view.unit,
    axis,
    ...Object.fromEntries(AXES.map((name) => [name, size(name)])),
    "x-count": count(view.shape),
    "x-shape": shape(view.shape),
    "gate-count": count(gateSizes(axis)),
    "gate-shape": shape(gateSizes(axis)),
    "T-shape": shape(gateSizes("T")),
    "pooled-length": size(axis),
    "pooled-shape": shape([...view.axes].map(size)),
    "axes-words": [...view.axes].map((name) => ({ T: "time", C: "channels", H: "rows", W: "columns" })[name]).join(", "),
    v: seesX ? "X" : "V",
    y: isOuter ? "Y" : "V",
    first,
    second: second ?? "",
  };
}

function cellWords() {
  const { axis, module, used } = lesson;
  const neighbor = (/** @type {number} */ channel) => (channel >= 0 && channel < size("C") ? channel : "none");
  const units = ["T", "H", "W"].map((name) => [`gate-${name}`, module.units[name] ? number(module.units[name].at(cell)) : ""]);
  return {
    max: number(lesson.max.at(cell)),
    mean: number(lesson.mean.at(cell)),
    channel: cell.C,
    before: neighbor(cell.C - 1),
    after: neighbor(cell.C + 1),
    gate: number(module.units[axis].at(cell)),
    x: number(module.x.at(cell)),
    applied: number(used.tensor.at(cell)),
    product: number(lesson.product.at(cell)),
    ...Object.fromEntries(units),
    "nest-x": number(module.x.at(cell)),
    "nest-gate": number(module.outer.tensor.at(cell)),
    "nest-out": number(module.y.at(cell)),
    "frame-of": `${cell.T + 1} of ${size("T")} · ${view.times[cell.T].toFixed(2)} s`,
  };
}

function convolutionWords() {
  const terms = products();
  const part = (/** @type {number} */ map) =>
    terms.filter((term) => term.map === map).reduce((sum, { value, weight }) => sum + value * weight, 0);
  const response = lesson.response.at(cell);
  const { norm } = view;
  return {
    "max-part": number(part(0)),
    "mean-part": plus(part(1)),
    equals: view.bits === 16 ? "=" : "≈",
    outside: terms.filter(({ outside }) => outside).length,
    response: number(response),
    weight: number(norm.weight),
    "less-mean": plus(-norm.mean),
    "plus-bias": plus(norm.bias),
    deviation: number(Math.sqrt(norm.var + norm.eps)),
    normalised: number(normalized(response)),
    sigmoid: number(sigmoid(normalized(response))),
  };
}

function effectWords() {
  const [score] = view.scores;
  const modes = ["trained", "mean", "identity"].flatMap((mode) => [
    [`ratio-${mode}`, number(ratio(mode))],
    [`p-${mode}`, percent(score[mode])],
  ]);
  return { ...Object.fromEntries(modes), louder: number(view.sizes.identity / view.sizes.trained), label: score.label };
}

/** Shows the passages that hold for this unit and module, and hides the others. */
function showPassages() {
  const { outer, inner, averaged } = lesson.module;
  const nesting = inner ? `${inner.axes.join("")} in ${outer.axes.join("")}` : outer.axes.join("");
  /** @type {Record<string, (value: string) => boolean>} */
  const rules = {
    unit: (value) => value.includes(lesson.axis),
    nesting: (value) => value === nesting,
    averaged: () => averaged,
    combination: (value) => value === view.combination,
    looks: () => !lesson.seesX,
    product: () => !lesson.isOuter,
    mean: () => view.channel_mean,
    sum: (value) => (value === "shown") === (lesson.max.stride === 1),
    thin: () => lesson.feature.stride > 1,
  };
  for (const [name, rule] of Object.entries(rules)) {
    for (const passage of all(`[data-if-${name}]`)) {
      passage.toggleAttribute("hidden", !rule(passage.getAttribute(`data-if-${name}`))); // formulas have no `hidden`
    }
  }
}

// ---- moving about

function update() {
  followers.forEach((follow) => follow());
  const words = fills();
  all("[data-fill]").forEach((node) => {
    const word = String(words[node.dataset.fill]);
    if (node.textContent !== word) node.textContent = word;
  });
  find("[data-choose=frame]").value = cell.T;
  find("[data-choose=channel]").value = cell.C;
}

/** @param {Partial<Cell>} to */
function move(to) {
  if (AXES.every((axis) => to[axis] === undefined || to[axis] === cell[axis])) return;
  Object.assign(cell, to);
  update();
}

/** @param {number} next */
function show(next) {
  step = next;
  followers = [];
  find("[data-stage]").replaceChildren(...STAGES[step]());
  const tabs = all("[role=tab]");
  tabs.forEach((tab, i) => {
    tab.setAttribute("aria-selected", i + 1 === step);
    tab.tabIndex = i + 1 === step ? 0 : -1;
  });
  find("#learn-panel").setAttribute("aria-labelledby", tabs[step - 1].id);
  all("article").forEach((article) => article.toggleAttribute("hidden", Number(article.dataset.step) !== step));
  all("[data-look]").forEach((node) => node.toggleAttribute("hidden", step === 7));
  all("[data-turn]").forEach((button) => {
    const to = step + Number(button.dataset.turn);
    button.hidden = to < 1 || to > 7;
    const name = button.hidden ? "" : `${to} ${tabs[to - 1].lastChild.textContent}`;
    button.textContent = to < step ? `← ${name}` : `${name} →`;
  });
  if (step === 7) play(false);
  update();
}

/** Moves to the next frame; stops where another tab is open. */
function turnFrame() {
  if (find("[data-stage]").offsetParent) move({ T: (cell.T + 1) % size("T") });
  else play(false);
}

/** @param {boolean} on */
function play(on) {
  clearInterval(playTimer);
  playTimer = on ? setInterval(turnFrame, FRAME_MS) : undefined;
  find("[data-play]").setAttribute("aria-label", on ? "Pause" : "Play the frames");
  find("[data-play]").classList.toggle("on", on);
}

/** Marks the place where the strongest channel changes most between frames, not at the border of a large picture. */
function markMostDynamic() {
  const border = Math.min(size("H"), size("W")) > 4 ? 1 : 0;
  /** @type {Map<number, { low: number, high: number, where: Cell }>} */
  const spans = new Map();
  for (const where of everywhere(lesson.feature, view.channels[0], border)) {
    const value = lesson.feature.at(where);
    const key = where.H * size("W") + where.W;
    const span = spans.get(key) ?? { low: value, high: -Infinity, where };
    span.low = Math.min(span.low, value);
    if (value > span.high) Object.assign(span, { high: value, where });
    spans.set(key, span);
  }
  const [widest] = [...spans.values()].sort((a, b) => b.high - b.low - (a.high - a.low));
  Object.assign(cell, widest.where);
  const frame = viewerOfPage()?.state.frame;
  if (frame < size("T")) cell.T = frame; // the frame that the visitor looked at
}

function updateControls() {
  const options = (/** @type {[any, string][]} */ list) => list.map(([value, text]) => make("option", { value }, text));
  find("[data-choose=block]").replaceChildren(
    ...options(view.blocks.map(([name, h, w]) => [name, `${name} · ${h} × ${w}`])),
  );
  find("[data-choose=block]").value = view.block;
  find("[data-choose=channel]").replaceChildren(...options(view.channels.map((c, i) => [c, `${c} · ${RANKS[i]} by mean of X`])));
  const units = all("[name=learn-unit]").map((input) => input.value);
  if (units.join() !== view.units.join()) {
    // unchanged ones stay, and keep the focus
    find("[data-choose=unit]").replaceChildren(
      ...view.units.map((unit) =>
        make("label", {}, make("input", { type: "radio", name: "learn-unit", value: unit }), make("span", {}, unit)),
      ),
    );
  }
  find(`[name=learn-unit][value="${view.unit}"]`).checked = true;
  find("[data-choose=frame]").max = size("T") - 1;
}

async function load() {
  const turn = ++latestLoad;
  /** @type {View} */
  const next = props.value ? JSON.parse(props.value) : { notice: NOTICE };
  const opened = next.notice ? null : await openLesson(next);
  if (turn !== latestLoad) return; // a later value was opened sooner
  find("[data-notice] p").textContent = next.notice ?? "";
  find("[data-notice]").hidden = opened !== null;
  find("[data-lesson]").hidden = opened === null;
  if (!opened) return play(false);
  const place = (/** @type {View | null} */ shown) => JSON.stringify([shown?.block, shown?.shape, shown?.channels]);
  const isSamePlace = place(view) === place(next);
  view = next;
  lesson = opened;
  if (!isSamePlace) markMostDynamic();
  updateControls();
  showPassages();
  show(step);
}

all("[role=tab]").forEach((tab, i) => {
  tab.addEventListener("click", () => show(i + 1));
  tab.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    /** @type {Record<string, number>} */
    const targets = { ArrowLeft: i, ArrowRight: i + 2, Home: 1, End: 7 };
    const to = targets[event.key] ?? 0;
    if (to < 1 || to > 7) return;
    event.preventDefault();
    show(to);
    all("[role=tab]")[to - 1].focus();
  });
});
all("[data-turn]").forEach((button) =>
  button.addEventListener("click", () => {
    show(step + Number(button.dataset.turn));
    find(".steps").scrollIntoView({ block: "nearest" });
    if (button.hidden) find("#learn-panel").focus();
  }),
);
find("[data-play]").addEventListener("click", () => play(playTimer === undefined));
find("[data-choose=frame]").addEventListener("input", (/** @type {any} */ event) => move({ T: Number(event.target.value) }));
find("[data-choose=channel]").addEventListener("change", (/** @type {any} */ event) => move({ C: Number(event.target.value) }));
find(".look").addEventListener("change", () => {
  const block = find("[data-choose=block]").value;
  const unit = find("[name=learn-unit]:checked").value;
  if (block !== view.block) viewerOfPage()?.set({ block });
  if (block !== view.block || unit !== view.unit) trigger("select", { block, unit });
});
find(".learn").addEventListener("refused", updateControls);
watch("value", load);
load();
