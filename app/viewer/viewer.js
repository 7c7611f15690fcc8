// The viewer of the gates: one state, and one function that draws everything from it, without asking the server.
// Maps come from answer.js, pixels from pixels.js.
//
// `props.value` and `props.other` are the two sides, each `{ answer, channels }`: an answer of `aia.visualization.web` (JSON), and the file
// of its channels' gates, which is fetched once. `props.colours` are colour tables (name -> base64 of 256 RGB triples);
// `props.words` are sentences. Gradio runs one line, which calls `startViewer`.

const START = {
  block: "", gate: "combined", frame: 0, channel: null, scale: "absolute", colours: "viridis", opacity: 0.5, cells: false,
  sorted: true, speed: 1, playing: false,
};
const LINKED = ["block", "gate", "frame", "channel", "scale", "colours", "opacity", "cells"]; // what a link holds
const CONTEXT = ["model", "example"]; // what the page itself keeps in a link

/** A state that the answers can show. */
function valid(state, lead, frames = lead.times.length) {
  const next = { ...state, frame: Math.min(Math.max(0, Math.round(state.frame) || 0), frames - 1) };
  if (!lead.blocks.length) return next;
  if (!lead.blocks.some((b) => b.name === state.block)) next.block = lead.first_block || lead.blocks[0].name;
  const block = blockOf(lead, next.block);
  next.gate = gateOf(block, state.gate);
  const channels = lead.prepared ? Infinity : tellsChannels(lead, block, next.gate) ? channelsOf(block, next.gate) : 0;
  next.channel = Number.isInteger(state.channel) && state.channel >= 0 && state.channel < channels ? state.channel : null;
  return next;
}

const make = (tag, attributes = {}, ...children) => {
  const { dataset = {}, ...rest } = attributes;
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, dataset);
  node.append(...children);
  return node;
};
const shown = (value) => value.toFixed(3);

class Viewer {
  constructor(root, colours, words) {
    this.root = root;
    this.words = words;
    this.tables = Object.fromEntries(Object.entries(colours).map(([name, text]) => [name, bytesOf(text)]));
    this.answers = [];
    this.state = { ...START };
    this.wanted = fromQuery(location.search); // until a visitor changes something
    this.hover = null; // a channel under the pointer
    this.drawn = {};
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.input("colours").append(...Object.keys(this.tables).map((name) => new Option(name)));
    this.part("waiting").textContent = words.waiting;
    this.part("address").prepend(words.copy_yourself);
    this.listen();
  }

  input(name) {
    return this.root.querySelector(`[data-state="${name}"]`);
  }

  /** The side whose blocks and channels are listed: the first with gates. */
  get lead() {
    return this.answers.find((answer) => answer.blocks.length) ?? this.answers[0];
  }

  /** What is drawn: the state, with the channel under the pointer before the pinned one. */
  get view() {
    return this.hover === null ? this.state : { ...this.state, channel: this.hover };
  }

  /** Frames of the longest side: the timeline that both share. */
  get frames() {
    return Math.max(...this.answers.map((answer) => answer.times.length));
  }

  /** The frame of an answer at a place of the timeline. */
  frameOf(answer, place = this.state.frame) {
    return Math.floor(((place + 0.5) * answer.times.length) / this.frames);
  }

  show(answers) {
    if (answers[0]?.prepared && !isAskedFor(answers[0], location.search)) return; // a link wants another one, which follows
    this.answers = answers;
    this.drawn = {};
    this.hover = null;
    this.part("address").hidden = true; // it was that of another view
    this.part("whole").hidden = !answers.length;
    this.part("waiting").hidden = answers.length > 0;
    if (!answers.length) return;
    if (this.wanted) this.state = { ...this.state, frame: answers[0].times.length >> 1, ...this.wanted };
    if (!answers[0].prepared) this.wanted = null;
    this.keepingFocus(() => {
      this.build();
      this.set({});
    });
  }

  /** Does what may make the focused part anew or hide it; the focus then goes to what stands in its place. */
  keepingFocus(change) {
    const focused = document.activeElement;
    if (!this.root.contains(focused)) return change();
    const marks = Object.entries(focused.dataset).map(([name, value]) => `[data-${name}="${CSS.escape(value)}"]`);
    change();
    if (focused.isConnected && !focused.closest("[hidden]")) return;
    const again = marks.length && this.root.querySelector(`${focused.localName}${marks.join("")}:not(:disabled, [hidden] *)`);
    (again || this.root.querySelector('[data-do="play"]')).focus({ preventScroll: true });
  }

