// The page around the stage: the words beside it, the controls, and what follows when they are used. The server is
// asked for nothing but another block or unit.
const FRAME_MS = 450;
const find = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const NOTICE = find("[data-notice] p").textContent;
let step = 1;
let playing = null;

// ---- the words

function fills() {
  const { axis, module, used } = net;
  const found = products();
  const part = (map) => found.filter((one) => one.map === map).reduce((sum, one) => sum + one.value * one.weight, 0);
  const response = net.response.at(cell);
  const near = (c) => (c >= 0 && c < size("C") ? c : "none");
  const [score, norm] = [view.scores[0], view.norm];
  const names = view.modules.map((kind) => MODULES[kind]);
  return {
    network: view.network,
    thin: net.feature.step,
    block: view.block,
    unit: view.unit,
    axis,
    ...Object.fromEntries(AXES.map((one) => [one, size(one)])),
    "x-count": count(view.shape),
    "x-shape": shape(view.shape),
    "gate-count": count(gateSizes(axis)),
    "gate-shape": shape(gateSizes(axis)),
    "T-shape": shape(gateSizes("T")),
    "pooled-length": size(axis),
    "pooled-shape": shape([...view.axes].map(size)),
    "axes-words": [...view.axes].map((one) => ({ T: "time", C: "channels", H: "rows", W: "columns" })[one]).join(", "),
    v: looksAtX() ? "X" : "V",
    y: net.last ? "Y" : "V",
    max: number(net.max.at(cell)),
    mean: number(net.mean.at(cell)),
    channel: cell.C,
    before: near(cell.C - 1),
    after: near(cell.C + 1),
    "max-part": number(part(0)),
    "mean-part": plus(part(1)),
    equals: view.response.bits === 16 ? "=" : "≈",
    outside: found.filter((one) => one.outside).length,
    response: number(response),
    weight: number(norm.weight),
    "less-mean": plus(-norm.mean),
    "plus-bias": plus(norm.bias),
    deviation: number(Math.sqrt(norm.var + norm.eps)),
    normalised: number(normalise(response)),
    sigmoid: number(sigmoid(normalise(response))),
    gate: number(module[axis].at(cell)),
    x: number(module.x.at(cell)),
    applied: number(module[used].at(cell)),
    product: number(net.product.at(cell)),
    ...Object.fromEntries(
      ["T", "H", "W"].map((one) => [`gate-${one}`, module[one] ? number(module[one].at(cell)) : ""]),
    ),
    first: names[0],
    second: names[1] ?? "",
    "nest-x": number(module.x.at(cell)),
    "nest-gate": number(module[module.outer].at(cell)),
    "nest-out": number(module.y.at(cell)),
    ...Object.fromEntries(
      ["trained", "mean", "identity"].flatMap((mode) => [
        [`ratio-${mode}`, number(ratio(mode))],
        [`p-${mode}`, percent(score[mode])],
      ]),
    ),
    louder: number(view.sizes.identity / view.sizes.trained),
    label: score.label,
    "frame-of": `${cell.T + 1} of ${size("T")} · ${view.times[cell.T].toFixed(2)} s`,
  };
}

// What holds for this unit and module only is shown for no other.
function sort() {
  const rules = {
    unit: (value) => value.includes(net.axis),
    kind: (value) => value.split(" ").includes(net.module.kind),
    combination: (value) => value === view.combination,
    looks: () => !looksAtX(),
    product: () => !net.last,
    mean: () => view.channel_mean,
    sum: (value) => (value === "shown") === (net.max.step === 1),
    thin: () => net.feature.step > 1,
  };
  for (const [name, rule] of Object.entries(rules)) {
    all(`[data-if-${name}]`).forEach((one) =>
      one.toggleAttribute("hidden", !rule(one.getAttribute(`data-if-${name}`))),
    );
  }
}

// ---- moving about

function update() {
  followers.forEach((follow) => follow());
  const words = fills();
  all("[data-fill]").forEach((one) => {
    const word = String(words[one.dataset.fill]);
    if (one.textContent !== word) one.textContent = word;
  });
  find("[data-choose=frame]").value = cell.T;
  find("[data-choose=channel]").value = cell.C;
}

