// @ts-check
// The drawings of the stages that are more than a picture of a tensor.

/** The values along the pooled axis at the cell, with their maximum and mean. */
function profile() {
  const along = lesson.axis === "C" ? view.channels : [...Array(size(lesson.axis)).keys()];
  const bars = along.map((_, i) => make("svg:rect", { x: i + 0.1, width: 0.8 }));
  const lines = ["max", "mean"].map((name) => make("svg:line", { x1: 0, x2: along.length, class: name }));
  const chart = make(
    "svg:svg",
    { viewBox: `0 0 ${along.length} 100`, preserveAspectRatio: "none", role: "img" },
    ...bars,
    ...lines,
  );
  const some = lesson.axis === "C" ? `${along.length} of the ${size("C")} numbers` : `The ${along.length} numbers`;
  const caption = make(
    "figcaption",
    {},
    `${some} under the mark, `,
    make("span", { class: "max" }, "their maximum"),
    " and ",
    make("span", { class: "mean" }, "their mean"),
  );
  followers.push(() => {
    const { low, high } = SCALES.pooled();
    const y = (/** @type {number} */ v) => 100 - (100 * (v - low)) / (high - low || 1);
    bars.forEach((bar, i) => {
      const [top, bottom] = [y(lesson.input.at({ ...cell, [lesson.axis]: along[i] })), y(0)];
      bar.setAttribute("y", Math.min(top, bottom));
      bar.setAttribute("height", Math.max(0.5, Math.abs(top - bottom)));
    });
    const [max, mean] = [lesson.max.at(cell), lesson.mean.at(cell)];
    [max, mean].forEach((v, i) => ["y1", "y2"].forEach((end) => lines[i].setAttribute(end, y(v))));
    chart.setAttribute("aria-label", `${some} under the mark: maximum ${number(max)}, mean ${number(mean)}`);
  });
  return make("figure", { class: "profile" }, caption, chart);
}

/** Pooled numbers around the cell, each with the weight that it is multiplied by. */
function neighborhood() {
  const weights = SCALES.kernel();
  const [deep, down, across] = /** @type {Axis[]} */ ([...view.axes]);
  const cells = products().map(({ weight }) => {
    const color = weights.of(weight);
    const [r, g, b] = color.map((level) => (level / 255) ** 2.2);
    const ink = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff"; // the one with more contrast
    return make(
      "span",
      { style: `--weight: rgb(${color.join(" ")}); --text: ${ink}` },
      make("b"),
      make("small", {}, `×${number(weight)}`),
    );
  });
  const heads = Array.from({ length: 6 }, () => make("figcaption"));
  const planes = heads.map((head, i) =>
    make("figure", { class: "plane" }, head, make("div", {}, ...cells.slice(9 * i, 9 * i + 9))),
  );
  followers.push(() => {
    products().forEach(({ value, outside }, i) => {
      cells[i].firstChild.textContent = outside ? "0" : number(value);
      cells[i].classList.toggle("outside", outside);
    });
    heads.forEach((head, i) => {
      const at = cell[deep] + (i % 3) - 1;
      const inside = at >= 0 && at < size(deep);
      head.textContent = inside ? `${AXIS_NAMES[deep]} ${deep === "C" ? at : at + 1}` : "outside";
    });
  });
  const part = (/** @type {string} */ name, /** @type {number} */ first) =>
    make("div", { class: "part" }, make("h4", {}, name), row("planes", ...planes.slice(first, first + 3)));
  const axes = `Side by side: ${AXIS_NAMES[deep]}s, down: ${AXIS_NAMES[down]}s, across: ${AXIS_NAMES[across]}s.`;
  return [part("Maximum × kernel", 0), part("Mean × kernel", 3), quiet(`Middle: the marked place. ${axes}`)];
}