  /** The channels' gates of an answer are here, or lost. */
  arrived(answer) {
    if (!this.answers.includes(answer)) return; // another one is shown meanwhile
    this.drawn = {};
    this.set({});
  }

  set(changes) {
    if (!this.answers.length) return;
    const before = this.state;
    if (Object.keys(changes).length) this.wanted = null;
    this.state = valid({ ...before, ...changes }, this.lead, this.frames);
    if (!Object.hasOwn(this.tables, this.state.colours)) this.state.colours = START.colours;
    if (this.state.block !== before.block || this.state.gate !== before.gate) this.hover = null;
    if (this.state.playing !== before.playing || this.state.speed !== before.speed) this.run();
    this.keepingFocus(() => this.render());
    clearTimeout(this.linking);
    if (this.answers[0].prepared) return; // Gradio still reads the link that a visitor came by
    this.linking = setTimeout(() => history.replaceState(history.state, "", this.link()), this.state.playing ? 2000 : 150);
  }

  // -- drawing

  /** Draws a part again only if what it depends on has changed. */
  once(part, key, draw) {
    const text = JSON.stringify(key);
    if (this.drawn[part] === text) return;
    this.drawn[part] = text;
    draw();
  }

  /** Makes the nodes that depend on the answers alone. */
  build() {
    const { lead, answers, root } = this;
    this.input("frame").max = this.frames - 1;
    this.part("stage").replaceChildren(...answers.map((answer, side) => this.pane(answer, side)));
    this.part("film").replaceChildren(...answers.map((answer, side) => this.filmRow(answer, side)));
    this.part("ladder").replaceChildren(...lead.blocks.map((block) => this.rung(block)));
    this.part("bars").replaceChildren(...answers.flatMap((answer, side) => (answer.blocks.length ? [this.barsOf(side)] : [])));
    for (const name of ["tools", "legend"]) root.querySelector(`.${name}`).hidden = !lead.blocks.length;
    for (const name of ["channels", "table", "can"]) this.part(name).hidden = !lead.blocks.length;
    root.querySelector(".beside").hidden = !lead.blocks.length;
  }

  pane(answer, side) {
    const [width, height] = answer.size;
    const frame = make("canvas", { width, height, className: "frame", dataset: { side } });
    frame.style.setProperty("--aspect", width / height);
    frame.setAttribute("role", "img");
    const letter = this.answers.length > 1 ? `${"AB"[side]}: ` : "";
    const name = make("strong", { textContent: letter + (answer.title ?? answer.network) });
    const other = make("span", { className: "quiet", dataset: { other: side } });
    const title = make("figcaption", {}, make("span", {}, name, ` ${answer.says ?? ""} `, other));
    if (side) title.append(make("button", { type: "button", textContent: "×", title: this.words.drop, ariaLabel: this.words.drop, dataset: { do: "drop" } }));
    const read = make("p", { className: "readout", dataset: { read: side } });
    const none = answer.blocks.length ? "" : this.words.no_gates;
    return make("figure", { className: "pane" }, title, frame, none ? make("p", { className: "quiet", textContent: none }) : read);
  }

  filmRow(answer, side) {
    const thumbs = answer.times.map((time, frame) => {
      const [width, height] = [120, Math.max(Math.round((120 * answer.size[1]) / answer.size[0]), 1)];
      const bar = make("span", { className: "mean" }, make("i"));
      const button = make("button", { type: "button", dataset: { frame, side } }, make("canvas", { width, height }), bar, make("small"));
      return button;
    });
    const row = make("div", { className: "row" }, ...thumbs);
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", this.answers.length > 1 ? `Frames, side ${"AB"[side]}` : "Frames");
    return row;
  }

  rung(block) {
    const [, channels, rows, columns] = block.shape;
    const canvas = make("canvas", { width: 56, height: Math.max(8, Math.min(80, Math.round(56 / this.aspectOfSeen()))) });
    const size = make("small", { textContent: `${rows}×${columns}` });
    const rung = make("button", { type: "button", dataset: { block: block.name } }, canvas, make("b", { textContent: shortName(block.name) }), size);
    rung.setAttribute("role", "radio");
    rung.setAttribute("aria-label", `${block.name}, ${rows} by ${columns}, ${channels} channels`);
    return rung;
  }

