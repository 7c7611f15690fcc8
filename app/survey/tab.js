// @ts-check
// The tab's state. `set` is the only way to change it, and everything is drawn from it.

/**
 * @typedef {object} SurveyState
 * @property {string} mode What the gates are switched to.
 * @property {string} block
 * @property {number | null} kind A class.
 * @property {number | null} channel
 * @property {number | null} clip One at the end of a gate.
 * @property {number} page Of the channels.
 */

/**
 * A sentence with a number in it.
 *
 * @param {string[]} forms For one, and for any other number.
 * @param {number} count
 */
const counted = ([one, many], count) => (count === 1 ? one : many.replace("{count}", `${count}`));

class SurveyTab {
  /**
   * @param {HTMLElement} root
   * @param {Page} page
   * @param {Record<string, any>} words
   * @param {Record<string, string>} colorMaps Of differences, 256 RGB triples in base64: "light" and "dark".
   */
  constructor(root, page, words, colorMaps) {
    this.root = root;
    this.page = page;
    this.words = words;
    this.tables = Object.fromEntries(
      Object.entries(colorMaps).map(([name, text]) => [name, Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]),
    );
    /** @type {Survey | null} */
    this.survey = null;
    this.key = "";
    /** @type {SurveyState} */
    this.state = { mode: "mean", block: "", kind: null, channel: null, clip: null, page: 0 };
    for (const node of root.querySelectorAll("[data-word]")) {
      node.textContent = words[/** @type {HTMLElement} */ (node).dataset.word ?? ""];
    }
    this.part("claims").append(...words.claims.map((/** @type {string} */ claim) => make("li", {}, claim)));
    this.part("modes").ariaLabel = words.modes_title;
  }

  /**
   * @param {string} name
   * @returns {any}
   */
  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  /**
   * @param {string} name
   * @returns {any}
   */
  button(name) {
    return this.root.querySelector(`[data-do="${name}"]`);
  }

  /** @param {string} sentence Empty to hide it. */
  problem(sentence) {
    this.part("problem").textContent = sentence;
    this.part("problem").hidden = !sentence;
  }

  /** The block that is drawn beside the table. */
  get block() {
    return this.survey?.blocks.find((block) => block.name === this.state.block) ?? null;
  }

  /**
   * Opens a survey at the block that the answers rest on most.
   *
   * @param {Survey} survey
   * @param {string} key "" for a visitor's file.
   */
  show(survey, key) {
    this.survey = survey;
    this.key = key;
    this.problem("");
    this.part("empty").hidden = true;
    this.part("whole").hidden = false;
    this.part("title").textContent = survey.title;
    this.part("facts").textContent = this.facts();
    const mode = SWITCHES.find((name) => survey.blocks.some((block) => block.without[name])) ?? "mean";
    const effect = (/** @type {SurveyBlock} */ block) => Math.abs(block.without[mode]?.[measureOf(survey)]?.[0] ?? 0);
    const [first] = [...survey.blocks].sort((a, b) => effect(b) - effect(a));
    this.set({ mode, block: first?.name ?? "", kind: null, channel: null, clip: null, page: 0 });
  }

  facts() {
    const { survey, words } = this;
    if (!survey) return "";
    const { num_clips: clips, num_groups: groups, errors, model, accuracy, classes_left_out: left } = survey;
    const network = model.network.replace(/, ([^,]+)$/, " ($1)"); // the backbone stands behind the rest
    return [
      counted(words.facts, clips).replace("{model}", () => network || model.name),
      survey.has_groups ? counted(words.groups, groups) : words.no_groups,
      accuracy ? words.accuracy.replace("{accuracy}", points(accuracy)) : words.no_accuracy,
      survey.are_labels ? "" : words.by_answer,
      errors ? counted(words.errors, errors) : "",
      left ? counted(words.left_out, left) : "",
      survey.has_groups && groups < 10 ? words.few_groups : "",
    ]
      .filter(Boolean)
      .join(" ");
  }

  /** @param {Partial<SurveyState>} changes */
  set(changes) {
    const focused = this.focused();
    this.state = { ...this.state, ...changes };
    this.draw();
    /** @type {HTMLElement | null} */
    const again = focused ? this.root.querySelector(focused) : null;
    again?.focus({ preventScroll: true });
  }

  /** A selector of the focused element, which is drawn anew. */
  focused() {
    const { activeElement } = document;
    if (!(activeElement instanceof HTMLElement) || !this.root.contains(activeElement)) return "";
    const marks = Object.entries(activeElement.dataset).map(([name, value]) => `[data-${name}="${CSS.escape(value ?? "")}"]`);
    return marks.length ? `${activeElement.localName}${marks.join("")}` : "";
  }

