// @ts-check
// The viewer's state. `set` is the only way to change it, and everything is drawn from it.

/**
 * @typedef {object} ViewerState
 * @property {string} block
 * @property {string} gate "combined" or a unit.
 * @property {number} frame A place of the timeline that both sides share.
 * @property {number | null} channel null for the mean over channels.
 * @property {string} scale One of `SCALES`.
 * @property {string} colours A color map.
 * @property {number} opacity
 * @property {boolean} cells Whether cells are drawn as they are, without interpolation.
 * @property {boolean} sorted Whether the channel bars are sorted by their height.
 * @property {number} speed
 * @property {boolean} playing
 */

/** @type {ViewerState} */
const START = {
  block: "",
  gate: "combined",
  frame: 0,
  channel: null,
  scale: "typical",
  colours: "viridis",
  opacity: 0.5,
  cells: false,
  sorted: true,
  speed: 1,
  playing: false,
};
const SCALES = ["typical", "absolute", "clip", "block"];
const [DIFFERENCE, DIFFERENCE_DARK] = ["difference", "difference-dark"]; // color maps of differences

/**
 * A state that the answers can show.
 *
 * @param {ViewerState} state
 * @param {Answer} lead
 * @param {number} frames
 */
function valid(state, lead, frames = lead.times.length) {
  const next = { ...state, frame: Math.min(Math.max(0, Math.round(state.frame) || 0), frames - 1) };
  if (!lead.blocks.length) return next;
  if (!lead.blocks.some((block) => block.name === state.block)) next.block = lead.first_block || lead.blocks[0].name;
  const block = blockOf(lead, next.block);
  next.gate = gateOf(block, state.gate);
  const channels = lead.prepared ? Infinity : mayShowChannels(lead, block, next.gate) ? channelsOf(lead, block, next.gate) : 0;
  const { channel } = state;
  next.channel = channel !== null && Number.isInteger(channel) && channel >= 0 && channel < channels ? channel : null;
  return next;
}

/** Whether the page has its dark theme. */
const isDark = () => document.body.classList.contains("dark");