/** The sigmoid, with the range and the histogram of this unit's values and the marked one. */
function curve() {
  const [low, high] = view.normalised;
  const end = Math.min(12, Math.max(4, Math.ceil(Math.max(-low, high))));
  const x = (/** @type {number} */ v) => 40 + (270 * (Math.max(-end, Math.min(end, v)) + end)) / (2 * end);
  const y = (/** @type {number} */ v) => 190 - 170 * v;
  const points = Array.from({ length: 121 }, (_, i) => -end + (2 * end * i) / 120).map(
    (v) => `${x(v)},${y(sigmoid(v))}`,
  );
  const most = Math.max(...view.histogram);
  const edge = (/** @type {number} */ i) => x(low + ((high - low) * i) / view.histogram.length);
  const bars = view.histogram.map((n, i) =>
    make("svg:rect", {
      class: "bar",
      x: edge(i),
      y: y((0.4 * n) / most),
      width: edge(i + 1) - edge(i),
      height: (68 * n) / most,
    }),
  );
  const text = (/** @type {[number, number]} */ at, /** @type {string} */ words, anchor = "middle") =>
    make("svg:text", { x: at[0], y: at[1], "text-anchor": anchor }, words);
  const ticks = [-end, 0, end].map((v) => text([x(v), 208], number(v, 0)));
  const levels = [0, 0.5, 1].flatMap((v) => [
    make("svg:line", { class: "grid", x1: 40, x2: 310, y1: y(v), y2: y(v) }),
    text([34, y(v) + 4], `${v}`, "end"),
  ]);
  const dot = make("svg:circle", { r: 6 });
  const drops = [make("svg:line", { class: "drop" }), make("svg:line", { class: "drop" })];
  const band = make("svg:rect", {
    class: "band",
    x: x(low),
    y: y(1),
    width: Math.max(1, x(high) - x(low)),
    height: 170,
  });
  const chart = make(
    "svg:svg",
    { viewBox: "0 0 320 228", role: "img" },
    band,
    ...bars,
    ...levels,
    make("svg:polyline", { points: points.join(" ") }),
    ...drops,
    dot,
    ...ticks,
    text([175, 225], "response after batch norm"),
  );
  followers.push(() => {
    const value = normalized(lesson.response.at(cell));
    const [cx, cy] = [x(value), y(sigmoid(value))];
    dot.setAttribute("cx", cx);
    dot.setAttribute("cy", cy);
    Object.entries({ x1: cx, x2: cx, y1: y(0), y2: cy }).forEach(([name, v]) => drops[0].setAttribute(name, v));
    Object.entries({ x1: 40, x2: cx, y1: cy, y2: cy }).forEach(([name, v]) => drops[1].setAttribute(name, v));
    chart.setAttribute(
      "aria-label",
      `Sigmoid; this unit's values lie from ${number(low)} to ${number(high)}; ` +
        `the marked one is ${number(value)} and becomes ${number(sigmoid(value))}`,
    );
  });
  const caption = make(
    "figcaption",
    {},
    make("b", {}, "Sigmoid σ"),
    make("span", { class: "quiet" }, `band: from ${number(low)} to ${number(high)} on this clip, and how often`),
  );
  return make("figure", { class: "curve" }, caption, chart);
}

/**
 * One module as a picture of its formula: a gate is a box, and what its units see is inside.
 *
 * @param {Module} module
 * @param {number} place
 */
function equation(module, place) {
  const [x, v, y] = ["X", "V", "Y"].map((name) => (view.modules.length > 1 ? `${name}_${place + 1}` : name));
  const feature = (/** @type {string} */ title, /** @type {Tensor} */ tensor) =>
    picture({ title, tensor, kind: "feature", note: view.shape.join("×"), still: true });
  const { inner, outer } = module;
  const innerTerms = inner && [feature(x, module.x), sign("·"), gateBox(module, inner, x, feature(x, module.x))];
  const seen = innerTerms ? row("terms", feature(v, module.v), sign("="), ...innerTerms) : feature(x, module.x);
  const box = gateBox(module, outer, inner ? v : x, seen);
  const head = view.modules.length > 1 ? make("h4", {}, `${place + 1}. ${module.title}`) : null;
  const terms = row("terms", feature(y, module.y), sign("="), feature(x, module.x), sign("·"), box);
  return make("div", { class: "equation" }, head, terms);
}

/**
 * A gate of a module: its units, their mean, and the feature that they see.
 *
 * @param {Module} module
 * @param {Gate} gate
 * @param {string} seenName
 * @param {Node} seen
 */
function gateBox(module, { axes, symbol: name, tensor }, seenName, seen) {
  const part = (/** @type {string} */ title, /** @type {Tensor} */ shown, /** @type {number[]} */ sizes) =>
    picture({ title, tensor: shown, kind: "gate", note: sizes.join("×"), still: true });
  const units = axes.map((axis) => {
    const figure = part(`U_${axis}`, module.units[axis], gateSizes(axis));
    figure.classList.toggle("chosen", module === lesson.module && axis === lesson.axis);
    return figure;
  });
  const isMean = axes.length > 1;
  const mean = isMean ? [sign("→"), part(name, tensor, view.shape)] : [];
  const list = `${axes.slice(0, -1).join(", ")} and ${axes[axes.length - 1]}`;
  const heading = isMean ? `Units ${list}, and their mean ${name}` : `Unit ${axes[0]}`;
  return make(
    "div",
    { class: isMean ? "gate-box wide" : "gate-box" },
    make("div", {}, make("h4", {}, heading), row("parts", ...units, ...mean)),
    make("div", {}, make("h4", {}, ...symbol(`looking at ${seenName}`)), seen),
  );
}
