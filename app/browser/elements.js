// @ts-check

/**
 * Creates an element.
 *
 * @param {string} tag With "svg:" in front for one of SVG.
 * @param {Record<string, any>} [attributes] `true` sets an attribute without a value; `false` and `null` leave it out.
 * @param {...(Node | string | null)} children `null` is left out.
 * @returns {any}
 */
function make(tag, attributes = {}, ...children) {
  const element = tag.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