  aspectOfSeen() {
    const [left, top, right, bottom] = this.lead.seen_box;
    const [width, height] = this.lead.size;
    return ((right - left) * width) / Math.max((bottom - top) * height, 1);
  }

  barsOf(side) {
    const canvas = make("canvas", { className: "bars", width: 960, height: 132, tabIndex: 0, dataset: { bars: side } });
    canvas.setAttribute("role", "slider");
    canvas.setAttribute("aria-label", this.answers.length > 1 ? `Channel, side ${"AB"[side]}` : "Channel");
    return canvas;
  }

  render() {
    const { state, view, answers, lead } = this;
    const gates = lead.blocks.length > 0;
    const table = this.tables[state.colours];
    const limits = gates ? limitsOf(answers, view) : [0, 1];
    const look = [view.block, view.gate, view.channel, limits, state.colours, state.opacity, state.cells];
    this.sync();
    this.once("frames", [look, state.frame], () => this.drawFrames(limits, table));
    this.once("film", look, () => this.drawFilm(limits, table));
    this.once("chosen", [state.frame], () => this.chooseFrame());
    if (gates) {
      this.once("gates", [state.block, state.gate], () => this.drawGates());
      this.once("can", [state.block, view.gate, view.channel], () => this.drawWords());
      this.once("legend", [limits, state.colours, state.scale], () => this.drawLegend(limits, table));
      this.once("ladder", [view.gate, view.channel, limits, state.colours, state.frame, state.cells], () => this.drawLadder(limits, table));
      this.once("rung", [state.block], () => this.chooseBlock());
      this.once("bars", [state.block, state.gate, view.channel, state.channel, state.sorted, state.colours], () => this.drawBars(table));
      if (this.part("table").open) this.once("table", [look, state.frame], () => this.drawTable());
    }
    this.root.dataset.state = JSON.stringify(state);
  }

  sync() {
    for (const node of this.root.querySelectorAll("[data-state]")) {
      const value = this.state[node.dataset.state];
      if (node.type === "checkbox") node.checked = value;
      else node.value = value;
    }
    const { frame, playing } = this.state;
    const times = this.answers.map((answer) => `${answer.times[this.frameOf(answer)].toFixed(2)} s`);
    this.part("time").textContent = [...new Set(times)].join(" | ");
    this.input("frame").setAttribute("aria-valuetext", `frame ${frame + 1}, ${times[0]}`);
    const play = this.root.querySelector('[data-do="play"]');
    play.classList.toggle("playing", playing);
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.part("unpin").hidden = this.state.channel === null;
  }

  mapOn(answer, view = this.view) {
    return answer.blocks.length ? mapOf(answer, view.block, view.gate, view.channel) : null;
  }

  drawFrames(limits, table) {
    for (const canvas of this.root.querySelectorAll("canvas.frame")) {
      const answer = this.answers[canvas.dataset.side];
      const frame = this.frameOf(answer);
      const shownBlock = answer.blocks.length ? blockOf(answer, this.view.block).name : this.view.block;
      const other = this.root.querySelector(`[data-other="${canvas.dataset.side}"]`);
      other.textContent = shownBlock === this.view.block ? "" : `(at ${shownBlock}: it has no ${this.view.block})`;
      drawFrame(canvas, answer, frame, this.mapOn(answer), table, limits, this.state);
      canvas.setAttribute("aria-label", this.describe(answer, frame));
    }
    this.readAgain?.();
  }

  describe(answer, frame) {
    const when = `Frame ${frame + 1} of ${answer.times.length}, ${answer.times[frame].toFixed(2)} s`;
    const map = this.mapOn(answer);
    if (!map) return `${when}, without gates`;
    const mean = profileOf(map, answer.times.length)[frame];
    return `${when}, under the gate of ${blockOf(answer, this.view.block).name}; its mean here is ${shown(mean)}`;
  }

