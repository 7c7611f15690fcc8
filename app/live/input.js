// @ts-check
// What a visitor presses in Live, and how a moment is looked at.

const READING_TIME = 10_000; // ms for which a sentence stands over the picture

/** @param {Live} live */
function listenLive(live) {
  const { root } = live;
  /** @type {Record<string, () => void>} */
  const actions = {
    start: () => live.start(Camera.preferred()),
    stop: () => live.stop(),
    turn: () => live.start(live.camera.mirrored ? "environment" : "user"),
    look: () => lookAtMoment(live),
  };
  root.addEventListener("click", ({ target }) => {
    const button = /** @type {Element} */ (target).closest("button");
    actions[button?.dataset.do ?? ""]?.();
    if (button?.dataset.task) live.turnTo(button.dataset.task);
  });
  root.addEventListener("input", () => live.choose());
  document.addEventListener("visibilitychange", () => document.hidden && live.isOn && live.stop("hidden"));
  window.addEventListener("pagehide", () => live.isOn && live.stop("hidden"));
  new ResizeObserver(() => !root.offsetWidth && live.isOn && live.stop("left")).observe(root); // another tab was opened
}

/**
 * Freezes the window: it becomes a clip like an uploaded one, and the tab Look opens it.
 *
 * @param {Live} live
 * @param {boolean} byItself Whether nobody has pressed the button.
 */
async function lookAtMoment(live, byItself = false) {
  const { run } = live;
  const { model, task } = live.state;
  try {
    const path = await live.channel.moment();
    if (run !== live.run) return;
    const movesFocus = !byItself || live.root.contains(document.activeElement); // what has the focus is hidden then
    live.stop();
    live.trigger("select", { path, model, task });
    const tab = document.getElementById("tab-look-button");
    tab?.click();
    if (movesFocus) tab?.focus({ preventScroll: true });
  } catch (error) {
    if (!(error instanceof LiveRefusal)) return live.fail(run, error);
    if (run !== live.run) return;
    live.saidUntil = performance.now() + READING_TIME;
    live.part("status").textContent = error.message;
  }
}
