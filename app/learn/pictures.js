// Pictures of tensors: their colours, legends, and the mark that follows the pointer and the keys.
const WORDS = { T: "frame", C: "channel", H: "row", W: "column" };
let followers = []; // functions that bring what is on the stage to the marked cell

// ---- numbers and words

function number(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
}

const plus = (value) => (number(value).startsWith("−") ? "− " : "+ ") + number(Math.abs(value));
const percent = (p) => (p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);
const count = (sizes) => sizes.reduce((product, n) => product * n, 1).toLocaleString("en-GB");
const shape = (sizes) => `[${sizes.join(", ")}]`;
const sigmoid = (value) => 1 / (1 + Math.exp(-value));
const size = (axis) => view.shape[AXES.indexOf(axis)];
const gateSizes = (axis) => AXES.map((one) => (one === axis ? 1 : size(one)));
const ratio = (mode) => view.sizes[mode] / view.sizes.input;

// A place in words, by those of its axes that a tensor has. Channels are counted from 0, as everywhere in AIA Studio.
function inWords(where, axes) {
  const shown = AXES.filter((axis) => axes.includes(axis));
  return shown.map((axis) => `${WORDS[axis]} ${where[axis] + (axis === "C" ? 0 : 1)}`).join(", ");
}

// ---- colours: viridis for gates, magma for features, blue over white to orange for what has a sign

function ramp(table) {
  return (u) => {
    const i = 3 * Math.round(255 * Math.min(1, Math.max(0, u)));
    return [table[i], table[i + 1], table[i + 2]];
  };
}

function diverging(u) {
  const end = u < 0.5 ? [26, 84, 144] : [200, 82, 0];
  const far = Math.min(1, Math.abs(2 * u - 1));
  return [250, 250, 248].map((white, i) => Math.round(white + (end[i] - white) * far));
}

const [viridis, magma] = [ramp(bytes(COLOURS.viridis)), ramp(bytes(COLOURS.magma))];
const scale = (colour, low, high, name) => ({ low, high, name, of: (v) => colour((v - low) / (high - low || 1)) });
const around0 = (peak, name) => scale(diverging, -peak || -1, peak || 1, name);

// The scale of each kind of picture; that of a feature belongs to one channel, over all frames.
const SCALES = {
  gate: () => scale(viridis, 0, 1, "gate: 0 is shut, 1 is open"),
  feature: (channel = cell.C) => scale(magma, ...net.ranges.get(channel), `channel ${channel}, all frames`),
  pooled: () =>
    net.axis === "C"
      ? scale(
          magma,
          Math.min(net.feature.low, net.mean.low),
          Math.max(net.feature.high, net.max.high),
          "all channels and frames",
        )
      : SCALES.feature(),
  response: () => around0(Math.max(-net.response.low, net.response.high), "response"),
  kernel: () => around0(Math.max(...view.kernel.flat(3).map(Math.abs)), "weight of the kernel"),
};

// ---- elements

