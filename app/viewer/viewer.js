// @ts-check
// The component: it draws what the page gives it, without asking the server for anything but the channels' gates and what is usual.

/**
 * @typedef {object} ViewerProps
 * @property {Side} value Side A.
 * @property {Side} other Side B.
 * @property {Record<string, string>} colours Color maps, see `Viewer`.
 * @property {Record<string, any>} words Sentences.
 *
 * @typedef {SentAnswer | "" | null} Side "" and null for none.
 */

/**
 * Draws both sides, and again as often as they change.
 *
 * @param {HTMLElement} element
 * @param {ViewerProps} props
 * @param {(names: string[], call: () => void) => void} watch
 * @param {(event: string, data?: object) => void} trigger "clear" when a visitor removes side B, "select" for an experiment.
 */
function startViewer(element, props, watch, trigger) {
  const viewer = new Viewer(/** @type {HTMLElement} */ (element.querySelector(".viewer")), props.colours, props.words);
  listen(viewer);
  Object.assign(viewer.root, { viewer }); // the page reads its state for exports; tests read it too
  /** @type {{ key: string, answer: Promise<Answer | null> }[]} */
  const opened = [];
  const open = (/** @type {number} */ side, /** @type {Side} */ value) => {
    const key = value ? value.answer + value.channels?.url : "";
    if (opened[side]?.key !== key) opened[side] = { key, answer: value ? openAnswer(value) : Promise.resolve(null) };
    return opened[side].answer;
  };
  let latest = 0;
  const refresh = async () => {
    const turn = ++latest;
    const both = await Promise.all([open(0, props.value), open(1, props.other)]);
    if (turn !== latest) return; // a later answer was opened sooner
    const answers = both.flatMap((answer) => answer ?? []);
    viewer.show(answers);
    playByItself(viewer);
    for (const answer of answers) {
      answer.typicalLoading?.then(() => viewer.onArrival(answer));
      answer.loading?.then(() => viewer.onArrival(answer));
    }
  };
  viewer.dropSecond = () => {
    viewer.show(viewer.answers.slice(0, 1));
    viewer.button("play").focus();
    trigger("clear"); // the page forgets side B too
  };
  viewer.tryOut = (name) => trigger("select", { try: name });
  watch(["value", "other"], refresh);
  refresh();
}