  drawFilm(limits, table) {
    for (const button of this.root.querySelectorAll(".film button")) {
      const { side, frame } = button.dataset;
      const answer = this.answers[side];
      const map = this.mapOn(answer);
      drawFrame(button.querySelector("canvas"), answer, +frame, map, table, limits, this.state);
      const mean = map && profileOf(map, answer.times.length)[frame];
      const bar = button.querySelector("i");
      bar.style.height = map ? `${(100 * Math.min(Math.max((mean - limits[0]) / Math.max(limits[1] - limits[0], 1e-9), 0), 1)).toFixed(1)}%` : 0;
      button.querySelector(".mean").hidden = !map;
      button.querySelector("small").textContent = `${answer.times[frame].toFixed(2)} s${map ? ` · ${mean.toFixed(2)}` : ""}`;
      button.setAttribute("aria-label", `Frame ${+frame + 1}, ${answer.times[frame].toFixed(2)} s${map ? `, mean ${shown(mean)}` : ""}`);
    }
  }

  chooseFrame() {
    for (const button of this.root.querySelectorAll(".film button"))
      button.setAttribute("aria-current", +button.dataset.frame === this.frameOf(this.answers[button.dataset.side]));
  }

  chooseBlock() {
    for (const rung of this.part("ladder").children) {
      const chosen = rung.dataset.block === this.state.block;
      rung.setAttribute("aria-checked", chosen);
      rung.tabIndex = chosen ? 0 : -1;
    }
    const block = blockOf(this.lead, this.state.block);
    const [, channels, rows, columns] = block.shape;
    const place = `${this.lead.blocks.indexOf(block) + 1} of ${this.lead.blocks.length}`;
    this.part("blocks-note").textContent = `${block.name}: ${place}, ${rows}×${columns} cells, ${channels} channels`;
  }

  drawGates() {
    const block = blockOf(this.lead, this.state.block);
    const focused = this.part("gates").contains(document.activeElement);
    const buttons = gatesOf(block).map((gate) => {
      const chosen = gate === this.state.gate;
      const button = make("button", { type: "button", textContent: this.words.gates[gate] ?? gate, dataset: { gate }, tabIndex: chosen ? 0 : -1 });
      button.setAttribute("role", "radio");
      button.setAttribute("aria-checked", chosen);
      return button;
    });
    this.part("gates").replaceChildren(...buttons);
    if (focused) buttons.find((button) => button.tabIndex === 0).focus();
  }

  drawWords() {
    const { gate, channel, block } = this.view;
    const said = gate === "combined" ? this.words.combined[this.lead.attention] : this.words.units[gate.slice(-1)];
    const lacking = this.lacking(blockOf(this.lead, block), gate);
    const own = channel === null ? "" : this.words.channel.replace("{channel}", channel);
    const about = lacking === this.words.coming && channel === null ? "" : lacking || own; // nobody waits for them
    this.part("can").textContent = `${said ?? this.words.combined.any} ${about}`;
  }

  /** Why single channels cannot be shown of a gate that tells them apart; "" where they can. */
  lacking(block, gate) {
    if (channelsOf(block, gate) === 1 || hasChannels(this.lead, block, gate)) return "";
    if (this.lead.prepared || this.lead.loading) return this.words.coming;
    return this.lead.lost ? this.words.lost : this.words.no_channels;
  }

  drawLegend(limits, table) {
    const picture = new ImageData(256, 1);
    new Uint32Array(picture.data.buffer).set(table32(table, 255));
    this.part("legend").getContext("2d").putImageData(picture, 0, 0);
    const absolute = this.state.scale === "absolute";
    this.part("low").textContent = absolute ? this.words.low : shown(limits[0]);
    this.part("high").textContent = absolute ? this.words.high : shown(limits[1]);
    this.part("note").textContent = limits[1] - limits[0] < this.words.flat ? this.words.flat_note : this.words.scales[this.state.scale];
    this.part("legend").setAttribute("aria-label", `Colours from ${shown(limits[0])} to ${shown(limits[1])}`);
  }

  drawLadder(limits, table) {
    for (const rung of this.part("ladder").children) {
      const canvas = rung.querySelector("canvas");
      const map = mapOf(this.lead, rung.dataset.block, this.view.gate, this.view.channel);
      const picture = paint(map, this.frameOf(this.lead), canvas.width, canvas.height, table, limits, this.state.cells, 1);
      canvas.getContext("2d").putImageData(picture, 0, 0);
    }
  }

  /** Channels in the order in which their bars stand. */
  order() {
    const means = channelMeans(this.lead, this.state.block, this.state.gate);
    const channels = means.map((_, channel) => channel);
    return this.state.sorted ? channels.sort((a, b) => means[b] - means[a] || a - b) : channels;
  }

