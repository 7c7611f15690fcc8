// @ts-check
// What a visitor does with pointer and keys becomes a change of the state.

/** @param {Viewer} viewer */
function listen(viewer) {
  const { root } = viewer;
  root.addEventListener("input", ({ target }) => edit(viewer, target));
  root.addEventListener("click", ({ target }) => clickButton(viewer, /** @type {Element} */ (target).closest("button")));
  root.addEventListener("pointermove", (event) => point(viewer, event));
  root.addEventListener("pointerdown", (event) => {
    if (/** @type {Element} */ (event.target).matches("canvas.frame")) viewer.set({ playing: false });
    point(viewer, event);
  });
  root.addEventListener("pointerout", ({ target }) => leave(viewer, /** @type {Element} */ (target)));
  viewer.part("bars").addEventListener("click", (/** @type {PointerEvent} */ event) => pin(viewer, channelUnder(viewer, event)));
  viewer.part("bars").addEventListener("focusout", () => preview(viewer, null));
  viewer.part("table").addEventListener("toggle", () => viewer.set(viewer.part("table").open ? { playing: false } : {}));
  document.addEventListener("pointerdown", ({ target }) => {
    if (!(target instanceof Node) || !viewer.part("look").contains(target)) viewer.part("look").open = false;
  });
  document.addEventListener("click", ({ target }) => {
    /** @type {HTMLElement | null} */
    const button = target instanceof Element ? target.closest("[data-show-block]") : null; // in the page's tables
    if (button && root.isConnected) viewer.set({ block: button.dataset.showBlock });
  });
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (!root.isConnected) return document.removeEventListener("keydown", onKey);
    const inside = root.contains(document.activeElement);
    // If nothing has the focus, keys that scroll the page keep doing so.
    const unfocused = document.activeElement === document.body && ![" ", "ArrowUp", "ArrowDown"].includes(event.key);
    if (viewer.part("stage").offsetParent !== null && (inside || unfocused)) pressKey(viewer, event);
  };
  document.addEventListener("keydown", onKey);
  const repaint = () => {
    viewer.drawn.bars = ""; // they are drawn in the theme's text color; render() knows the rest
    viewer.set({});
  };
  new MutationObserver(repaint).observe(document.body, { attributeFilter: ["class"] });
  matchMedia("(forced-colors: active)").addEventListener("change", repaint);
}

/**
 * @param {Viewer} viewer
 * @param {any} target
 */
function edit(viewer, target) {
  const name = target.dataset.state;
  if (!name) return;
  const isText = ["scale", "colours"].includes(name);
  const value = target.type === "checkbox" ? target.checked : isText ? target.value : Number(target.value);
  viewer.set({ [name]: value, ...(name === "frame" ? { playing: false } : {}) });
}

/**
 * @param {Viewer} viewer
 * @param {HTMLButtonElement | null} button
 */
function clickButton(viewer, button) {
  if (!button) return;
  const { frame, block, gate, channel, side } = button.dataset;
  if (frame !== undefined) {
    const answer = viewer.answers[Number(side)];
    const places = Array.from({ length: viewer.frames }, (_, place) => place);
    viewer.set({ frame: places.find((place) => viewer.frameOf(answer, place) === Number(frame)), playing: false });
  } else if (block !== undefined) viewer.set({ block });
  else if (gate !== undefined) viewer.set({ gate });
  else if (channel !== undefined) pin(viewer, Number(channel));
  else if (button.dataset.try !== undefined) startTry(viewer, button);
  else act(viewer, button.dataset.do);
}

/**
 * @param {Viewer} viewer
 * @param {string | undefined} name
 */
function act(viewer, name) {
  if (name === "back") step(viewer, -1);
  else if (name === "on") step(viewer, 1);
  else if (name === "play") viewer.set({ playing: !viewer.state.playing });
  else if (name === "unpin") unpin(viewer);
  else if (name === "help") viewer.part("help").showModal();
  else if (name === "close") viewer.part("help").close();
  else if (name === "link") {
    viewer.set({ playing: false }); // the link holds one frame
    copyLink(viewer);
  }
  else if (name === "drop") viewer.dropSecond();
}

/**
 * Asks the page for an experiment. `Viewer.endTry` follows.
 *
 * @param {Viewer} viewer
 * @param {HTMLButtonElement} button
 */
function startTry(viewer, button) {
  button.ariaBusy = "true";
  viewer.tryOut(button.dataset.try ?? "");
}

/**
 * Plays a new clip, unless the visitor has stopped the film, a link asks for one frame, or the system wants no motion.
 *
 * @param {Viewer} viewer
 */
