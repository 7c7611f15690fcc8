// @ts-check
// Starts the tab: the surveys of the page and a visitor's own file, and what is pressed.

/** @type {SurveyTab | null} */
let surveyTab = null;
/** @type {{ before: any, block: string, channel: number | null } | null} */
let surveyLead = null; // the view that the page is asked for

/**
 * @param {HTMLElement} element
 * @param {any} props
 * @param {(event: string, data: object) => void} trigger
 */
function startSurvey(element, props, trigger) {
  const root = /** @type {HTMLElement} */ (element.querySelector(".survey"));
  const { surveys, words } = props;
  const tab = new SurveyTab(root, props.page, words, props.colours);
  surveyTab = tab;
  const menu = tab.part("menu");
  menu.append(...surveys.map((/** @type {any} */ { key, title }) => new Option(title, key)));
  tab.part("empty").textContent = surveys.length ? words.waiting : words.empty;
  if (!surveys.length) menu.parentElement.hidden = true;
  let latest = 0;
  /** @param {() => Promise<string>} read @param {string} key */
  const open = async (read, key) => {
    const turn = ++latest;
    tab.problem("");
    try {
      const survey = parseSurvey(await read());
      if (turn === latest) tab.show(survey, key);
    } catch (error) {
      if (turn !== latest) return; // a later survey was asked for
      tab.problem(error instanceof NotASurvey ? words.bad[error.message] : words.lost);
      tab.part("empty").hidden = Boolean(tab.survey) || Boolean(surveys.length);
    }
    if (turn === latest) menu.value = tab.key; // the survey that is shown or none: one that could not be loaded can be chosen again
  };
  const openShipped = () => {
    const key = menu.value;
    return open(async () => {
      const answer = await fetch(`${serverRoot()}/survey/${encodeURIComponent(key)}.json`);
      if (!answer.ok) throw new Error(`${answer.status}`);
      return answer.text();
    }, key);
  };
  menu.addEventListener("change", openShipped);
  const file = tab.part("file");
  tab.button("open").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    const [own] = file.files;
    file.value = ""; // the same file may be opened again
    if (!own) return;
    open(async () => {
      if (own.size > SURVEY_BYTES) throw new NotASurvey("size");
      return own.text();
    }, "");
  });
  root.addEventListener("click", ({ target }) => target instanceof Element && press(tab, target, trigger));
  root.addEventListener("change", ({ target }) => {
    if (target instanceof HTMLInputElement && target.dataset.mode) tab.set({ mode: target.dataset.mode });
  });
  walkGrid(tab.part("grid"));
  new MutationObserver(() => tab.draw()).observe(document.body, { attributeFilter: ["class"] }); // the theme
  matchMedia(NARROW).addEventListener("change", () => tab.draw());
  if (!surveys.length) return;
  new IntersectionObserver((seen, observer) => {
    if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
    observer.disconnect(); // the file is loaded when the tab is first opened
    openShipped();
  }).observe(root);
}

/**
 * @param {SurveyTab} tab
 * @param {Element} target
 * @param {(event: string, data: object) => void} trigger
 */
function press(tab, target, trigger) {
  const pressed = /** @type {HTMLElement | null} */ (target.closest("[data-block], [data-kind], [data-profile], [data-clip], [data-do]"));
  const { block, kind, channel, profile, clip, do: does } = pressed?.dataset ?? {};
  if (block) {
    tab.set({ block, channel: null, clip: null, page: 0 });
    if (innerWidth < 1000) tab.part("block").scrollIntoView({ block: "start" }); // it is below the table
  }
  if (kind) tab.set({ kind: Number(kind), channel: Number(channel), clip: null });
  else if (profile) tab.set({ kind: Number(profile), channel: null, clip: null });
  else if (clip) tab.set({ clip: Number(clip), kind: null, channel: null });
  else if (does === "more") tab.set({ page: tab.state.page + 1, channel: null });
  else if (does === "look") look(tab, trigger);
}

/**
 * Asks the page for the clip that shows what is chosen.
 *
 * @param {SurveyTab} tab
 * @param {(event: string, data: object) => void} trigger
 */
function look(tab, trigger) {
  const target = tab.target();
  if (!target || tab.button("look").ariaBusy === "true") return;
  tab.button("look").ariaBusy = "true";
  surveyLead = { before: viewerOfPage()?.answers[0], block: tab.state.block, channel: tab.state.channel };
  trigger("select", target);
}

/**
 * The page has answered: opens the single-clip view at the block and the channel, or stays if there was a problem.
 *
 * @param {boolean} isLost Whether the request was lost.
 */
function showSurveyedClip(isLost = false) {
  const lead = surveyLead;
  surveyLead = null;
  if (surveyTab) surveyTab.button("look").ariaBusy = null;
  if (isLost || !lead || document.querySelector("#problem .problem")) return;
  const tab = document.querySelector("#tab-look-button");
  if (tab instanceof HTMLElement) {
    tab.click();
    tab.focus({ preventScroll: true }); // the pressed button is hidden now
  }
  const end = Date.now() + 10_000;
  const follow = () => {
    const viewer = viewerOfPage();
    if (!viewer) return;
    if (viewer.answers[0] === lead.before) {
      if (Date.now() < end) setTimeout(follow, 50); // it is still being opened
      return;
    }
    viewer.set({ block: lead.block, gate: "combined", channel: lead.channel });
    if (lead.channel !== null && viewer.state.channel === null) viewer.set({ gate: "T", channel: lead.channel });
  };
  follow();
}