  drawBars(table) {
    const order = this.order();
    const block = blockOf(this.lead, this.state.block);
    const own = hasChannels(this.lead, block, this.state.gate);
    const many = own || (this.state.gate === "combined" && block.channel_mean.length > 1);
    this.part("bars").hidden = !many;
    this.root.querySelector(".under").hidden = !many;
    const { one_channel, bars, bars_only, channels, coming } = this.words;
    const lacking = this.lacking(block, this.state.gate);
    if (channelsOf(block, this.state.gate) === 1) this.part("channels-note").textContent = many ? bars_only : one_channel;
    else this.part("channels-note").textContent = !many ? lacking : lacking && lacking !== coming ? bars : channels;
    if (!many) return;
    for (const canvas of this.root.querySelectorAll("canvas.bars")) this.drawBarsOf(canvas, order, table);
    const means = channelMeans(this.lead, this.state.block, this.state.gate);
    const sorted = [...order].sort((a, b) => means[b] - means[a]);
    const [strong, weak] = [sorted.slice(0, 3), sorted.slice(-3).reverse()];
    const named = (c) => `${c} (${means[c].toFixed(2)})`;
    const chip = (c) => make("button", { type: "button", className: "chip", disabled: !own, textContent: named(c), dataset: { channel: c } });
    this.once("ends", [own, strong.map(named), weak.map(named)], () => // made anew they would lose the focus
      this.part("ends").replaceChildren("Strongest: ", ...strong.map(chip), " Weakest: ", ...weak.map(chip)));
  }

  drawBarsOf(canvas, order, table) {
    const answer = this.answers[canvas.dataset.bars];
    const means = channelMeans(answer, this.state.block, this.state.gate);
    const context = canvas.getContext("2d");
    const { width, height } = canvas;
    const base = height - 12; // room for the mark of the chosen channel
    const wide = width / order.length;
    const ink = getComputedStyle(this.root).color;
    context.clearRect(0, 0, width, height);
    context.fillStyle = ink;
    context.globalAlpha = 0.18;
    for (const level of [0, 0.5, 1]) context.fillRect(0, Math.min(base - level * base, base - 1), width, 1);
    context.globalAlpha = 1;
    order.forEach((channel, place) => {
      if (channel >= means.length) return; // this side has fewer channels
      const value = means[channel];
      context.fillStyle = css(table, value);
      context.fillRect(place * wide, base - value * base, Math.max(wide - (wide > 3 ? 1 : 0), 0.5), value * base);
    });
    const chosen = this.view.channel;
    const place = order.indexOf(chosen);
    if (place >= 0) {
      context.fillStyle = ink;
      const middle = (place + 0.5) * wide;
      context.beginPath();
      context.moveTo(middle, base + 1);
      context.lineTo(middle - 6, height);
      context.lineTo(middle + 6, height);
      context.fill();
      context.globalAlpha = 0.35;
      context.fillRect(middle - 0.5, 0, 1, base);
      context.globalAlpha = 1;
    }
    canvas.setAttribute("aria-valuemin", 0);
    canvas.setAttribute("aria-valuemax", order.length - 1);
    canvas.setAttribute("aria-valuenow", chosen ?? order[0]);
    canvas.setAttribute("aria-valuetext", chosen === null ? "all channels" : `channel ${chosen}, mean ${shown(means[chosen] ?? 0)}`);
  }

  drawTable() {
    const rows = this.answers.flatMap((answer, side) => {
      const map = this.mapOn(answer);
      if (!map) return [];
      const frame = this.frameOf(answer);
      const [, height, width] = map.shape;
      const title = `${this.answers.length > 1 ? `Side ${"AB"[side]}. ` : ""}${this.describe(answer, frame)}`;
      const head = make("tr", {}, make("th"), ...Array.from({ length: width }, (_, x) => make("th", { textContent: `column ${x + 1}` })));
      const lines = Array.from({ length: height }, (_, y) =>
        make("tr", {}, make("th", { textContent: `row ${y + 1}` }), ...Array.from({ length: width }, (_, x) => make("td", { textContent: shown(at(map, frame, y, x)) }))));
      const frames = profileOf(map, answer.times.length).map((mean, t) => make("tr", {}, make("th", { textContent: `${answer.times[t].toFixed(2)} s` }), make("td", { textContent: shown(mean) })));
      const means = channelMeans(answer, this.state.block, this.state.gate).map((mean, c) => make("tr", {}, make("th", { textContent: `channel ${c}` }), make("td", { textContent: shown(mean) })));
      return [
        make("table", {}, make("caption", { textContent: title }), head, ...lines),
        make("table", {}, make("caption", { textContent: "Mean of every frame" }), ...frames),
        make("table", {}, make("caption", { textContent: "Mean of every channel" }), ...means),
      ];
    });
    this.part("cells").replaceChildren(...rows);
  }

