// What the stage shows in each step.
const MODULES = { c: "C", st: "ST", cinst: "CinST", stinc: "STinC", "stinc-2022-06": "STinC (2022-06)" };
const RANKS = ["1st", "2nd", "3rd", "last"]; // of the channels that aia packs by default, by their mean

const STAGES = {
  1() {
    const photos = view.frames.map((source, i) =>
      make("img", { src: source, alt: `Frame ${i + 1}, ${view.times[i].toFixed(2)} s` }),
    );
    const tiles = photos.map((photo) => make("span", { class: "tile" }, photo));
    tiles.forEach((tile, i) => tile.addEventListener("click", () => move({ T: i })));
    followers.push(() => tiles.forEach((tile, i) => tile.classList.toggle("now", i === cell.T)));
    const grid = make("div", { class: "tiles film", style: `--tiles: ${Math.min(tiles.length, 8)}` }, ...tiles);
    const clip = make(
      "figure",
      {},
      make("figcaption", {}, make("b", {}, "Your clip"), make("span", { class: "quiet" }, "as the network sees it")),
      grid,
    );
    const films = view.channels.map((channel, i) =>
      make(
        "div",
        {},
        picture({
          title: `Channel ${channel}`,
          note: `${RANKS[i]} of ${size("C")} by its mean, ${number(view.means[i])}`,
          tensor: net.feature,
          kind: "feature",
          tiles: "T",
          channel,
        }),
        legend("feature", channel),
      ),
    );
    return [row("films", clip, ...films)];
  },

  2() {
    const note = { C: "four of the channels", T: "all frames" }[net.axis] ?? "one frame and channel";
    const tiles = "CT".includes(net.axis) ? net.axis : "";
    const looked = picture({
      title: looksAtX() ? "X" : "V",
      note,
      tensor: net.looked,
      kind: "pooled",
      tiles,
      span: net.axis,
    });
    const pooled = [
      ["Maximum", net.max],
      ["Mean", net.mean],
    ].map(([title, tensor]) => unitPicture({ title, tensor, kind: "pooled" }));
    return [
      row(
        `pool-${net.axis}`,
        make("div", { class: "looked" }, looked, profile()),
        sign("→"),
        make("div", { class: "pooled" }, ...pooled),
      ),
      legend("pooled"),
    ];
  },

  3() {
    const response = unitPicture({ title: "Response R", tensor: net.response, kind: "response" });
    if (net.max.step > 1) return [row("convolve", response), legend("response")]; // its neighbours were left out
    const around = make("div", { class: "around" }, ...neighbourhood(), legend("kernel"));
    return [row("convolve", around, sign("→"), make("div", { class: "answer" }, response, legend("response")))];
  },

  4() {
    return [
      row(
        "bend",
        curve(),
        sign("→"),
        unitPicture({ title: `Gate U_${net.axis}`, tensor: net.module[net.axis], kind: "gate" }),
      ),
      legend("gate"),
    ];
  },

  5() {
    const { module, used } = net;
    const gate = (axis, title = `U_${axis}`) => {
      const made = picture({ title, tensor: module[axis], kind: "gate" });
      made.classList.toggle("chosen", axis === net.axis && used === "G");
      return made;
    };
    const x = picture({ title: "X", tensor: module.x, kind: "feature" });
    const y = picture({ title: net.last ? "Y" : "V", tensor: net.product, kind: "feature" });
    const three = used === "G" ? [row("three", gate("T"), sign("+"), gate("H"), sign("+"), gate("W"))] : [];
    const whole = used === "G" ? gate("G", "G, their mean") : gate("C");
    return [...three, row("three", x, sign("·"), whole, sign("="), y), legend("gate"), legend("feature")];
  },

  6() {
    return [...net.modules.map(equation), legend("gate"), legend("feature")];
  },

  7() {
    const modes = { trained: "gates as trained", mean: "gates at their mean", identity: "gates at 1" };
    const bar = (p) =>
      make("span", { class: "track", "aria-hidden": "true" }, make("span", { style: `width: ${100 * p}%` }));
    const line = (name, cells) => make("tr", {}, make("th", { scope: "row" }, name), ...cells);
    const labels = view.scores.map((one) =>
      line(
        one.label,
        Object.keys(modes).map((mode) => make("td", {}, bar(one[mode]), percent(one[mode]))),
      ),
    );
    const sizes = line(
      "Output over input",
      Object.keys(modes).map((mode) => make("td", {}, `× ${number(ratio(mode))}`)),
    );
    const heads = Object.values(modes).map((words) => make("th", { scope: "col" }, words));
    const caption = make(
      "caption",
      {},
      make("b", {}, "Probability"),
      ` of the label, with block ${view.block} changed`,
    );
    return [
      make(
        "table",
        {},
        caption,
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Label"), ...heads)),
        make("tbody", {}, ...labels),
        make("tfoot", {}, sizes),
      ),
    ];
  },
};

