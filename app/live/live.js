// @ts-check
// The tab Live. The camera is off until a visitor starts it; then frames go to the server as fast as it answers.

/**
 * @typedef {object} LiveOptions
 * @property {Record<string, string>} words Sentences.
 * @property {Record<string, string>} colours Color maps, see `Viewer`.
 * @property {string} all The name that stands for the model of each group.
 * @property {Record<string, [string, string]>} groups Title of each of these groups and what it knows, by their task.
 * @property {Record<string, string>} tasks The group of each model.
 * @property {number} side Pixels of a frame's longer side.
 */

const FASTEST = 66; // ms from one window to the next: nobody would see more than 15 a second
const KEEP_EVERY = 120; // ms between the frames of a window while the server is busy

class Live {
  /**
   * @param {HTMLElement} root
   * @param {(event: string, data: object) => void} trigger
   * @param {LiveOptions} options
   */
  constructor(root, trigger, options) {
    this.root = root;
    this.trigger = trigger;
    this.options = options;
    this.words = options.words;
    this.tables = Object.fromEntries(Object.entries(options.colours).map(([name, text]) => [name, bytesOf(text)]));
    this.camera = new Camera(this.part("preview"), () => this.stop("ended"));
    this.camera.onDraw = () => this.onFrame();
    this.frames = new LiveFrames(options.side);
    this.channel = new LiveChannel();
    // The viewer's names, since its functions draw it.
    this.state = { block: "", gate: "combined", channel: null, scale: "typical", colours: "viridis", opacity: 0.5, cells: false, task: Object.keys(options.groups)[0] ?? "", model: this.input("model").value, seconds: "" };
    /** @type {LiveAnswer | null} */
    this.answer = null;
    this.run = 0; // grows with every start and stop
    this.isSending = this.isNew = this.isKeeping = false;
    this.drawnAt = this.keptAt = this.sentAt = 0;
    this.saidUntil = 0; // when the sentence over the picture disappears
    this.windows = 0; // drawn since the page was opened
    /** @type {number[]} */
    this.latencies = []; // ms from a frame's capture to its drawing, the latest ones
    /** @type {number[]} */
    this.drawn = []; // when the latest windows were drawn
    this.history = new LiveHistory(this.part("history"), this.part("nothing"));
    /** @type {Uint8Array | null} */
    this.drawnTable = null;
    listenLive(this);
    this.choose();
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

  /**
   * @param {string} name
   * @returns {any}
   */
  input(name) {
    return this.root.querySelector(`[data-state="${name}"]`);
  }

  get lead() {
    return /** @type {LiveAnswer} */ (this.answer).view;
  }

  get answers() {
    return this.answer ? [this.answer.view] : [];
  }

  /** Whether differences from what is usual are drawn: they have arrived, and are known for this model. */
  get isDifference() {
    return this.lead.blocks.length > 0 && hasTypical(this.lead, this.state.block, "combined", null);
  }

  /**
   * Shows what belongs to a view, and a sentence if something went wrong.
   *
   * @param {"off" | "waiting" | "on"} view
   */
  show(view, problem = "") {
    const hadFocus = this.root.contains(document.activeElement);
    this.root.dataset.view = view;
    for (const node of /** @type {NodeListOf<any>} */ (this.root.querySelectorAll("[data-when]"))) node.hidden = !node.dataset.when.split(" ").includes(view);
    this.part("problem").textContent = problem;
    this.part("problem").hidden = !problem;
    this.button("look").disabled = !this.answer;
    if (hadFocus && document.activeElement?.closest("[hidden]")) this.button(view === "off" ? "start" : "stop").focus();
  }

  /** @param {string} facing */
  async start(facing) {
    const obstacle = Camera.obstacle();
    if (obstacle) return this.show("off", this.words[obstacle]);
    this.leave();
    const { run } = this;
    this.show("waiting");
    this.part("status").textContent = this.words.waiting;
    try {
      if (!(await this.camera.start(facing))) return;
    } catch (error) {
      if (run === this.run) this.stop(Camera.problem(/** @type {Error} */ (error)));
      return;
    }
    try {
      const key = await this.channel.open();
      if (run !== this.run) return this.channel.close(key); // another session may be open by now
      this.channel.key = key;
    } catch (error) {
      return this.fail(run, error);
    }
    this.button("turn").setAttribute("aria-pressed", String(!this.camera.mirrored));
    this.fill();
  }

  /** Waits for an answer: the session, the model or the camera's picture has changed. */
  fill() {
    const { canvas, mirrored } = this.camera;
    this.part("screen").style.setProperty("--aspect", `${canvas.width / Math.max(canvas.height, 1)}`);
    this.clear();
    this.show("on");
    this.part("status").textContent = `${this.words.filling} … ${this.words[mirrored ? "mirrored" : "straight"]}`;
  }

  /** Takes the answer from the screen. */
  clear() {
    this.answer = null;
    this.history.forget();
    this.drawn = [];
    clearLive(this);
  }

  /** Turns the camera off and ends the session. */
  leave() {
    this.run++;
    this.camera.stop();
    this.channel.close();
    this.frames.clear();
    this.isSending = this.isNew = this.isKeeping = false;
    this.clear();
  }

  /**
   * Stops; `problem` is the name of the sentence that says why.
   *
   * @param {string} [problem]
   */
  stop(problem) {
    this.end(problem ? this.words[problem] : "");
  }

  /** @param {string} sentence */
  end(sentence) {
    this.leave();
    this.show("off", sentence);
  }

  /**
   * A request of a run has failed.
   *
   * @param {number} run
   * @param {unknown} error
   */
  fail(run, error) {
    if (run === this.run) this.end(error instanceof LiveRefusal ? error.message : this.words.lost);
  }

  /** The camera has drawn a new frame. */
  onFrame() {
    this.drawnAt = performance.now();
    this.isNew = true;
    this.step();
  }

  /** Keeps the newest frame if it is time to, and sends it if the server waits for one. */
  async step() {
    if (!this.channel.key || !this.isNew || this.isKeeping) return;
    const time = this.drawnAt;
    if (this.isSending ? time - this.keptAt < KEEP_EVERY : time - this.sentAt < FASTEST) return;
    const { run } = this;
    const sends = !this.isSending;
    this.isNew = false;
    this.isKeeping = true; // one frame after the other: they are sent in the order of their times
    this.keptAt = time;
    if (sends) [this.isSending, this.sentAt] = [true, time];
    await this.frames.add(this.camera.canvas, time / 1000);
    if (run !== this.run) return;
    this.isKeeping = false;
    if (sends) this.send(run, time);
  }

  /**
   * @param {number} run
   * @param {number} time When the newest frame was captured.
   */
  async send(run, time) {
    const { model, task, seconds } = this.state;
    const block = this.input("block").value;
    try {
      const answer = await this.channel.send(this.frames.take(Number(seconds)), { model, task, block, seconds });
      if (run !== this.run) return;
      this.isSending = false;
      const isAsked = model === this.state.model && task === this.state.task && block === this.input("block").value;
      if (isAsked && !answer.waiting) this.take(answer, time);
      else if (isAsked && this.answer) this.fill(); // a phone was turned
    } catch (error) {
      return this.fail(run, error);
    }
    this.step(); // a frame may have come meanwhile
  }

  /**
   * Draws an answer.
   *
   * @param {LiveAnswer} answer
   * @param {number} time
   */
  take(answer, time) {
    const isFirst = !this.answer;
    this.answer = answer;
    this.state.block = answer.view.blocks[0]?.name ?? "";
    if (isFirst) this.show("on");
    if (isFirst || performance.now() > this.saidUntil) this.part("status").textContent = "";
    drawLive(this);
    const now = performance.now();
    this.windows++;
    this.latencies = [...this.latencies.slice(-199), now - time];
    const recent = this.drawn.filter((drawn) => drawn > now - 2000);
    this.drawn = [...(recent.length ? recent : this.drawn.slice(-1)), now];
    this.part("rate").textContent = rateOf(this.drawn, this.words.rate);
    if (!this.history.add(answer) || !this.input("byItself").checked || fitsEveryClip(this)) return;
    this.history.isLookedAt = true; // once, though the moment may be refused
    lookAtMoment(this, true);
  }

  /** The visitor has chosen something: a model, a group, a block, the length of the window, or whether to look automatically. */
  choose() {
    const { model, seconds } = this.state;
    Object.assign(this.state, { model: this.input("model").value, seconds: this.input("seconds").value });
    this.part("seconds").textContent = this.words.seconds.replace("{seconds}", Number(this.state.seconds).toFixed(1));
    this.part("byItself").hidden = fitsEveryClip(this); // it would wait for ever
    if (this.answer && model !== this.state.model) return this.fill();
    if (seconds !== this.state.seconds) this.history.forget();
    drawGroups(this);
  }

  /**
   * Looks into another group. Until its answer has come, both groups keep their last answers.
   *
   * @param {string} task
   */
  turnTo(task) {
    const { answer, state } = this;
    if (answer) {
      answer.others[state.task] = [answer.says, answer.percent, answer.known];
      [answer.says, answer.percent, answer.known] = answer.others[task] ?? ["", "", false];
    }
    state.task = task;
    this.history.forget();
    this.choose();
  }

  get isOn() {
    return this.root.dataset.view !== "off";
  }
}

/**
 * @param {HTMLElement} element
 * @param {(event: string, data: object) => void} trigger
 * @param {LiveOptions} options
 */
function startLive(element, trigger, options) {
  const root = /** @type {HTMLElement} */ (element.querySelector(".live"));
  Object.assign(root, { live: new Live(root, trigger, options) }); // tests and benchmarks read it
}