  // -- what a visitor does

  listen() {
    const { root } = this;
    root.addEventListener("input", ({ target }) => this.edited(target));
    root.addEventListener("click", (event) => this.clicked(event.target.closest("button")));
    root.addEventListener("pointermove", (event) => this.pointed(event));
    root.addEventListener("pointerdown", (event) => this.pointed(event));
    root.addEventListener("pointerout", ({ target }) => this.left(target));
    this.part("bars").addEventListener("click", (event) => this.pin(this.channelUnder(event)));
    this.part("bars").addEventListener("focusout", () => this.preview(null));
    this.part("table").addEventListener("toggle", () => this.set({}));
    document.addEventListener("click", ({ target }) => {
      const button = target.closest?.("[data-show-block]"); // the page's tables name blocks
      if (button && root.isConnected) this.set({ block: button.dataset.showBlock });
    });
    const keys = (event) => {
      if (!root.isConnected) return document.removeEventListener("keydown", keys);
      const inside = root.contains(document.activeElement);
      // With no focus anywhere the page keeps the keys that it scrolls by.
      const free = document.activeElement === document.body && ![" ", "ArrowUp", "ArrowDown"].includes(event.key);
      if (root.offsetParent !== null && (inside || free)) this.key(event);
    };
    document.addEventListener("keydown", keys);
    const repaint = () => ((this.drawn.bars = ""), this.set({})); // in the ink of the theme
    new MutationObserver(repaint).observe(document.body, { attributeFilter: ["class"] });
    matchMedia("(forced-colors: active)").addEventListener("change", repaint);
  }

  edited(target) {
    const name = target.dataset.state;
    if (!name) return;
    const value = target.type === "checkbox" ? target.checked : ["scale", "colours"].includes(name) ? target.value : +target.value;
    this.set({ [name]: value, ...(name === "frame" ? { playing: false } : {}) });
  }

  clicked(button) {
    if (!button) return;
    const { frame, block, gate, channel, side } = button.dataset;
    if (frame !== undefined) this.set({ frame: this.placeOf(this.answers[side], +frame), playing: false });
    else if (block !== undefined) this.set({ block });
    else if (gate !== undefined) this.set({ gate });
    else if (channel !== undefined) this.pin(+channel);
    else this.act(button.dataset.do);
  }

  act(name) {
    if (name === "back") this.step(-1);
    else if (name === "on") this.step(1);
    else if (name === "play") this.set({ playing: !this.state.playing });
    else if (name === "unpin") this.unpin();
    else if (name === "help") this.part("help").showModal();
    else if (name === "close") this.part("help").close();
    else if (name === "link") this.copyLink();
    else if (name === "drop") this.drop();
  }

  /** The first place of the timeline at which an answer shows a frame. */
  placeOf(answer, frame) {
    return Array.from({ length: this.frames }, (_, place) => place).find((place) => this.frameOf(answer, place) === frame);
  }

  step(by) {
    this.set({ frame: (this.state.frame + by + this.frames) % this.frames, playing: false });
  }

  move(by) {
    const names = this.lead.blocks.map((block) => block.name);
    const place = names.indexOf(this.state.block) + by;
    if (names[place]) this.set({ block: names[place] });
    const rung = this.part("ladder").querySelector('[aria-checked="true"]');
    if (this.part("ladder").contains(document.activeElement)) rung.focus();
  }

  turn(name, choices, by = 1) {
    this.set({ [name]: choices[(choices.indexOf(this.state[name]) + by + choices.length) % choices.length] });
  }

  pin(channel) {
    if (channel === null) return;
    this.set({ channel: channel === this.state.channel ? null : channel });
  }

  unpin() {
    this.hover = null;
    this.set({ channel: null });
  }

