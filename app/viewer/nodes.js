// @ts-check
// The elements that depend on the answers alone. What they show is drawn by drawing.js and channels.js.

/** @param {Viewer} viewer */
function build(viewer) {
  const { lead, answers, root } = viewer;
  const hasGates = lead.blocks.length > 0;
  viewer.input("frame").max = viewer.frames - 1;
  viewer.part("stage").replaceChildren(...answers.map((answer, side) => pane(viewer, answer, side)));
  viewer.part("film").replaceChildren(...answers.map((answer, side) => filmRow(viewer, answer, side)));
  viewer.part("ladder").replaceChildren(...lead.blocks.map((block) => rung(lead, block)));
  const bars = (/** @type {number} */ side) => make("canvas", { class: "bars", width: 960, height: 132, "data-bars": side });
  viewer.part("bars").replaceChildren(...answers.flatMap(({ blocks }, side) => (blocks.length ? [bars(side)] : [])));
  for (const node of root.querySelectorAll(".tools, .legend, .blocks")) node.toggleAttribute("hidden", !hasGates);
  for (const name of ["channels", "table", "sentence"]) viewer.part(name).hidden = !hasGates;
  viewer.part("tries").replaceChildren(make("h3", {}, viewer.words.try), ...tries(viewer));
  viewer.part("verdict").textContent = answers[1]?.verdict ?? "";
  viewer.part("verdict").hidden = !answers[1]?.verdict;
}

/**
 * The buttons of the experiments that the model of side A allows.
 *
 * @param {Viewer} viewer
 */
function tries({ answers, words }) {
  const [answer] = answers;
  /** @type {Record<string, boolean>} */
  const isPossible = { "gates-off": answer.blocks.length > 0, "without-gates": Boolean(answer.plain) };
  return Object.entries(words.tries)
    .filter(([name]) => isPossible[name] ?? true)
    .map(([name, label]) => make("button", { type: "button", "data-try": name, title: words.tries_help[name] }, label));
}

/**
 * "A" or "B" with words around it; "" for a single side.
 *
 * @param {Viewer} viewer
 * @param {number} side
 */
const sideName = (viewer, side, before = "", after = "") =>
  viewer.answers.length > 1 ? `${before}${"AB"[side]}${after}` : "";

/**
 * @param {Viewer} viewer
 * @param {Answer} answer
 * @param {number} side
 */
function pane(viewer, answer, side) {
  const [width, height] = answer.size;
  const style = `--aspect: ${width / height}`;
  const frame = make("canvas", { class: "frame", width, height, style, role: "img", "data-side": side });
  const name = make("strong", {}, sideName(viewer, side, "", ": ") + (answer.title ?? answer.network));
  const otherBlock = make("span", { class: "quiet", "data-other": side });
  const { drop, no_gates, no_gates_b } = viewer.words;
  const close = { type: "button", title: drop, "aria-label": drop, "data-do": "drop" };
  const title = make("span", {}, name, ` ${answer.says ?? ""} `, otherBlock);
  const below = answer.blocks.length
    ? make("p", { class: "readout", "data-read": side })
    : make("p", { class: "quiet" }, side ? no_gates_b : no_gates);
  return make("figure", { class: "pane" }, make("figcaption", {}, title, side ? make("button", close, "×") : null), frame, below);
}

/**
 * @param {Viewer} viewer
 * @param {Answer} answer
 * @param {number} side
 */
function filmRow(viewer, answer, side) {
  const width = 120;
  const height = Math.max(Math.round((width * answer.size[1]) / answer.size[0]), 1);
  const frames = answer.times.map((_, frame) => {
    const mean = make("span", { class: "mean" }, make("i"));
    const picture = make("canvas", { width, height });
    return make("button", { type: "button", "data-frame": frame, "data-side": side }, picture, mean, make("small"));
  });
  return make("div", { class: "row", role: "group", "aria-label": `Frames${sideName(viewer, side, ", side ")}` }, ...frames);
}

/**
 * Where the setting's gates tell no channels apart, the block's own number is not known.
 *
 * @param {Block} block
 */
const channelCount = ({ shape: [, channels] }) => (channels > 1 ? `, ${channels} channels` : "");

/**
 * @param {Answer} lead
 * @param {Block} block
 */
function rung(lead, block) {
  const [, , rows, columns] = block.shape;
  const [left, top, right, bottom] = lead.seen_box;
  const aspect = ((right - left) * lead.size[0]) / Math.max((bottom - top) * lead.size[1], 1);
  const canvas = make("canvas", { width: 56, height: Math.max(8, Math.min(80, Math.round(56 / aspect))) });
  const label = `${block.name}, ${rows} by ${columns}${channelCount(block)}`;
  const attributes = { type: "button", role: "radio", "aria-label": label, "data-block": block.name };
  return make("button", attributes, canvas, make("b", {}, shortName(block.name)), make("small", {}, `${rows}×${columns}`));
}

/**
 * "features.12" -> "12", "layer3.0" -> "3.0".
 *
 * @param {string} name
 */
const shortName = (name) => name.replace(/^features\.|^layer/, "");
