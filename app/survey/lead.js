// @ts-check
// From a number to a clip: which clip shows it, and whether the page can open that clip.

/**
 * @typedef {object} Target What the page is asked to show.
 * @property {string} [example] Name of an example of the page.
 * @property {string} [survey] Key of a survey on this machine, with the number of a clip of it.
 * @property {number} [clip]
 * @property {string} model
 * @property {string} said What the button says of the clip.
 */

/**
 * @typedef {object} Page What the page has.
 * @property {string[]} models
 * @property {Record<string, string>} examples Label -> name.
 * @property {string[]} local Keys of the surveys whose clips are on the page's machine.
 */

/**
 * The clip to look at, or null if the page has none: the clip itself, or the page's own example of the same class.
 *
 * @param {Survey} survey
 * @param {string} key Of the survey on the page; "" for a visitor's file.
 * @param {number | null} clip
 * @param {number | null} kind
 * @param {Page} page
 * @param {Record<string, any>} words
 * @returns {Target | null}
 */
function targetOf(survey, key, clip, kind, page, words) {
  const model = survey.model.name;
  if (!page.models.includes(model)) return null;
  const names = Object.values(page.examples);
  if (clip !== null) {
    const example = survey.examples[clip];
    const said = words.look_at.replace("{clip}", () => shortName(survey.clips[clip]));
    if (names.includes(example)) return { example, model, said };
    if (page.local.includes(key)) return { survey: key, clip, model, said };
  }
  if (kind === null) return null;
  const found = exampleOf(survey.classes[kind], page.examples);
  if (!found) return null;
  const [label, example] = found;
  return { example, model, said: words.look_at_example.replace("{example}", () => label) };
}

/**
 * The page's example of a class, with its label: the class may have a remark behind it, and so may the example's label.
 *
 * @param {string} kind
 * @param {Record<string, string>} examples
 */
function exampleOf(kind, examples) {
  return Object.entries(examples).find(
    ([label]) => label === kind || kind.startsWith(`${label} (`) || label.endsWith(`(${kind})`),
  );
}

/** @param {string} path */
function shortName(path) {
  const name = path.length > 40 ? path.slice(path.lastIndexOf("/") + 1) : path;
  return name.length > 40 ? `…${name.slice(-39)}` : name;
}

/**
 * The clips at one end of a block's gate, as buttons.
 *
 * @param {Survey} survey
 * @param {number[][]} ends
 * @param {string} title
 * @param {number | null} chosen
 */
function endList(survey, ends, title, chosen) {
  const entries = ends.map(([clip, mean]) =>
    make(
      "li",
      {},
      make(
        "button",
        { type: "button", "data-clip": clip, "aria-pressed": String(clip === chosen) },
        make("span", {}, shortName(survey.clips[clip])),
        make("b", {}, minus(mean, 3)),
      ),
    ),
  );
  return make("div", {}, make("h5", {}, title), make("ol", {}, ...entries));
}