function make(tag, attributes = {}, ...children) {
  const made = tag.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

const row = (name, ...children) => make("div", { class: `row ${name}` }, ...children);
const sign = (text) => make("span", { class: "sign", "aria-hidden": "true" }, text);
const quiet = (...words) => make("p", { class: "quiet" }, ...words);

// "U_T of X" with its letter set low.
function symbol(text) {
  return text.split(/_(.)/).map((part, i) => (i % 2 ? make("sub", {}, part) : part));
}

function legend(kind, channel) {
  const bar = make("canvas", { width: 128, height: 1, "aria-hidden": "true" });
  const [low, high, name] = [make("span"), make("span"), make("span", { class: "quiet" })];
  followers.push(() => {
    const of = SCALES[kind](channel);
    const picture = new ImageData(128, 1);
    for (let i = 0; i < 128; i++) picture.data.set([...of.of(of.low + ((of.high - of.low) * i) / 127), 255], 4 * i);
    bar.getContext("2d").putImageData(picture, 0, 0);
    [low.textContent, high.textContent] = [of.low, of.high].map((end) => number(end, kind === "gate" ? 0 : 2));
    name.textContent = of.name;
  });
  return make("p", { class: "key" }, low, bar, high, name);
}

// A picture of a tensor. `rows` and `cols` are the axes it lies in, the cell holds the others; `tiles` puts one picture
// for every place of a third axis side by side; `channel` holds the channel; `span` draws the mark along a whole axis;
// `kind` is that of the scale; `still` takes no pointer and no keys.
function picture({
  title,
  tensor,
  kind,
  rows = "H",
  cols = "W",
  tiles = "",
  channel = null,
  span = "",
  note = "",
  still = false,
}) {
  const places = tiles === "C" ? view.channels : tiles ? [...Array(size(tiles)).keys()] : [0];
  const stride = (axis) => ("HW".includes(axis) ? tensor.step : 1);
  const [height, width] = [rows, cols].map((axis) => Math.ceil(size(axis) / stride(axis)));
  const held = channel === null ? {} : { C: channel };
  const scaleNow = () => SCALES[kind](channel ?? undefined);
  const at = (i) => ({ ...cell, ...held, ...(tiles ? { [tiles]: places[i] } : {}) });
  const shown = [rows, cols, tiles, ...Object.keys(held)];

  const boxes = places.map(() => make("span", { class: "tile" }, make("canvas", { width, height }), make("i")));
  const role = still
    ? { role: "img" }
    : { role: "application", "aria-roledescription": "picture of numbers", tabindex: 0 };
  const style = `--tiles: ${Math.min(places.length, 8)}; --ratio: ${width / height}`;
  const grid = make("div", { class: tiles ? "tiles film" : "tiles", style, ...role }, ...boxes);
  const value = make("span", { class: "value" });
  const head = make("figcaption", {}, make("b", {}, ...symbol(title)), value, make("span", { class: "quiet" }, note));

  function paint() {
    const of = scaleNow();
    boxes.forEach((box, i) => {
      const [image, where] = [new ImageData(width, height), at(i)];
      for (let r = 0, byte = 0; r < height; r++) {
        for (let c = 0; c < width; c++, byte += 4) {
          where[rows] = r * stride(rows);
          where[cols] = c * stride(cols);
          const [red, green, blue] = of.of(tensor.at(where));
          image.data[byte] = red;
          image.data[byte + 1] = green;
          image.data[byte + 2] = blue;
          image.data[byte + 3] = 255;
        }
      }
      box.firstChild.getContext("2d").putImageData(image, 0, 0);
    });
  }

  let painted = null;
  followers.push(() => {
    const hidden = [...tensor.axes].filter((axis) => !shown.includes(axis));
    const key = hidden.map((axis) => cell[axis]).join();
    if (key !== painted) paint();
    painted = key;
    const now = tiles ? Math.max(0, places.indexOf(cell[tiles])) : 0;
    const mine = channel === null || channel === cell.C;
    const middle = (axis, length) =>
      span === axis ? 50 : (100 * (Math.floor(cell[axis] / stride(axis)) + 0.5)) / length;
    const side = (axis, length) => (span === axis ? 100 : 100 / length);
    boxes.forEach((box, i) => {
      box.lastChild.hidden = i !== now && span !== tiles;
      box.lastChild.style.cssText =
        `top: ${middle(rows, height)}%; left: ${middle(cols, width)}%; ` +
        `height: max(8px, ${side(rows, height)}%); width: max(8px, ${side(cols, width)}%)`;
      box.classList.toggle("now", tiles === "T" && i === now && mine);
      box.classList.toggle("faint", !mine);
    });
    const one = number(tensor.at(at(now)));
    value.textContent = span === rows || span === cols ? "" : one;
    const { low, high } = scaleNow();
    const range = `Colours go from ${number(low)} to ${number(high)}.`;
    grid.setAttribute("aria-label", `${title.replace("_", " ")}: ${one} at ${inWords(at(now), tensor.axes)}. ${range}`);
  });

  if (still) return make("figure", {}, head, grid);
  const point = (event) => {
    const i = boxes.findIndex((box) => box.contains(event.target));
    if (i < 0) return;
    const box = boxes[i].getBoundingClientRect();
    const r = Math.min(height - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * height)));
    const c = Math.min(width - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * width)));
    move({ ...held, ...(tiles ? { [tiles]: places[i] } : {}), [rows]: r * stride(rows), [cols]: c * stride(cols) });
  };
  grid.addEventListener("pointerdown", point);
  grid.addEventListener("pointermove", (event) => event.pointerType === "touch" || point(event));
  grid.addEventListener("keydown", (event) => {
    const keys = { ArrowUp: [rows, -1], ArrowDown: [rows, 1], ArrowLeft: [cols, -1], ArrowRight: [cols, 1] };
    if (!keys[event.key]) return;
    event.preventDefault();
    const [axis, way] = keys[event.key];
    const next = cell[axis] + way * stride(axis);
    if (next >= 0 && next < size(axis)) move({ ...held, [axis]: next });
    find("[data-said]").textContent = grid.getAttribute("aria-label");
  });
  return make("figure", {}, head, grid);
}

// A unit's maps lie as the picture does where it has rows and columns, and otherwise against time.
function unitPicture(options) {
  const [rows, cols] = { H: ["T", "W"], W: ["H", "T"] }[net.axis] ?? ["H", "W"];
  const note = "HW".includes(net.axis) ? `down: ${WORDS[rows]}s, across: ${WORDS[cols]}s` : "";
  return picture({ ...options, rows, cols, note });
}
