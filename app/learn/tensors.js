// The tensors of a lesson, unpacked from a view of it (aia/inspection/trace.py), and the arithmetic that is left to the page. A
// tensor is an object whose at(cell) gives its value at a cell {T, C, H, W}: it passes over the axes it lacks, and that
// is all that broadcasting takes. The files of this folder are one script: tensors, pictures, stages, learn.
const AXES = ["T", "C", "H", "W"];
const cell = { T: 0, C: 0, H: 0, W: 0 }; // the marked number; C is the channel's own number
let view = null; // the parsed value
let net = null; // its tensors

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function unpack(packed) {
  const raw = bytes(packed.data);
  const levels = packed.bits === 16 ? new Uint16Array(raw.buffer) : raw;
  const unit = (packed.high - packed.low) / (2 ** packed.bits - 1);
  const places = new Map(packed.channels.map((channel, place) => [channel, place]));
  const index = { T: (t) => t, C: (c) => places.get(c), H: (h) => Math.floor(h / packed.step) };
  const dims = [...packed.axes].map((axis, i) => ({
    axis,
    length: { T: packed.shape[i], C: places.size }[axis] ?? Math.ceil(packed.shape[i] / packed.step),
    index: index[axis] ?? index.H,
  }));
  const at = (where) =>
    packed.low + unit * levels[dims.reduce((offset, d) => offset * d.length + d.index(where[d.axis]), 0)];
  return { axes: packed.axes, step: packed.step, low: packed.low, high: packed.high, at };
}

// Every place of a channel at which a tensor was packed, but for a border.
function* everywhere(tensor, channel, border = 0) {
  for (let T = 0; T < size("T"); T++) {
    for (let H = border; H < size("H") - border; H += tensor.step) {
      for (let W = border; W < size("W") - border; W += tensor.step) yield { T, C: channel, H, W };
    }
  }
}

// Lowest and highest value of a channel; 0 is always among them, since gates draw values to it.
function rangeOf(tensor, channel) {
  let [low, high] = [0, 0];
  for (const where of everywhere(tensor, channel)) {
    const value = tensor.at(where);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

const times = (a, b) => ({ axes: "TCHW", step: a.step, at: (where) => a.at(where) * b.at(where) });
const meanOf = (a, b, c) => ({
  axes: "TCHW",
  step: a.step,
  at: (where) => (a.at(where) + b.at(where) + c.at(where)) / 3,
});

// The modules as in aia/modeling/attention.py. V is what the inner gate makes of X, and what the outer units look at; Y the output.
function tensors() {
  const gates = Object.fromEntries(Object.entries(view.gates).map(([unit, packed]) => [unit, unpack(packed)]));
  const feature = unpack(view.x);
  let x = feature;
  const modules = view.modules.map((kind, i) => {
    const [C, T, H, W] = ["C", "T", "H", "W"].map((axis) => gates[(view.modules.length > 1 ? `${i + 1}.` : "") + axis]);
    const G = T && meanOf(T, H, W);
    const outer = kind === "c" || kind.startsWith("stinc") ? "C" : "G"; // the gate that multiplies X in the end
    const inner = { cinst: "C", stinc: "G", "stinc-2022-06": "G" }[kind];
    const module = { kind, x, C, T, H, W, G, outer, inner };
    module.v = inner ? times(x, module[inner]) : x;
    module.y = times(x, module[outer]);
    if (view.combination === "cascade") x = module.y;
    return module;
  });
  const axis = view.unit.slice(-1);
  const module = modules[view.unit.startsWith("2.") ? 1 : 0];
  const used = axis === "C" ? "C" : "G"; // what the unit's gate multiplies X as
  const last = used === module.outer;
  return {
    axis,
    modules,
    module,
    used,
    last,
    feature,
    looked: last ? module.v : module.x,
    product: last ? module.y : module.v,
    ranges: new Map(view.channels.map((channel) => [channel, rangeOf(feature, channel)])),
    max: unpack(view.max),
    mean: unpack(view.mean),
    response: unpack(view.response),
  };
}

const looksAtX = () => net.looked === net.module.x;

// The 54 products of the convolution at the cell: kernel axes in the order of view.axes, outside counts as 0.
function products() {
  const found = [];
  view.kernel.forEach((planes, map) =>
    planes.forEach((rows, i) =>
      rows.forEach((weights, j) =>
        weights.forEach((weight, k) => {
          const where = { ...cell };
          [i, j, k].forEach((offset, n) => (where[view.axes[n]] += offset - 1));
          const outside = [...view.axes].some((axis) => where[axis] < 0 || where[axis] >= size(axis));
          found.push({ map, weight, outside, value: outside ? 0 : [net.max, net.mean][map].at(where) });
        }),
      ),
    ),
  );
  return found;
}

const normalise = (r) =>
  (view.norm.weight * (r - view.norm.mean)) / Math.sqrt(view.norm.var + view.norm.eps) + view.norm.bias;
