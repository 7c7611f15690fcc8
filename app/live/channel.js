// @ts-check
// The channel to the server: one request at a time, with the newest frames; its answer holds what one view needs.

/**
 * @typedef {object} LiveAnswer
 * @property {boolean} [waiting] Whether the window is still being filled; then nothing else is there.
 * @property {string} says
 * @property {string} label
 * @property {number} probability
 * @property {string} percent
 * @property {boolean} known Whether the model knows what it sees.
 * @property {string} next
 * @property {Record<string, [string, string, boolean]>} others What the other groups say, how sure they are, and whether they know it.
 * @property {number[]} places The frames that the network saw: 1 is the newest that was sent.
 * @property {Answer & { names: string[] }} view
 */

const TRY_AGAIN = 10_000; // ms after which what is usual is asked for again if it did not arrive
const PATIENCE = 60_000; // ms; a model that nobody has used yet takes seconds

/** The server has refused a request: the message is a sentence for the visitor. Any other error is a lost connection. */
class LiveRefusal extends Error {}

class LiveChannel {
  key = ""; // of the session that frames belong to

  /** Opens a session, and returns its key. */
  async open() {
    const { session } = await (await this.post("")).json();
    return session;
  }

  /** Ends a session; also works while the page is being left. */
  close(key = this.key) {
    if (key) navigator.sendBeacon(`${serverRoot()}/live/${key}/close`);
    if (key === this.key) this.key = "";
  }

  /**
   * Sends frames, and returns what the model says of the window.
   *
   * @param {Blob} frames
   * @param {Record<string, string>} asked
   * @returns {Promise<LiveAnswer>}
   */
  async send(frames, asked) {
    const response = await this.post(`/${this.key}?${new URLSearchParams(asked)}`, frames);
    return openLiveAnswer(new Uint8Array(await response.arrayBuffer()));
  }

  /** The path of a file with the window as it is. */
  async moment() {
    const { path } = await (await this.post(`/${this.key}/moment`)).json();
    return path;
  }

  /**
   * @param {string} path
   * @param {Blob} [body]
   */
  async post(path, body) {
    const response = await fetch(`${serverRoot()}/live${path}`, { method: "POST", body, signal: AbortSignal.timeout(PATIENCE) });
    if (response.ok) return response;
    const { detail } = await response.json();
    throw new LiveRefusal(detail);
  }
}

/** @type {Map<string, Typical | null>} */
const typicalNow = new Map(); // what is usual, as far as it has arrived: a stream does not wait for it

/**
 * @param {Uint8Array} bytes
 * @returns {Promise<LiveAnswer>}
 */
async function openLiveAnswer(bytes) {
  const end = 4 + new DataView(bytes.buffer).getUint32(0, true);
  const answer = JSON.parse(new TextDecoder().decode(bytes.subarray(4, end)));
  const { view } = answer;
  if (!view) return answer;
  Object.assign(view, { cache: new Map(), channelBytes: null, loading: null, lost: false, typicalLoading: null, frames: [] });
  for (const block of view.blocks) block.channel_mean = Array.from(new Float32Array(bytesOf(block.channel_mean).buffer));
  view.bytes = sumDifferences(await inflate(new Response(bytes.slice(end))), arraysOf(view, "maps"));
  const { key } = view.reference ?? {};
  if (key && !typicalNow.has(key)) {
    typicalNow.set(key, null);
    typicalOf(view.reference).then((typical) => {
      if (typical) typicalNow.set(key, typical);
      else setTimeout(() => typicalNow.delete(key), TRY_AGAIN);
    });
  }
  view.typical = typicalNow.get(key) ?? null;
  return answer;
}
