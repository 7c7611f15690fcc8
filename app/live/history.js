// @ts-check
// The labels so far, with times. A label is noted once it has been sure for a while.

const SAID_AFTER = 400; // ms for which a label is sure until it is noted
const MOMENT_AFTER = 700; // and until it is a moment to look at
const MOMENT_FROM = 0.5; // its probability: more than all others together
const MAX_HISTORY = 30; // lines
const OF_EVERY_CLIP = "camera"; // the group that has a label for every clip

class LiveHistory {
  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} nothing Shown until there is something.
   */
  constructor(list, nothing) {
    this.list = list;
    this.nothing = nothing;
    this.label = ""; // what is sure now
    this.since = 0;
    this.best = 0; // its highest probability
    this.isLookedAt = false;
    /** @type {HTMLElement | null} */
    this.line = null;
  }

  /** No label is sure any more. */
  forget() {
    this.label = "";
    this.since = performance.now();
    this.best = 0;
    this.isLookedAt = false;
    this.line?.lastElementChild?.removeAttribute("aria-hidden"); // its value is final
    this.line = null;
  }

  /**
   * Adds an answer. Returns whether its label has stayed sure and was not looked at: it is a moment to look at.
   *
   * @param {LiveAnswer} answer
   */
  add({ known, label, probability, percent }) {
    if (!known || label !== this.label) this.forget();
    if (!known) return false;
    this.label = label;
    const lasted = performance.now() - this.since;
    if (lasted >= SAID_AFTER) this.line ??= this.note(label);
    if (this.line?.lastChild && probability > this.best) {
      this.best = probability;
      this.line.lastChild.textContent = percent;
    }
    return lasted >= MOMENT_AFTER && probability >= MOMENT_FROM && !this.isLookedAt;
  }

  /** @param {string} label */
  note(label) {
    const time = new Date().toLocaleTimeString([], { hour12: false });
    const line = make("li", {}, make("time", {}, time), make("b", {}, label), make("span", { "aria-hidden": "true" })); // it grows
    this.list.prepend(line);
    while (this.list.children.length > MAX_HISTORY) this.list.lastChild?.remove();
    this.list.hidden = false;
    this.nothing.hidden = true;
    return line;
  }
}

/**
 * Whether the model that is shown has a label for every clip: then none of them is a moment.
 *
 * @param {Live} live
 */
function fitsEveryClip({ options, state }) {
  return (state.model === options.all ? state.task : options.tasks[state.model]) === OF_EVERY_CLIP;
}