// What lies along the pooled axis at the cell, with its maximum and mean.
function profile() {
  const along = net.axis === "C" ? view.channels : [...Array(size(net.axis)).keys()];
  const bars = along.map((_, i) => make("svg:rect", { x: i + 0.1, width: 0.8 }));
  const lines = ["max", "mean"].map((name) => make("svg:line", { x1: 0, x2: along.length, class: name }));
  const chart = make(
    "svg:svg",
    { viewBox: `0 0 ${along.length} 100`, preserveAspectRatio: "none", role: "img" },
    ...bars,
    ...lines,
  );
  const some = net.axis === "C" ? `${along.length} of the ${size("C")} numbers` : `The ${along.length} numbers`;
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
    const y = (v) => 100 - (100 * (v - low)) / (high - low || 1);
    bars.forEach((bar, i) => {
      const [top, bottom] = [y(net.looked.at({ ...cell, [net.axis]: along[i] })), y(0)];
      bar.setAttribute("y", Math.min(top, bottom));
      bar.setAttribute("height", Math.max(0.5, Math.abs(top - bottom)));
    });
    const [max, mean] = [net.max.at(cell), net.mean.at(cell)];
    [max, mean].forEach((v, i) => ["y1", "y2"].forEach((end) => lines[i].setAttribute(end, y(v))));
    chart.setAttribute("aria-label", `${some} under the mark: maximum ${number(max)}, mean ${number(mean)}`);
  });
  return make("figure", { class: "profile" }, caption, chart);
}

// Pooled numbers around the cell, each with the weight it is multiplied by.
function neighbourhood() {
  const weights = SCALES.kernel();
  const [deep, down, across] = view.axes;
  const cells = products().map(({ weight }) => {
    const colour = weights.of(weight);
    const [r, g, b] = colour.map((level) => (level / 255) ** 2.2);
    const ink = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff"; // the one with more contrast
    return make(
      "span",
      { style: `--weight: rgb(${colour.join(" ")}); --text: ${ink}` },
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
      head.textContent = inside ? `${WORDS[deep]} ${deep === "C" ? at : at + 1}` : "outside";
    });
  });
  const part = (name, first) =>
    make("div", { class: "part" }, make("h4", {}, name), row("planes", ...planes.slice(first, first + 3)));
  const axes = `Side by side: ${WORDS[deep]}s, down: ${WORDS[down]}s, across: ${WORDS[across]}s.`;
  return [part("Maximum × kernel", 0), part("Mean × kernel", 3), quiet(`Middle: the marked place. ${axes}`)];
}

// The sigmoid, with the range and the histogram of this unit's values and the marked one.
function curve() {
  const [low, high] = view.normalised;
  const end = Math.min(12, Math.max(4, Math.ceil(Math.max(-low, high))));
  const [x, y] = [(v) => 40 + (270 * (Math.max(-end, Math.min(end, v)) + end)) / (2 * end), (v) => 190 - 170 * v];
  const points = Array.from({ length: 121 }, (_, i) => -end + (2 * end * i) / 120).map(
    (v) => `${x(v)},${y(sigmoid(v))}`,
  );
  const most = Math.max(...view.histogram);
  const wide = (x(high) - x(low)) / view.histogram.length;
  const bars = view.histogram.map((n, i) =>
    make("svg:rect", {
      class: "bar",
      x: x(low) + i * wide,
      y: y((0.4 * n) / most),
      width: wide,
      height: (68 * n) / most,
    }),
  );
  const text = (at, words, anchor = "middle") => make("svg:text", { x: at[0], y: at[1], "text-anchor": anchor }, words);
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
    const value = normalise(net.response.at(cell));
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

// One module as a picture of its formula: a gate is a box, and what it looks at lies inside.
function equation(module, i) {
  const [x, v, y] = ["X", "V", "Y"].map((name) => (view.modules.length > 1 ? `${name}_${i + 1}` : name));
  const part = (title, tensor, kind, sizes) => picture({ title, tensor, kind, note: sizes.join("×"), still: true });
  const feature = (title, tensor) => part(title, tensor, "feature", view.shape);
  const gate = (axis) => {
    const made = part(`U_${axis}`, module[axis], "gate", gateSizes(axis));
    made.classList.toggle("chosen", module === net.module && axis === net.axis);
    return made;
  };
  const box = (which, looked, inside) => {
    const units =
      which === "C"
        ? [gate("C")]
        : [gate("T"), gate("H"), gate("W"), sign("→"), part("G", module.G, "gate", view.shape)];
    const name = which === "C" ? "Unit C" : "Units T, H and W, and their mean G";
    return make(
      "div",
      { class: which === "G" ? "gate-box wide" : "gate-box" },
      make("div", {}, make("h4", {}, name), row("parts", ...units)),
      make("div", {}, make("h4", {}, ...symbol(`looking at ${looked}`)), inside),
    );
  };
  const inside = module.inner
    ? row(
        "terms",
        feature(v, module.v),
        sign("="),
        feature(x, module.x),
        sign("·"),
        box(module.inner, x, feature(x, module.x)),
      )
    : feature(x, module.x);
  const heads = view.modules.length > 1 ? [make("h4", {}, `${i + 1}. ${MODULES[module.kind]}`)] : [];
  return make(
    "div",
    { class: "equation" },
    ...heads,
    row(
      "terms",
      feature(y, module.y),
      sign("="),
      feature(x, module.x),
      sign("·"),
      box(module.outer, module.inner ? v : x, inside),
    ),
  );
}