class Viewer {
  /**
   * @param {HTMLElement} root
   * @param {Record<string, string>} colorMaps 256 RGB triples in base64, by name.
   * @param {Record<string, any>} words
   */
  constructor(root, colorMaps, words) {
    this.root = root;
    this.words = words;
    this.tables = Object.fromEntries(Object.entries(colorMaps).map(([name, text]) => [name, bytesOf(text)]));
    /** @type {Answer[]} */
    this.answers = [];
    this.state = { ...START };
    /** @type {Partial<ViewerState> | null} */
    this.fromLink = fromQuery(location.search); // until a visitor changes something
    /** @type {number | null} */
    this.previewed = null; // a channel under the pointer
    /** @type {Record<string, string>} */
    this.drawn = {};
    /** @type {(() => void) | null} */
    this.updateReadout = null; // while the pointer is on a frame
    /** @type {() => void} */
    this.dropSecond = () => {};
    /** @type {(name: string) => void} */
    this.tryOut = () => {};
    this.stopped = this.fromLink?.frame !== undefined; // whether a visitor wants a still frame
    /** @type {number | undefined} */
    this.linkTimer = undefined;
    this.playRequest = this.previewRequest = 0;
    const names = Object.keys(this.tables).filter((name) => ![DIFFERENCE, DIFFERENCE_DARK].includes(name));
    this.input("colours").append(...names.map((name) => new Option(name)));
    this.part("waiting").textContent = words.waiting;
    this.part("address").prepend(words.copy_yourself);
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
  input(name) {
    return this.root.querySelector(`[data-state="${name}"]`);
  }

  /** The side whose blocks and channels are listed: the first with gates. */
  get lead() {
    return this.answers.find((answer) => answer.blocks.length) ?? this.answers[0];
  }

  /** The block that is shown of the leading side. */
  get block() {
    return blockOf(this.lead, this.state.block);
  }

  /** What is drawn: the state, with the previewed channel before the pinned one. */
  get view() {
    return this.previewed === null ? this.state : { ...this.state, channel: this.previewed };
  }

  /** Frames of the longest side: the timeline that both share. */
  get frames() {
    return Math.max(...this.answers.map((answer) => answer.times.length));
  }

  /**
   * The frame of an answer at a place of the timeline.
   *
   * @param {Answer} answer
   */
  frameOf(answer, place = this.state.frame) {
    return Math.floor(((place + 0.5) * answer.times.length) / this.frames);
  }

  /**
   * The map that is drawn of an answer; null without gates.
   *
   * @param {Answer} answer
   */
  mapOn(answer) {
    const { block, gate, channel } = this.view;
    if (!answer.blocks.length || this.isWaiting) return null;
    return this.isDifference ? differenceOf(answer, block, gate, channel) : mapOf(answer, block, gate, channel);
  }

  /** Whether what is usual is still on its way, and nothing but the frames can be drawn. */
  get isWaiting() {
    return this.state.scale === "typical" && this.answers.some((answer) => answer.typicalLoading);
  }

  /** Whether differences from what is usual are drawn: they are known for this view on both sides. */
  get isDifference() {
    const { block, gate, channel, scale } = this.view;
    const gated = this.answers.filter((answer) => answer.blocks.length);
    return scale === "typical" && gated.every((answer) => hasTypical(answer, block, gate, channel));
  }

  /**
   * The colors that an answer is drawn with, and the values of the first and the last one. Those of differences belong to the
   * answer's model; those of gates are the same for both sides.
   *
   * @param {Answer} answer
   * @returns {{ limits: number[], table: Uint8Array }}
   */
  colorsOf(answer, name = this.view.block) {
    if (!this.isDifference) {
      const scale = this.state.scale === "typical" ? "absolute" : this.state.scale;
      return { limits: limitsOf(this.answers, { ...this.view, scale }), table: this.tables[this.state.colours] };
    }
    const { gate, channel } = this.view;
    const limit = answer.blocks.length ? differenceLimit(answer, name, gate, channel) : 1;
    return { limits: [-limit, limit], table: this.tables[isDark() ? DIFFERENCE_DARK : DIFFERENCE] };
  }

  /** An experiment has ended, with or without a side B. */
  endTry() {
    for (const button of this.part("tries").querySelectorAll("[data-try]")) button.ariaBusy = null;
  }

  /** @param {Answer[]} answers */
  show(answers) {
    if (answers[0]?.prepared && !isAskedFor(answers[0], location.search)) return; // the answer that a link asks for follows
    this.answers = answers;
    this.drawn = {};
    this.previewed = null;
    this.part("address").hidden = true; // it was that of another view
    this.part("whole").hidden = !answers.length;
    this.part("waiting").hidden = answers.length > 0;
    if (!answers.length) return;
    if (this.fromLink) this.state = { ...this.state, frame: answers[0].times.length >> 1, ...this.fromLink };
    if (!answers[0].prepared) this.fromLink = null;
    this.keepFocus(() => {
      build(this);
      this.set({});
    });
  }

  /**
   * Makes a change that may replace or hide the focused element. The focus then goes to its successor.
   *
   * @param {() => void} change
   */
  keepFocus(change) {
    const focused = document.activeElement;
    if (!(focused instanceof HTMLElement) || !this.root.contains(focused)) return change();
    const marks = Object.entries(focused.dataset).map(([name, value]) => `[data-${name}="${CSS.escape(value ?? "")}"]`);
    change();
    if (focused.isConnected && !focused.closest("[hidden]")) return;
    const selector = `${focused.localName}${marks.join("")}:not(:disabled, [hidden] *)`;
    /** @type {HTMLElement | null} */
    const successor = marks.length ? this.root.querySelector(selector) : null;
    (successor ?? this.button("play")).focus({ preventScroll: true });
  }

  /**
   * @param {string} name
   * @returns {any}
   */
  button(name) {
    return this.root.querySelector(`[data-do="${name}"]`);
  }

  /**
   * Draws again when the channels' gates of an answer, or what is usual for its model, have arrived or are lost.
   *
   * @param {Answer} answer
   */
  onArrival(answer) {
    if (!this.answers.includes(answer)) return; // it is no longer shown
    this.drawn = {};
    this.set({});
  }

  /** @param {Partial<ViewerState>} changes */
  set(changes) {
    if (!this.answers.length) return;
    const before = this.state;
    if (Object.keys(changes).length) this.fromLink = null;
    this.state = valid({ ...before, ...changes }, this.lead, this.frames);
    const { block, gate, playing, speed } = this.state;
    const isColorMap = [...this.input("colours").options].some(({ value }) => value === this.state.colours);
    if (!isColorMap) this.state.colours = START.colours;
    if (block !== before.block || gate !== before.gate) this.previewed = null;
    if (playing !== before.playing || speed !== before.speed) this.play();
    if (playing !== before.playing) this.stopped = !playing;
    this.keepFocus(() => render(this));
    if (playing && Object.keys(changes).join() === "frame") return; // the address of a film has no frame
    clearTimeout(this.linkTimer);
    if (this.answers[0].prepared) return; // Gradio still reads the address that the page was opened with
    const address = () => history.replaceState(history.state, "", addressOf(this.state, this.answers[0]?.link));
    this.linkTimer = setTimeout(address, 150);
  }

  /** Moves from frame to frame while the state says so. */
  play() {
    cancelAnimationFrame(this.playRequest);
    if (!this.state.playing) return;
    let due = performance.now() + this.frameTime();
    const tick = (/** @type {number} */ now) => {
      if (!this.state.playing || !this.root.isConnected) return;
      if (now >= due && this.part("stage").offsetParent) {
        this.set({ frame: (this.state.frame + 1) % this.frames });
        due = now + this.frameTime();
      }
      this.playRequest = requestAnimationFrame(tick);
    };
    this.playRequest = requestAnimationFrame(tick);
  }

  /** Milliseconds for which the current frame is shown, by the clip's own times. */
  frameTime() {
    const { times } = this.answers.find((answer) => answer.times.length === this.frames) ?? this.lead;
    const { frame, speed } = this.state;
    const last = times.length - 1;
    const gap = last > 0 ? Math.abs(times[Math.min(frame + 1, last)] - times[Math.min(frame, last - 1)]) : 1;
    return (1000 * Math.min(Math.max(gap, 0.04), 2)) / speed;
  }
}
