// @ts-check
// What the page does in the browser besides its components. `layout.py` binds these functions to events.

/** Gradio's front end corrects the server's address for its own requests, but its video player takes it as it is. */
function correctRoot() {
  if (window.gradio_config) window.gradio_config.root = serverRoot();
}

/** A file that the server has deleted is made again, or a sentence says why it cannot be. */
function remakeDeletedFiles() {
  document.addEventListener("click", async ({ target }) => {
    const link = target instanceof Element ? target.closest("#file a[download]") : null;
    if (!(link instanceof HTMLAnchorElement)) return;
    const exists = await fetch(link.href, { method: "HEAD" }).then((answer) => answer.ok, () => false);
    if (!exists) click("#make");
  });
}

/** @param {string} selector */
function click(selector) {
  const button = document.querySelector(selector);
  if (button instanceof HTMLElement) button.click();
}

/** A button in a result may open a tab. */
function openTabs() {
  document.addEventListener("click", ({ target }) => {
    /** @type {HTMLElement | null} */
    const button = target instanceof Element ? target.closest("[data-open-tab]") : null;
    if (button) click(`#${button.dataset.openTab}-button`);
    const tab = target instanceof Element ? target.closest("[role=tab]") : null;
    if (tab?.closest("#tabs .tab-container") && innerWidth < 1000) showPanel(tab.id.replace("-button", ""));
  });
}

/**
 * On a narrow screen an opened tab is below the picture.
 *
 * @param {string} id
 */
function showPanel(id) {
  const panel = document.getElementById(id === "tab-look" ? "answer" : id);
  requestAnimationFrame(() => panel?.scrollIntoView({ behavior: scrolling(), block: "start" }));
}

/** An experiment of the viewer has ended, or its request has failed. */
const endTry = () => viewerOfPage()?.endTry();

/** Brings a new side B into view. */
function showSideB() {
  endTry();
  const stage = document.querySelector(".viewer .stage");
  if (!stage || document.querySelector("#problem .problem")) return;
  const { top, bottom } = stage.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) stage.scrollIntoView({ behavior: scrolling(), block: "nearest" });
}

const scrolling = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth");

/** Scrolls to the result, which may be out of sight on a narrow screen. */
function scrollToResult() {
  const result = document.querySelector("#problem .problem") ?? document.querySelector("#answer");
  const top = result?.getBoundingClientRect().top ?? 0;
  if (innerWidth < 1000 && (top < 0 || top > innerHeight / 3)) result?.scrollIntoView({ behavior: scrolling() });
}

function afterResult() {
  for (const card of document.querySelectorAll("#cards [aria-busy]")) card.ariaBusy = null;
  if (scrollY > 0) scrollToResult();
  const open = document.querySelector("[role=tab][aria-selected=true]")?.id ?? "";
  const refresh = { "tab-learn-button": "#relearn", "tab-what-if-button": "#rerank" }[open];
  if (refresh && !document.querySelector("#problem .problem")) click(refresh); // the tab still shows the previous clip
}

/**
 * Another block or unit was asked for in Learn. If it has not come, the menus show again what is drawn.
 *
 * @param {boolean} isLost Whether the request was lost.
 */
function afterLesson(isLost = false) {
  if (isLost || document.querySelector("#problem .problem")) document.querySelector(".learn")?.dispatchEvent(new Event("refused"));
}

/** The inputs of an event, the last one replaced by what the viewer shows, which only the browser knows. */
const withView = (/** @type {any[]} */ ...inputs) => [...inputs.slice(0, -1), viewerOfPage()?.state];

/**
 * The inputs of an event, the last one replaced by whether the browser shows a result and no problem: only then does the
 * server report that it has lost the result.
 */
function withResultShown(/** @type {any[]} */ ...inputs) {
  const shows = viewerOfPage()?.answers.some((/** @type {any} */ answer) => !answer.prepared);
  return [...inputs.slice(0, -1), Boolean(shows) && !document.querySelector("#problem .problem")];
}

/** The inputs of an event, the last one replaced by the block and the gate that the viewer shows. */
function withBlockShown(/** @type {any[]} */ ...inputs) {
  const [shows] = withResultShown(...inputs).slice(-1);
  const { block, gate } = viewerOfPage()?.state ?? {};
  return [...inputs.slice(0, -1), { shows, block, gate: gate === "combined" ? "" : gate }];
}

/**
 * Runs the box of a problem's sentence: its button closes it, and a new sentence is scrolled into view.
 *
 * @param {HTMLElement} element
 * @param {{ value: string }} props
 * @param {(name: string, call: () => void) => void} watch
 */
function startProblem(element, props, watch) {
  element.addEventListener("click", ({ target }) => {
    if (!(target instanceof Element) || !target.closest(".close")) return;
    props.value = "";
    const tab = document.querySelector("#tabs [role=tab][aria-selected=true]");
    if (tab instanceof HTMLElement) tab.focus({ preventScroll: true }); // the pressed button disappears
  });
  const bringIntoView = () => {
    if (scrollY > 0) element.querySelector(".problem")?.scrollIntoView({ block: "nearest" });
  };
  bringIntoView(); // a visitor who pressed a button further down sees it
  watch("value", bringIntoView);
}

/**
 * Runs the cards of the groups: a press asks the page to look into another group. The pressed card gets the focus and a focused
 * one keeps it, though its element is replaced.
 *
 * @param {HTMLElement} element
 * @param {(event: string, data: object) => void} trigger
 * @param {(name: string, call: () => void) => void} watch
 */
function startCards(element, trigger, watch) {
  let [pressed, focused] = ["", ""];
  for (const event of ["focusin", "pointerdown"])
    document.addEventListener(event, ({ target }) => {
      /** @type {HTMLElement | null} */
      const card = target instanceof Element && element.contains(target) ? target.closest("[data-task]") : null;
      focused = card?.dataset.task ?? "";
    });
  element.addEventListener("click", ({ target }) => {
    /** @type {HTMLElement | null} */
    const card = target instanceof Element ? target.closest("[data-task]") : null;
    if (!card || card.ariaPressed === "true") return;
    pressed = card.dataset.task ?? "";
    card.ariaBusy = "true";
    trigger("select", { task: pressed });
  });
  watch("value", () => {
    const task = pressed || focused;
    pressed = "";
    if (!task || document.activeElement !== document.body) return;
    const card = element.querySelector(`[data-task="${task}"]`) ?? element.querySelector("[aria-pressed=true]");
    if (card instanceof HTMLElement) card.focus({ preventScroll: true });
  });
}
