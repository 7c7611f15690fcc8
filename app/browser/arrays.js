// @ts-check
// Opens the arrays that `aia.visualization.arrays` packs: levels as differences, deflated.

/**
 * @typedef {object} PackedArray
 * @property {number[]} shape
 * @property {number} at Place of its first value among all packed values.
 * @property {number} low What level 0 stands for.
 * @property {number} step What a level adds.
 */

/** @param {string} base64 */
const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

/** @param {number[]} sizes */
const product = (sizes) => sizes.reduce((total, size) => total * size, 1);

/**
 * The bytes of a response whose body is deflated.
 *
 * @param {Response} response
 */
async function inflate(response) {
  if (!response.ok || !response.body) throw new Error(`${response.status}`);
  const stream = response.body.pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Turns differences into levels, in place.
 *
 * @template {Uint8Array | Uint16Array} Values
 * @param {Values} values
 * @param {PackedArray[]} arrays
 */
function sumDifferences(values, arrays) {
  for (const { shape, at } of arrays) {
    const stride = shape[shape.length - 1];
    const end = at + product(shape);
    for (let i = at + stride; i < end; i++) values[i] += values[i - stride];
  }
  return values;
}