function playByItself(viewer) {
  if (viewer.stopped || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  if (viewer.answers.length && viewer.frames > 1) viewer.set({ playing: true });
}

/**
 * @param {Viewer} viewer
 * @param {number} by
 */
function step(viewer, by) {
  viewer.set({ frame: (viewer.state.frame + by + viewer.frames) % viewer.frames, playing: false });
}

/**
 * @param {Viewer} viewer
 * @param {number} by
 */
function stepBlock(viewer, by) {
  const names = viewer.lead.blocks.map((block) => block.name);
  const block = names[names.indexOf(viewer.state.block) + by];
  if (block) viewer.set({ block });
  const ladder = viewer.part("ladder");
  if (ladder.contains(document.activeElement)) ladder.querySelector('[aria-checked="true"]').focus();
}

/**
 * Sets a value of the state to the next one of a list.
 *
 * @param {Viewer} viewer
 * @param {"gate" | "scale"} name
 * @param {string[]} choices
 */
function cycle(viewer, name, choices, by = 1) {
  viewer.set({ [name]: choices[(choices.indexOf(viewer.state[name]) + by + choices.length) % choices.length] });
}

/**
 * Pins a channel, or releases the pinned one.
 *
 * @param {Viewer} viewer
 * @param {number | null} channel
 */
function pin(viewer, channel) {
  if (channel !== null) viewer.set({ channel: channel === viewer.state.channel ? null : channel });
}

/** @param {Viewer} viewer */
function unpin(viewer) {
  viewer.previewed = null;
  viewer.set({ channel: null });
}

/**
 * @param {Viewer} viewer
 * @param {number | null} channel
 */
function preview(viewer, channel) {
  if (channel === viewer.previewed || viewer.lead.blocks.length === 0) return;
  viewer.previewed = channel;
  cancelAnimationFrame(viewer.previewRequest); // a pointer moves more often than the screen is drawn
  viewer.previewRequest = requestAnimationFrame(() => render(viewer));
}

/**
 * @param {Viewer} viewer
 * @param {KeyboardEvent} event
 */
function pressKey(viewer, event) {
  const { key } = event;
  const target = /** @type {Element} */ (event.target);
  if (!viewer.answers.length || event.ctrlKey || event.metaKey || event.altKey || viewer.part("help").open) return;
  if (document.querySelector(":popover-open")) return; // Escape closes it
  if (isKeyOf(target, key)) return;
  if (target.matches("canvas.bars") && pressBarKey(viewer, key)) return event.preventDefault();
  const gates = viewer.lead.blocks.length ? gatesOf(viewer.block) : [];
  const isGate = viewer.part("gates").contains(target);
  const along = (/** @type {number} */ by) => (isGate ? cycle(viewer, "gate", gates, by) : step(viewer, by));
  /** @type {Record<string, () => void>} */
  const actions = {
    ArrowLeft: () => along(-1),
    ArrowRight: () => along(1),
    " ": () => act(viewer, "play"),
    ArrowUp: () => stepBlock(viewer, -1),
    ArrowDown: () => stepBlock(viewer, 1),
    g: () => cycle(viewer, "gate", gates),
    s: () => cycle(viewer, "scale", SCALES),
    c: () => viewer.set({ cells: !viewer.state.cells }),
    Escape: () => (viewer.part("look").open ? (viewer.part("look").open = false) : unpin(viewer)),
    "?": () => act(viewer, "help"),
  };
  if (!actions[key]) return;
  event.preventDefault();
  actions[key]();
}

/**
 * Whether the focused element uses a key itself.
 *
 * @param {Element} target
 * @param {string} key
 */
function isKeyOf(target, key) {
  if (target.matches("select, textarea, input:not([type=range]):not([type=checkbox])")) return true;
  if (key === " ") return target.matches("button, summary, input[type=checkbox]");
  return key.startsWith("Arrow") && (target.matches("input[type=range]") || target.closest(".table") !== null);
}

/**
 * Keys on the channel bars: arrows and the like preview a channel, Enter pins it. Returns whether the key was used.
 *
 * @param {Viewer} viewer
 * @param {string} key
 */
function pressBarKey(viewer, key) {
  if (!hasChannels(viewer.lead, viewer.block, viewer.state.gate)) return false;
  const order = channelOrder(viewer);
  const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -order.length, End: order.length }[key];
  if (by) {
    const current = viewer.view.channel === null ? -1 : order.indexOf(viewer.view.channel);
    const place = Math.max(current, by < 0 ? 0 : -1) + by;
    preview(viewer, order[Math.min(Math.max(place, 0), order.length - 1)]);
  } else if (key === "Enter") pin(viewer, viewer.previewed);
  return Boolean(by) || key === "Enter";
}

/**
 * The channel whose bar is under the pointer.
 *
 * @param {Viewer} viewer
 * @param {PointerEvent} event
 */
function channelUnder(viewer, event) {
  const canvas = /** @type {Element} */ (event.target).closest("canvas.bars");
  if (!canvas || !hasChannels(viewer.lead, viewer.block, viewer.state.gate)) return null;
  const order = channelOrder(viewer);
  const place = Math.floor(((event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth) * order.length);
  return order[Math.min(Math.max(place, 0), order.length - 1)];
}

/**
 * @param {Viewer} viewer
 * @param {PointerEvent} event
 */
function point(viewer, event) {
  const target = /** @type {Element} */ (event.target);
  if (!viewer.answers.length) return;
  if (target.matches("canvas.bars")) preview(viewer, channelUnder(viewer, event));
  if (!target.matches("canvas.frame")) return;
  const box = target.getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  viewer.updateReadout = () => {
    for (const node of /** @type {NodeListOf<HTMLElement>} */ (viewer.root.querySelectorAll(".readout")))
      node.textContent = readout(viewer, viewer.answers[Number(node.dataset.read)], x, y);
  };
  viewer.updateReadout();
}

/**
 * @param {Viewer} viewer
 * @param {Element} target
 */
function leave(viewer, target) {
  if (target.matches("canvas.bars")) preview(viewer, null);
  if (!target.matches("canvas.frame")) return;
  viewer.updateReadout = null;
  for (const node of viewer.root.querySelectorAll(".readout")) node.textContent = "";
}
