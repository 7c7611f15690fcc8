// @ts-check
// The box of a clip: a file or recording is uploaded at once, then the component's event "upload" follows.

/**
 * @typedef {{ path: string, orig_name?: string, size?: number, meta?: object }} Upload
 *
 * @typedef {object} BoxOptions
 * @property {Record<string, string>} words Sentences.
 * @property {number} most Bytes that a file may have.
 * @property {number} countdown Seconds before a recording.
 * @property {number} seconds Of a recording.
 */

/** @param {number} seconds */
const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

class ClipBox {
  /**
   * @param {HTMLElement} root
   * @param {{ value: Upload | "" | null }} props
   * @param {(event: string) => void} trigger
   * @param {BoxOptions} options
   */
  constructor(root, props, trigger, options) {
    this.root = root;
    this.props = props;
    this.trigger = trigger;
    this.words = options.words;
    this.options = options;
    this.input = /** @type {HTMLInputElement} */ (root.querySelector("input[type=file]"));
    this.camera = new Camera(this.part("preview"), () => this.close("ended"));
    /** @type {XMLHttpRequest | null} */
    this.request = null;
    this.run = 0; // grows with every countdown and recording, so that an abandoned one stops
    /** @type {Upload | null} */
    this.value = null; // what the box holds
    this.objectUrl = ""; // of the previewed file
    this.listen();
    this.changed();
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
   * Shows what belongs to a view, and a sentence if something went wrong.
   *
   * @param {"empty" | "busy" | "clip" | "camera"} view
   */
  show(view, problem = "") {
    const focused = document.activeElement;
    this.root.dataset.view = view;
    for (const node of /** @type {NodeListOf<any>} */ (this.root.querySelectorAll("[data-when]"))) {
      node.hidden = !node.dataset.when.split(" ").includes(view);
    }
    this.part("problem").textContent = problem;
    this.part("problem").hidden = !problem;
    if (!focused || !this.root.contains(focused) || !focused.closest("[hidden]")) return;
    /** @type {HTMLElement | null} */ (this.root.querySelector(".row button:enabled:not([hidden])"))?.focus();
  }

  /** Draws a value that the server has set. Gradio also reports those that the box itself has set. */
  changed() {
    const value = this.props.value || null;
    if (value?.path === this.value?.path) return;
    this.value = value;
    this.request?.abort();
    this.leave();
    if (!value) return this.preview(null);
    const address = value.path.split("/").map(encodeURIComponent).join("/");
    this.preview(value.orig_name ?? "", `${serverRoot()}/gradio_api/file=${address}`);
  }

  /**
   * Shows a clip, or with null that there is none.
   *
   * @param {string | null} name
   */
  preview(name, address = "") {
    URL.revokeObjectURL(this.objectUrl);
    this.objectUrl = address;
    if (name === null) {
      this.part("clip").replaceChildren();
      return this.show("empty");
    }
    const video = document.createElement("video");
    Object.assign(video, { src: address, muted: true, playsInline: true, ariaLabel: name });
    const unplayable = () => {
      const sentence = document.createElement("p");
      sentence.textContent = this.words.unplayable.replace("{name}", () => name);
      this.part("clip").replaceChildren(sentence);
    };
    video.addEventListener("error", unplayable);
    video.addEventListener("loadedmetadata", () => video.videoWidth || unplayable()); // it has only sound
    const caption = document.createElement("span");
    caption.textContent = name;
    this.part("clip").replaceChildren(video, caption);
    this.show("clip");
  }

  /**
   * Tells the page of a clip, or with null that there is none.
   *
   * @param {Upload | null} value
   */
  give(value) {
    this.value = value;
    this.props.value = value;
  }

  /** @param {File} file */
  upload(file) {
    this.request?.abort();
    this.leave();
    this.preview(null);
    this.give(null); // until the new one has arrived
    if (file.size > this.options.most) return this.show("empty", this.words.too_large);
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("files", file);
    const progress = this.part("progress");
    progress.removeAttribute("value");
    this.part("busy").textContent = this.words.uploading.replace("{name}", () => file.name);
    this.show("busy");
    request.upload.addEventListener("progress", ({ loaded, total }) => (progress.value = loaded / total));
    request.addEventListener("error", () => this.show("empty", this.words.no_server));
    request.addEventListener("load", () => {
      const answer = parsed(request.responseText);
      if (request.status !== 200 || !answer?.[0]) return this.show("empty", answer?.detail ?? this.words.failed);
      this.preview(file.name, URL.createObjectURL(file));
      this.give({ path: answer[0], orig_name: file.name, size: file.size, meta: { _type: "gradio.FileData" } });
      this.trigger("upload");
    });
    request.open("POST", `${serverRoot()}/gradio_api/upload`);
    request.send(form);
    this.request = request;
  }

  /** @param {string} facing */
  async open(facing) {
    const obstacle = Camera.recordingObstacle();
    if (obstacle) return this.show(this.value ? "clip" : "empty", this.words[obstacle]);
    const run = ++this.run;
    this.ready(false);
    this.show("camera");
    this.tell(this.words.waiting);
    try {
      if (!(await this.camera.start(facing))) return;
    } catch (error) {
      if (run === this.run) this.close(Camera.problem(/** @type {Error} */ (error)));
      return;
    }
    this.tell("");
    this.ready(true);
    if (this.root.contains(document.activeElement)) this.button("record").focus();
  }

  /**
   * Enables the buttons that need a picture of the camera.
   *
   * @param {boolean} live
   */
  ready(live) {
    const record = this.button("record");
    record.disabled = !live;
    record.textContent = this.words.record;
    this.button("turn").setAttribute("aria-pressed", !this.camera.mirrored);
    const view = this.words[this.camera.mirrored ? "mirrored" : "straight"];
    this.part("hint").textContent = live ? `${this.words.how} ${view}` : "";
  }

  /** Turns the camera off and ends a countdown or recording. */
  leave() {
    this.run++;
    this.camera.stop();
  }

  /** Leaves the camera without a new clip; `problem` is the name of the sentence that says why. */
  close(problem = "") {
    this.leave();
    this.show(this.value ? "clip" : "empty", this.words[problem]);
  }

  /**
   * Shows a sentence over the picture of the camera.
   *
   * @param {string} sentence
   */
  tell(sentence, recording = false) {
    this.part("count").textContent = sentence;
    this.part("screen").classList.toggle("recording", recording);
  }

  /** Counts down, records and uploads. Called again, it ends the countdown or the recording. */
  async record() {
    const run = ++this.run;
    const button = this.button("record");
    if (this.camera.recorder) return this.camera.finish();
    if (button.textContent === this.words.stop) {
      button.textContent = this.words.record;
      return this.tell("");
    }
    button.textContent = this.words.stop;
    for (let left = this.options.countdown; left > 0; left--) {
      this.tell(`${left}`);
      await wait(1);
      if (run !== this.run) return;
    }
    this.tell(this.words.recording, true);
    const file = await this.camera.record(this.options.seconds);
    this.tell("");
    button.textContent = this.words.record;
    if (file) this.upload(file);
  }

  listen() {
    const { root } = this;
    /** @type {Record<string, () => void>} */
    const actions = {
      choose: () => this.input.click(),
      camera: () => this.open("user"),
      clear: () => {
        this.preview(null);
        this.give(null);
      },
      cancel: () => {
        this.request?.abort();
        this.show("empty");
      },
      record: () => this.record(),
      turn: () => this.open(this.camera.mirrored ? "environment" : "user"),
      off: () => this.close(),
    };
    root.addEventListener("click", ({ target }) => {
      const button = /** @type {Element} */ (target).closest("button");
      actions[button?.dataset.do ?? ""]?.();
    });
    this.input.addEventListener("change", () => {
      const file = this.input.files?.[0];
      if (file) this.upload(file);
      this.input.value = ""; // so that the same file can be chosen again
    });
    root.addEventListener("dragover", (event) => {
      event.preventDefault();
      root.classList.add("dropping");
    });
    for (const end of ["dragleave", "drop"]) root.addEventListener(end, () => root.classList.remove("dropping"));
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      const file = event.dataTransfer?.files[0];
      if (file) this.upload(file);
    });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && root.dataset.view === "camera") this.close("hidden");
    });
  }
}

/**
 * Parsed JSON, or null.
 *
 * @param {string} json
 */
function parsed(json) {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

/**
 * Starts the box of a component.
 *
 * @param {HTMLElement} element
 * @param {{ value: Upload | "" | null }} props
 * @param {(name: string, call: () => void) => void} watch
 * @param {(event: string) => void} trigger
 * @param {BoxOptions} options
 */
function startClipBox(element, props, watch, trigger, options) {
  const box = new ClipBox(/** @type {HTMLElement} */ (element.querySelector(".box")), props, trigger, options);
  watch("value", () => box.changed());
}
