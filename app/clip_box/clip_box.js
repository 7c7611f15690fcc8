// The box of a clip: what it holds is uploaded at once, and whoever listens to "upload" goes on with it.

const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

class ClipBox {
  constructor(root, props, trigger, { words, most, countdown, seconds }) {
    Object.assign(this, { root, props, trigger, words, most, countdown, seconds });
    this.input = root.querySelector("input[type=file]");
    this.camera = new Camera(this.part("preview"), () => this.close("ended"));
    this.request = null;
    this.run = 0; // of countdowns and recordings: one that was left does not go on
    this.value = null; // what the box holds
    this.listen();
    this.changed();
  }

  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  button(name) {
    return this.root.querySelector(`[data-do="${name}"]`);
  }

  /** Shows what belongs to "empty", "busy", "clip" or "camera", and a sentence if something went wrong. */
  show(view, problem = "") {
    const focused = document.activeElement;
    this.root.dataset.view = view;
    for (const node of this.root.querySelectorAll("[data-when]")) node.hidden = !node.dataset.when.split(" ").includes(view);
    this.part("problem").textContent = problem;
    this.part("problem").hidden = !problem;
    if (this.root.contains(focused) && focused.closest("[hidden]")) this.root.querySelector(".row button:enabled:not([hidden])").focus();
  }

  /** Draws the value that the server has set; Gradio also calls for those that the box itself has set. */
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

  /** Shows a clip, or with null that there is none. */
  preview(name, address) {
    URL.revokeObjectURL(this.shown);
    this.shown = address;
    if (name === null) {
      this.part("clip").replaceChildren();
      return this.show("empty");
    }
    const video = document.createElement("video");
    Object.assign(video, { src: address, controls: true, muted: true, loop: true, playsInline: true, ariaLabel: name });
    const unplayable = () => {
      const said = document.createElement("p");
      said.textContent = this.words.unplayable.replace("{name}", name);
      video.replaceWith(said);
    };
    video.addEventListener("error", unplayable);
    video.addEventListener("loadedmetadata", () => video.videoWidth || unplayable()); // only its sound
    this.part("clip").replaceChildren(video);
    this.show("clip");
  }

  /** Tells the page of a clip, or with null that there is none. */
  give(value) {
    this.value = value;
    this.props.value = value;
  }

  upload(file) {
    this.request?.abort();
    this.leave();
    this.preview(null);
    this.give(null); // until the new one is there
    if (file.size > this.most) return this.show("empty", this.words.too_large);
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("files", file);
    const progress = this.part("progress");
    progress.removeAttribute("value");
    this.part("busy").textContent = this.words.uploading.replace("{name}", file.name);
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

  async open(facing) {
    const lacking = Camera.lacking();
    if (lacking) return this.show(this.value ? "clip" : "empty", this.words[lacking]);
    const run = ++this.run;
    this.ready(false);
    this.show("camera");
    this.tell(this.words.waiting);
    try {
      if (!(await this.camera.start(facing))) return;
    } catch (error) {
      return run === this.run && this.close(Camera.problem(error));
    }
    this.tell("");
    this.ready(true);
    if (this.root.contains(document.activeElement)) this.button("record").focus();
  }

  /** Whether the camera shows a picture, and so can record it. */
  ready(live) {
    const record = this.button("record");
    record.disabled = !live;
    record.textContent = this.words.record;
    this.button("turn").setAttribute("aria-pressed", !this.camera.mirrored);
    this.part("hint").textContent = live ? this.words[this.camera.mirrored ? "mirrored" : "straight"] : "";
  }

  /** Turns the camera off, and ends what is counted down or recorded. */
  leave() {
    this.run++;
    this.camera.stop();
  }

  /** The same for who does not go on with a clip; `problem` is the name of the sentence that says why. */
  close(problem = "") {
    this.leave();
    this.show(this.value ? "clip" : "empty", this.words[problem]);
  }

  /** Says something over the picture of the camera. */
  tell(sentence, recording = false) {
    this.part("count").textContent = sentence;
    this.part("screen").classList.toggle("recording", recording);
  }

  /** Counts down, records, and uploads; pressed once more, it ends the countdown or the recording. */
  async record() {
    const run = ++this.run;
    const button = this.button("record");
    if (this.camera.recorder) return this.camera.finish();
    if (button.textContent === this.words.stop) {
      button.textContent = this.words.record;
      return this.tell("");
    }
    button.textContent = this.words.stop;
    for (let left = this.countdown; left > 0; left--) {
      this.tell(`${left}`);
      await wait(1);
      if (run !== this.run) return;
    }
    this.tell(this.words.recording, true);
    const file = await this.camera.record(this.seconds);
    this.tell("");
    button.textContent = this.words.record;
    if (file) this.upload(file);
  }

  listen() {
    const { root } = this;
    const acts = {
      choose: () => this.input.click(),
      camera: () => this.open("user"),
      clear: () => (this.preview(null), this.give(null)),
      cancel: () => (this.request.abort(), this.show("empty")),
      record: () => this.record(),
      turn: () => this.open(this.camera.mirrored ? "environment" : "user"),
      off: () => this.close(),
    };
    root.addEventListener("click", ({ target }) => acts[target.closest("button")?.dataset.do]?.());
    this.input.addEventListener("change", () => {
      const [file] = this.input.files;
      if (file) this.upload(file);
      this.input.value = ""; // so that the same file can be chosen again
    });
    root.addEventListener("dragover", (event) => event.preventDefault());
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      const [file] = event.dataTransfer.files;
      if (file) this.upload(file);
    });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && root.dataset.view === "camera") this.close("hidden");
    });
  }
}

/** What JSON says, or null. */
function parsed(json) {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

/** Starts the box that a component of Gradio is. */
function startClipBox(element, props, watch, trigger, options) {
  const box = new ClipBox(element.querySelector(".box"), props, trigger, options);
  watch("value", () => box.changed());
}
