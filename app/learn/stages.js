// @ts-check
// What the stage shows in each step.
const RANKS = ["1st", "2nd", "3rd", "last"]; // of the channels that are packed, by their mean

/** @type {Record<number, () => Node[]>} */
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
          tensor: lesson.feature,
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
    /** @type {Record<string, string>} */
    const notes = { C: "four of the channels", T: "all frames" };
    const note = notes[lesson.axis] ?? "one frame and channel";
    const tiles = lesson.axis === "C" || lesson.axis === "T" ? lesson.axis : "";
    const input = picture({
      title: lesson.seesX ? "X" : "V",
      note,
      tensor: lesson.input,
      kind: "pooled",
      tiles,
      span: lesson.axis,
    });
    const pooled = Object.entries({ Maximum: lesson.max, Mean: lesson.mean }).map(([title, tensor]) =>
      unitPicture({ title, tensor, kind: "pooled" }),
    );
    return [
      row(
        `pool-${lesson.axis}`,
        make("div", { class: "looked" }, input, profile()),
        sign("→"),
        make("div", { class: "pooled" }, ...pooled),
      ),
      legend("pooled"),
    ];
  },

  3() {
    const response = unitPicture({ title: "Response R", tensor: lesson.response, kind: "response" });
    if (lesson.max.stride > 1) return [row("convolve", response), legend("response")]; // the places around the mark were left out
    const around = make("div", { class: "around" }, ...neighborhood(), legend("kernel"));
    return [row("convolve", around, sign("→"), make("div", { class: "answer" }, response, legend("response")))];
  },

  4() {
    return [
      row(
        "bend",
        curve(),
        sign("→"),
        unitPicture({ title: `Gate U_${lesson.axis}`, tensor: lesson.module.units[lesson.axis], kind: "gate" }),
      ),
      legend("gate"),
    ];
  },

  5() {
    const { module, used } = lesson;
    const gate = (/** @type {Axis} */ axis) => {
      const figure = picture({ title: `U_${axis}`, tensor: module.units[axis], kind: "gate" });
      figure.classList.toggle("chosen", axis === lesson.axis && used.axes.length > 1);
      return figure;
    };
    const x = picture({ title: "X", tensor: module.x, kind: "feature" });
    const y = picture({ title: lesson.isOuter ? "Y" : "V", tensor: lesson.product, kind: "feature" });
    const mean = () => picture({ title: `${used.symbol}, their mean`, tensor: used.tensor, kind: "gate" });
    const terms = used.axes.flatMap((axis, i) => (i ? [sign("+"), gate(axis)] : [gate(axis)]));
    const parts = used.axes.length > 1 ? [row("three", ...terms)] : [];
    const whole = used.axes.length > 1 ? mean() : gate(used.axes[0]);
    return [...parts, row("three", x, sign("·"), whole, sign("="), y), legend("gate"), legend("feature")];
  },

  6() {
    return [...lesson.modules.map(equation), legend("gate"), legend("feature")];
  },

  7() {
    const modes = { trained: "gates as trained", mean: "gates at their mean", identity: "gates at 1" };
    const bar = (/** @type {number} */ p) =>
      make("span", { class: "track", "aria-hidden": "true" }, make("span", { style: `width: ${100 * p}%` }));
    const line = (/** @type {string} */ name, /** @type {Node[]} */ cells) =>
      make("tr", {}, make("th", { scope: "row" }, name), ...cells);
    const names = Object.keys(modes);
    const labels = view.scores.map((score) =>
      line(
        score.label,
        names.map((mode) => make("td", {}, bar(score[mode]), percent(score[mode]))),
      ),
    );
    const sizes = line(
      "Output over input",
      names.map((mode) => make("td", {}, `× ${number(ratio(mode))}`)),
    );
    const heads = Object.values(modes).map((words) => make("th", { scope: "col" }, words));
    const note = ` of the label, with block ${view.block} changed`;
    const table = make(
      "table",
      {},
      make("caption", {}, make("b", {}, "Probability"), note),
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Label"), ...heads)),
      make("tbody", {}, ...labels),
      make("tfoot", {}, sizes),
    );
    return [table];
  },
};