  key(event) {
    const { target, key } = event;
    if (!this.answers.length || event.ctrlKey || event.metaKey || event.altKey || this.part("help").open) return;
    if (target.matches?.("select, textarea, input:not([type=range]):not([type=checkbox])")) return;
    if (key === " " && target.matches?.("button, summary, input[type=checkbox]")) return;
    if (target.matches?.("input[type=range]") && key.startsWith("Arrow")) return;
    if (target.closest?.(".table") && key.startsWith("Arrow")) return; // it scrolls
    if (target.matches?.("canvas.bars") && this.barKey(key)) return event.preventDefault();
    const gates = this.lead.blocks.length ? gatesOf(blockOf(this.lead, this.state.block)) : [];
    const along = this.part("gates").contains(target) ? (by) => this.turn("gate", gates, by) : (by) => this.step(by);
    const actions = {
      ArrowLeft: () => along(-1),
      ArrowRight: () => along(1),
      " ": () => this.act("play"),
      ArrowUp: () => this.move(-1),
      ArrowDown: () => this.move(1),
      g: () => this.turn("gate", gates),
      s: () => this.turn("scale", ["absolute", "clip", "block"]),
      c: () => this.set({ cells: !this.state.cells }),
      Escape: () => this.unpin(),
      "?": () => this.act("help"),
    };
    if (!actions[key]) return;
    event.preventDefault();
    actions[key]();
  }

