// @ts-check
// The channels of a gate: bars of their means, and the buttons of the strongest and the weakest.

/**
 * Channels in the order of their bars.
 *
 * @param {Viewer} viewer
 */
function channelOrder(viewer) {
  const { lead, state } = viewer;
  const means = channelMeans(lead, state.block, state.gate);
  const channels = means.map((_, channel) => channel);
  return state.sorted ? channels.sort((a, b) => means[b] - means[a] || a - b) : channels;
}

/**
 * Why the channels of a gate cannot be shown one by one; "" where they can, or where the gate has only one.
 *
 * @param {Viewer} viewer
 * @param {Block} block
 * @param {string} gate
 * @returns {string}
 */
function missingChannels({ lead, words }, block, gate) {
  if (channelsOf(lead, block, gate) === 1 || hasChannels(lead, block, gate)) return "";
  if (lead.prepared || lead.loading) return words.coming;
  return lead.lost ? words.lost : words.no_channels;
}

/**
 * @param {Viewer} viewer
 * @param {Uint8Array} table
 */
function drawChannels(viewer, table) {
  const { state, block, lead } = viewer;
  const canPin = hasChannels(lead, block, state.gate);
  const hasBars = canPin || (state.gate === "combined" && block.channel_mean.length > 1);
  viewer.part("bars").hidden = !hasBars;
  viewer.part("ends").parentElement.hidden = !hasBars;
  viewer.part("channels-note").textContent = channelsNote(viewer, hasBars);
  if (!hasBars) return;
  const order = channelOrder(viewer);
  for (const canvas of /** @type {NodeListOf<HTMLCanvasElement>} */ (viewer.root.querySelectorAll("canvas.bars"))) {
    const means = channelMeans(viewer.answers[Number(canvas.dataset.bars)], state.block, state.gate);
    drawBars(canvas, means, order, viewer.view.channel, table, getComputedStyle(viewer.root).color);
    describeBars(canvas, means, order, viewer.view.channel);
  }
  drawEnds(viewer, order, canPin);
}

/**
 * @param {Viewer} viewer
 * @param {boolean} hasBars
 */
function channelsNote(viewer, hasBars) {
  const { one_channel, bars, bars_only, channels, coming } = viewer.words;
  const { gate } = viewer.state;
  if (channelsOf(viewer.lead, viewer.block, gate) === 1) return hasBars ? bars_only : one_channel;
  const missing = missingChannels(viewer, viewer.block, gate);
  if (!hasBars) return missing;
  return missing && missing !== coming ? bars : channels;
}

/**
 * @param {Viewer} viewer
 * @param {number[]} order
 * @param {boolean} canPin
 */
function drawEnds(viewer, order, canPin) {
  const means = channelMeans(viewer.lead, viewer.state.block, viewer.state.gate);
  const sorted = [...order].sort((a, b) => means[b] - means[a]);
  const [strongest, weakest] = [sorted.slice(0, 3), sorted.slice(-3).reverse()];
  const label = (/** @type {number} */ channel) => `${channel} (${means[channel].toFixed(2)})`;
  const chip = (/** @type {number} */ channel) =>
    make("button", { type: "button", class: "chip", disabled: !canPin, "data-channel": channel }, label(channel));
  const draw = () =>
    viewer.part("ends").replaceChildren("Strongest: ", ...strongest.map(chip), " Weakest: ", ...weakest.map(chip));
  once(viewer, "ends", [canPin, strongest.map(label), weakest.map(label)], draw); // new buttons would lose the focus
}

const BAR_MARK = 12; // pixels below the bars for the mark of the chosen channel

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number[]} means
 * @param {number[]} order
 * @param {number | null} chosen
 * @param {Uint8Array} table
 * @param {string} ink
 */
function drawBars(canvas, means, order, chosen, table, ink) {
  const context = contextOf(canvas);
  const { width, height } = canvas;
  const base = height - BAR_MARK;
  const stride = width / order.length;
  context.clearRect(0, 0, width, height);
  context.fillStyle = ink;
  context.globalAlpha = 0.18;
  for (const level of [0, 0.5, 1]) context.fillRect(0, Math.min(base - level * base, base - 1), width, 1);
  context.globalAlpha = 1;
  order.forEach((channel, place) => {
    if (channel >= means.length) return; // this side has fewer channels
    const value = means[channel];
    context.fillStyle = css(table, value);
    context.fillRect(place * stride, base - value * base, Math.max(stride - (stride > 3 ? 1 : 0), 0.5), value * base);
  });
  const place = chosen === null ? -1 : order.indexOf(chosen);
  if (place < 0) return;
  const middle = (place + 0.5) * stride;
  context.fillStyle = ink;
  context.beginPath();
  context.moveTo(middle, base + 1);
  context.lineTo(middle - 6, height);
  context.lineTo(middle + 6, height);
  context.fill();
  context.globalAlpha = 0.35;
  context.fillRect(middle - 0.5, 0, 1, base);
  context.globalAlpha = 1;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number[]} means
 * @param {number[]} order
 * @param {number | null} chosen
 */
function describeBars(canvas, means, order, chosen) {
  const text = chosen === null ? "all channels" : `channel ${chosen}, mean ${decimals(means[chosen] ?? 0)}`;
  canvas.setAttribute("aria-valuemin", "0");
  canvas.setAttribute("aria-valuemax", String(order.length - 1));
  canvas.setAttribute("aria-valuenow", String(chosen ?? order[0]));
  canvas.setAttribute("aria-valuetext", text);
}
