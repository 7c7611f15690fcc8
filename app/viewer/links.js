// @ts-check
// A view as an address: what a link holds, and which of its values are possible.

/** @type {(keyof ViewerState)[]} */
const LINKED = ["block", "gate", "frame", "channel", "scale", "colours", "opacity", "cells"]; // of the state
const CONTEXT = ["model", "example"]; // what the page itself keeps in a link

/**
 * The address of a view on this page.
 *
 * @param {ViewerState} state
 * @param {Record<string, string>} [context] Values of `CONTEXT`.
 */
function addressOf(state, context) {
  const query = new URLSearchParams(location.search);
  for (const name of context ? [...LINKED, ...CONTEXT] : LINKED) query.delete(name);
  for (const [name, value] of Object.entries(context ?? {})) if (value) query.set(name, value);
  for (const name of LINKED) {
    const value = state[name];
    if (name === "frame" ? !state.playing : value !== START[name] && value !== "") query.set(name, String(value));
  }
  return `${location.pathname}?${query}`.replace(/\?$/, "") + location.hash;
}

/**
 * Whether a link asks for this answer, or for none in particular.
 *
 * @param {Answer} answer
 * @param {string} search
 */
function isAskedFor(answer, search) {
  const query = new URLSearchParams(search);
  return CONTEXT.every((name) => !query.get(name) || query.get(name) === answer.link?.[name]);
}

/**
 * The part of a state that a link's query holds, without impossible values.
 *
 * @param {string} search
 * @returns {Partial<ViewerState>}
 */
function fromQuery(search) {
  const query = new URLSearchParams(search);
  const isCount = (/** @type {string} */ text) => Number.isInteger(Number(text)) && Number(text) >= 0;
  const isShare = (/** @type {string} */ text) => Number(text) >= 0 && Number(text) <= 1;
  /** @type {Record<string, (text: string) => any>} undefined for an impossible value */
  const parsers = {
    cells: (text) => text === "true",
    opacity: (text) => (isShare(text) ? Number(text) : undefined),
    frame: (text) => (isCount(text) ? Number(text) : undefined),
    channel: (text) => (isCount(text) ? Number(text) : undefined),
    scale: (text) => (SCALES.includes(text) ? text : undefined),
  };
  /** @type {Record<string, any>} */
  const found = {};
  for (const name of LINKED) {
    const text = query.get(name);
    const value = text === null ? undefined : parsers[name] ? parsers[name](text) : text;
    if (value !== undefined) found[name] = value;
  }
  return found;
}

/**
 * Copies the address of the view; where the clipboard is not allowed, shows it to be copied by hand.
 *
 * @param {Viewer} viewer
 */
async function copyLink(viewer) {
  const { words } = viewer;
  const button = viewer.part("link");
  const { link } = viewer.answers[0];
  const address = new URL(addressOf(viewer.state, link), location.href).href;
  try {
    await navigator.clipboard.writeText(address);
    button.textContent = link?.example ? words.copied : words.copied_without;
  } catch {
    // a page without https may not write to the clipboard, and a frame may not open a dialog
    const field = viewer.part("address").querySelector("input");
    viewer.part("address").hidden = false;
    field.value = address;
    field.focus();
    field.select();
  }
  setTimeout(() => (button.textContent = words.copy), 1500);
}