  /** Keys on the channel bars: left and right preview the next channel, Enter pins it. */
  barKey(key) {
    if (!hasChannels(this.lead, blockOf(this.lead, this.state.block), this.state.gate)) return false;
    const order = this.order();
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -order.length, End: order.length }[key];
    if (by) {
      const place = Math.max(order.indexOf(this.view.channel), by < 0 ? 0 : -1) + by;
      this.preview(order[Math.min(Math.max(place, 0), order.length - 1)]);
    } else if (key === "Enter" && this.hover !== null) this.pin(this.hover);
    return Boolean(by) || key === "Enter";
  }

  preview(channel) {
    if (channel === this.hover || this.lead.blocks.length === 0) return;
    this.hover = channel;
    cancelAnimationFrame(this.previewing); // a pointer moves more often than the screen shows
    this.previewing = requestAnimationFrame(() => this.render());
  }

  channelUnder(event) {
    const canvas = event.target.closest?.("canvas.bars");
    if (!canvas || !hasChannels(this.lead, blockOf(this.lead, this.state.block), this.state.gate)) return null;
    const order = this.order();
    const place = Math.floor(((event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth) * order.length);
    return order[Math.min(Math.max(place, 0), order.length - 1)];
  }

  pointed(event) {
    if (!this.answers.length) return;
    const { target } = event;
    if (target.matches("canvas.bars")) this.preview(this.channelUnder(event));
    else if (target.matches("canvas.frame")) this.read(target, event);
  }

  left(target) {
    if (target.matches("canvas.bars")) this.preview(null);
    if (!target.matches("canvas.frame")) return;
    this.readAgain = null;
    for (const node of this.root.querySelectorAll(".readout")) node.textContent = "";
  }

  /** Says the value under the pointer, on both sides at the same place. */
  read(canvas, { clientX, clientY }) {
    const box = canvas.getBoundingClientRect();
    const place = [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
    this.readAgain = () => {
      for (const node of this.root.querySelectorAll(".readout")) node.textContent = this.valueAt(this.answers[node.dataset.read], place);
    };
    this.readAgain();
  }

  valueAt(answer, [x, y]) {
    const [left, top, right, bottom] = answer.seen_box;
    const [across, down] = [(x - left) / (right - left), (y - top) / (bottom - top)];
    if (across < 0 || across >= 1 || down < 0 || down >= 1) return this.words.unseen;
    const map = this.mapOn(answer);
    const frame = this.frameOf(answer);
    const [frames, rows, columns] = map.shape;
    const [row, column] = [Math.floor(down * rows), Math.floor(across * columns)];
    const where = [rows > 1 ? `row ${row + 1}` : "all rows", columns > 1 ? `column ${column + 1}` : "all columns"];
    const when = frames > 1 ? `${answer.times[frame].toFixed(2)} s` : "all frames";
    return `${shown(at(map, frame, row, column))} at ${blockOf(answer, this.view.block).name}, ${where.join(", ")}, ${when}`;
  }

  // -- time and links

  run() {
    cancelAnimationFrame(this.ticking);
    if (!this.state.playing) return;
    let due = performance.now() + this.pause();
    const tick = (now) => {
      if (!this.state.playing || !this.root.isConnected) return;
      if (now >= due) {
        this.set({ frame: (this.state.frame + 1) % this.frames });
        due = now + this.pause();
      }
      this.ticking = requestAnimationFrame(tick);
    };
    this.ticking = requestAnimationFrame(tick);
  }

  /** Milliseconds that the present frame stays, by the source clip's times. */
  pause() {
    const { times } = this.answers.find((answer) => answer.times.length === this.frames);
    const { frame, speed } = this.state;
    const gap = times.length > 1 ? Math.abs(times[Math.min(frame + 1, times.length - 1)] - times[Math.min(frame, times.length - 2)]) : 1;
    return (1000 * Math.min(Math.max(gap, 0.04), 2)) / speed;
  }

  link() {
    const query = new URLSearchParams(location.search);
    for (const name of LINKED) query.delete(name);
    for (const name of CONTEXT) if (this.answers[0]?.link) query.delete(name);
    for (const [name, value] of Object.entries(this.answers[0]?.link ?? {})) if (value) query.set(name, value);
    for (const name of LINKED) {
      const value = this.state[name];
      if (name === "frame" || (value !== START[name] && value !== "")) query.set(name, value);
    }
    return `${location.pathname}?${query}`.replace(/\?$/, "") + location.hash;
  }

  async copyLink() {
    const button = this.part("link");
    const address = new URL(this.link(), location.href).href;
    try {
      await navigator.clipboard.writeText(address);
      button.textContent = this.answers[0].link?.example ? this.words.copied : this.words.copied_without;
    } catch { // a page without https may not write to the clipboard, and a frame may not open a dialog
      const field = this.part("address").querySelector("input");
      this.part("address").hidden = false;
      field.value = address;
      field.focus();
      field.select();
    }
    setTimeout(() => (button.textContent = this.words.copy), 1500);
  }
}

/** Whether a link asks for this answer, or for none in particular. */
function isAskedFor(answer, search) {
  const query = new URLSearchParams(search);
  return CONTEXT.every((name) => !query.get(name) || query.get(name) === answer.link?.[name]);
}

/** What of a state a link's query holds; what it cannot mean is left out. */
function fromQuery(search) {
  const query = new URLSearchParams(search);
  const found = {};
  for (const name of LINKED) {
    const text = query.get(name);
    if (text === null) continue;
    const number = Number(text);
    if (name === "cells") found.cells = text === "true";
    else if (name === "opacity") Number.isFinite(number) && number >= 0 && number <= 1 && (found.opacity = number);
    else if (name === "frame" || name === "channel") Number.isInteger(number) && number >= 0 && (found[name] = number);
    else if (name === "scale") ["absolute", "clip", "block"].includes(text) && (found.scale = text);
    else found[name] = text;
  }
  return found;
}

/** "features.12" -> "12", "layer3.0" -> "3.0". */
const shortName = (name) => name.replace(/^features\.|^layer/, "");

/** Draws what the component gets, as often as it changes; `dropped` is called when side B is taken away. */
function startViewer(element, props, watch, dropped) {
  const viewer = new Viewer(element.querySelector(".viewer"), props.colours, props.words);
  const opened = {}; // of each side what came and what becomes of it
  const open = (side, value) => {
    const key = value ? value.answer + value.channels?.url : "";
    if (opened[side]?.key !== key) opened[side] = { key, answer: openAnswer(value) };
    return opened[side].answer;
  };
  viewer.root.viewer = viewer; // the page reads its state for exports; tests look into it
  let latest = 0;
  const refresh = async () => {
    const turn = ++latest;
    const answers = (await Promise.all([open(0, props.value), open(1, props.other)])).filter(Boolean);
    if (turn !== latest) return; // a later answer was quicker
    viewer.show(answers);
    for (const answer of answers) answer.loading?.then(() => viewer.arrived(answer));
  };
  viewer.drop = () => {
    viewer.show(viewer.answers.slice(0, 1));
    viewer.root.querySelector('[data-do="play"]').focus();
    dropped(); // the page forgets side B too
  };
  watch(["value", "other"], refresh);
  refresh();
}