function move(to) {
  if (Object.entries(to).every(([axis, at]) => cell[axis] === at)) return;
  Object.assign(cell, to);
  update();
}

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
  all("[data-look]").forEach((one) => one.toggleAttribute("hidden", step === 7));
  all("[data-turn]").forEach((button) => {
    const to = step + Number(button.dataset.turn);
    button.hidden = to < 1 || to > 7;
    const name = button.hidden ? "" : `${to} ${tabs[to - 1].lastChild.textContent}`;
    button.textContent = to < step ? `← ${name}` : `${name} →`;
  });
  if (step === 7) play(false);
  update();
}

function play(on) {
  clearInterval(playing);
  playing = on ? setInterval(() => move({ T: (cell.T + 1) % size("T") }), FRAME_MS) : null;
  find("[data-play]").setAttribute("aria-label", on ? "Pause" : "Play the frames");
  find("[data-play]").classList.toggle("on", on);
}

// Where the strongest channel changes most from frame to frame, away from the borders where there is room.
function liveliest() {
  const border = Math.min(size("H"), size("W")) > 4 ? 1 : 0;
  const spans = new Map();
  for (const where of everywhere(net.feature, view.channels[0], border)) {
    const value = net.feature.at(where);
    const key = where.H * size("W") + where.W;
    const span = spans.get(key) ?? { low: value, high: -Infinity };
    span.low = Math.min(span.low, value);
    if (value > span.high) Object.assign(span, { high: value, where });
    spans.set(key, span);
  }
  const [most] = [...spans.values()].sort((a, b) => b.high - b.low - (a.high - a.low));
  Object.assign(cell, most.where);
}

function controls() {
  const options = (list) => list.map(([value, text]) => make("option", { value }, text));
  find("[data-choose=block]").replaceChildren(
    ...options(view.blocks.map(([name, h, w]) => [name, `${name} · ${h} × ${w}`])),
  );
  find("[data-choose=block]").value = view.block;
  find("[data-choose=channel]").replaceChildren(...options(view.channels.map((c, i) => [c, `${c} · ${RANKS[i]}`])));
  const units = all("[name=learn-unit]").map((input) => input.value);
  if (units.join() !== view.units.join()) {
    // else they stay, and with them the focus
    find("[data-choose=unit]").replaceChildren(
      ...view.units.map((unit) =>
        make("label", {}, make("input", { type: "radio", name: "learn-unit", value: unit }), make("span", {}, unit)),
      ),
    );
  }
  find(`[name=learn-unit][value="${view.unit}"]`).checked = true;
  find("[data-choose=frame]").max = size("T") - 1;
}

function load() {
  const next = props.value ? JSON.parse(props.value) : { notice: NOTICE };
  find("[data-notice] p").textContent = next.notice ?? "";
  find("[data-notice]").hidden = !next.notice;
  find("[data-lesson]").hidden = Boolean(next.notice);
  if (next.notice) return play(false);
  const same =
    view &&
    JSON.stringify([view.block, view.shape, view.channels]) === JSON.stringify([next.block, next.shape, next.channels]);
  view = next;
  net = tensors();
  if (!same) liveliest();
  controls();
  sort();
  show(step);
}

all("[role=tab]").forEach((tab, i) => {
  tab.addEventListener("click", () => show(i + 1));
  tab.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: i, ArrowRight: i + 2, Home: 1, End: 7 }[event.key];
    if (!(to >= 1 && to <= 7)) return;
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
find("[data-play]").addEventListener("click", () => play(!playing));
find("[data-choose=frame]").addEventListener("input", (event) => move({ T: Number(event.target.value) }));
find("[data-choose=channel]").addEventListener("change", (event) => move({ C: Number(event.target.value) }));
find(".look").addEventListener("change", () => {
  const block = find("[data-choose=block]").value;
  const unit = find("[name=learn-unit]:checked").value;
  if (block !== view.block || unit !== view.unit) trigger("select", { block, unit });
});
watch("value", load);
load();