  draw() {
    const { survey, state, words } = this;
    if (!survey) return;
    const modes = SWITCHES.filter((mode) => survey.blocks.some((block) => block.without[mode]));
    const help = measureOf(survey) === "change" ? words.blocks_help : words.blocks_help_flips;
    this.part("blocks-help").textContent = !survey.blocks.length ? words.no_blocks : modes.length ? help : words.not_switched;
    this.part("measure").textContent = words[measureOf(survey)];
    this.part("modes").replaceChildren(
      ...modes.map((mode) => {
        const input = make("input", { type: "radio", name: "survey-mode", value: mode, "data-mode": mode });
        input.checked = mode === state.mode;
        return make("label", {}, input, make("span", {}, words.modes[mode]));
      }),
    );
    this.part("blocks").replaceChildren(...blockRows(survey, state.mode, state.block, words));
    const { block } = this;
    this.root.classList.toggle("bare", !block);
    if (block) this.drawBlock(survey, block);
  }

  /**
   * @param {Survey} survey
   * @param {SurveyBlock} block
   */
  drawBlock(survey, block) {
    const { state, words } = this;
    this.part("block").textContent = words.block_title
      .replace("{number}", `${survey.blocks.indexOf(block) + 1}`)
      .replace("{count}", `${survey.blocks.length}`)
      .replace("{block}", () => block.name);
    const size = matchMedia(NARROW).matches ? PAGE_OF_CHANNELS.narrow : PAGE_OF_CHANNELS.wide;
    const pages = Math.max(1, Math.ceil(block.channels.length / size));
    const first = (state.page % pages) * size;
    const channels = block.channels.slice(first, first + size);
    const table = this.tables[document.body.classList.contains("dark") ? "dark" : "light"];
    const { head, rows } = channelGrid(survey, block, { ...state, channels }, table, words);
    this.part("channels-section").hidden = !channels.length || survey.classes.length < 2;
    this.part("channels-help").textContent = words.channels_help
      .replace("{separating}", `${block.separating}`)
      .replace("{channels}", `${block.num_channels}`)
      .replace("{level}", `${survey.level}`);
    this.part("head").replaceChildren(head);
    this.part("cells").replaceChildren(...rows);
    const stop = this.root.querySelector("[role=gridcell][aria-selected=true]") ?? this.root.querySelector("[role=gridcell]");
    if (stop instanceof HTMLElement) stop.tabIndex = 0;
    this.button("more").hidden = pages < 2;
    this.part("profiles").replaceChildren(...profileButtons(survey, block, state.kind));
    this.part("ends").replaceChildren(
      endList(survey, block.lowest, words.lowest, state.clip),
      endList(survey, block.highest, words.highest, state.clip),
    );
    this.drawLead(survey, block);
  }

  /**
   * What is chosen, in words, and the way to a clip.
   *
   * @param {Survey} survey
   * @param {SurveyBlock} block
   */
  drawLead(survey, block) {
    const { words, state } = this;
    const target = this.target();
    this.part("lead").classList.toggle("on", state.kind !== null || state.clip !== null);
    this.part("said").textContent = this.sentence(survey, block);
    this.button("look").hidden = !target;
    this.button("look").textContent = target?.said ?? "";
    this.part("nowhere").hidden = Boolean(target) || (state.kind === null && state.clip === null);
    const model = survey.model.name;
    const nowhere = state.kind === null ? words.clip_nowhere : words.nowhere;
    const isOffered = this.page.models.includes(model);
    this.part("nowhere").textContent = isOffered ? nowhere : words.no_model.replace("{model}", () => model);
  }

  /** A clip that gets another answer without the gates of the block. */
  get flipped() {
    return this.block?.without[this.state.mode]?.flipped ?? null;
  }

  /** The clip that shows what is chosen. */
  target() {
    const { survey, block, state, words } = this;
    if (!survey || !block) return null;
    const clip = state.clip ?? (state.kind === null ? this.flipped : block.typical[state.kind]);
    return targetOf(survey, this.key, clip, state.kind, this.page, words);
  }

  /**
   * @param {Survey} survey
   * @param {SurveyBlock} block
   */
  sentence(survey, block) {
    const { words, state } = this;
    const { clip } = state;
    if (clip !== null) return words.said_clip.replace("{clip}", () => survey.clips[clip]);
    if (state.kind === null) {
      if (this.target()) return words.said_flipped;
      const leads = survey.classes.some((_, kind) => targetOf(survey, this.key, block.typical[kind], kind, this.page, words));
      return leads ? words.said_nothing : words.said_no_clips;
    }
    const label = survey.classes[state.kind];
    const channel = block.channels.find((one) => one.channel === state.channel);
    const parts = [];
    if (channel) {
      const difference = differenceIn(channel, state.kind) ?? 0;
      const sentence = channel.q <= survey.level ? words.said_channel : words.said_channel_chance;
      const more = difference < 0 ? words.less : words.more;
      parts.push(
        sentence
          .replace("{channel}", `${channel.channel}`)
          .replace("{mean}", minus(channel.means[state.kind] ?? 0, 3))
          .replace("{difference}", `${Math.abs(difference).toFixed(3)} ${more}`),
      );
    }
    const change = block.without[state.mode]?.classes[state.kind];
    if (typeof change === "number") {
      parts.push(words.said_class.replace("{change}", minus(100 * change, 1, true)).replace("{mode}", words.modes[state.mode]));
    }
    const numbers = parts.length ? `: ${parts.join(" ")}` : ".";
    return `${label} (${counted(words.clips, survey.counts[state.kind])})${numbers}`;
  }
}
