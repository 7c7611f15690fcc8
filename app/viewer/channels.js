// @ts-check
// The channels of a gate: bars of their means, and the buttons of the strongest and the weakest.

/**
 * @typedef {object} ChannelBars
 * @property {number[]} values What a bar shows of each channel: its mean gate, or how far that is from what is usual.
 * @property {number[]} ranks What the bars are sorted by.
 * @property {number[]} limits The values at the bottom and the top.
 * @property {Uint8Array} table
 * @property {boolean} isDifference
 */

/**
 * The bars of an answer's channels.
 *
 * @param {Viewer} viewer
 * @param {Answer} answer
 * @returns {ChannelBars}
 */
function channelBars(viewer, answer) {
  const { block, gate, scale, colours } = viewer.state;
  const gated = viewer.answers.filter(({ blocks }) => blocks.length);
  const isDifference = scale === "typical" && gated.every((side) => channelDifferences(side, block, gate));
  const found = isDifference ? channelDifferences(answer, block, gate) : null;
  if (found) {
    const table = viewer.tables[isDark() ? DIFFERENCE_DARK : DIFFERENCE];
    return { values: found.values, ranks: found.unusual, limits: [-found.limit, found.limit], table, isDifference };
  }
  const values = channelMeans(answer, block, gate);
  return { values, ranks: values, limits: [0, 1], table: viewer.tables[colours], isDifference: false };
}

/**
 * Channels in the order of their bars.
 *
 * @param {Viewer} viewer
 */
function channelOrder(viewer) {
  const { ranks } = channelBars(viewer, viewer.lead);
  const channels = ranks.map((_, channel) => channel);
  return viewer.state.sorted ? channels.sort((a, b) => ranks[b] - ranks[a] || a - b) : channels;
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

/** @param {Viewer} viewer */
function drawChannels(viewer) {
  const { state, block, lead } = viewer;
  const canPin = hasChannels(lead, block, state.gate);
  const hasBars = canPin || (state.gate === "combined" && block.channel_mean.length > 1);
  viewer.part("bars").hidden = !hasBars;
  viewer.part("ends").parentElement.hidden = !hasBars;
  viewer.part("channels-note").textContent = channelsNote(viewer, hasBars);
  if (!hasBars) return;
  const order = channelOrder(viewer);
  for (const canvas of /** @type {NodeListOf<HTMLCanvasElement>} */ (viewer.root.querySelectorAll("canvas.bars"))) {
    const bars = channelBars(viewer, viewer.answers[Number(canvas.dataset.bars)]);
    drawBars(canvas, bars, order, viewer.view.channel, getComputedStyle(viewer.root).color);
    describeBars(viewer, canvas, bars, order, canPin);
  }
  drawEnds(viewer, order, canPin);
}

/**
 * @param {Viewer} viewer
 * @param {boolean} hasBars
 */
function channelsNote(viewer, hasBars) {
  const { one_channel, bars, bars_only, channels, coming, differences, differences_only } = viewer.words;
  const { gate } = viewer.state;
  const { isDifference } = channelBars(viewer, viewer.lead);
  if (channelsOf(viewer.lead, viewer.block, gate) === 1)
    return hasBars ? (isDifference ? differences_only : bars_only) : one_channel;
  const missing = missingChannels(viewer, viewer.block, gate);
  if (!hasBars) return missing;
  if (isDifference) return missing && missing !== coming ? differences_only : differences;
  return missing && missing !== coming ? bars : channels;
}

/**
 * @param {Viewer} viewer
 * @param {number[]} order
 * @param {boolean} canPin
 */
function drawEnds(viewer, order, canPin) {
  const bars = channelBars(viewer, viewer.lead);
  const { values, ranks, isDifference } = bars;
  const sorted = [...order].sort((a, b) => ranks[b] - ranks[a]);
  const strongest = sorted.filter((channel) => !isDifference || values[channel] > 0).slice(0, 3);
  const weakest = sorted.filter((channel) => !isDifference || values[channel] < 0).slice(-3).reverse();
  const label = (/** @type {number} */ channel) => `${channel} (${barValue(bars, channel)})`;
  const chip = (/** @type {number} */ channel) =>
    make("button", { type: "button", class: "chip", disabled: !canPin, "data-channel": channel }, label(channel));
  const [first, last] = isDifference ? viewer.words.unusual : viewer.words.ends;
  const list = (/** @type {string} */ heading, /** @type {number[]} */ channels) =>
    channels.length ? [`${heading} `, ...channels.map(chip), " "] : [];
  const draw = () => viewer.part("ends").replaceChildren(...list(first, strongest), ...list(last, weakest));
  once(viewer, "ends", [canPin, strongest.map(label), weakest.map(label)], draw); // new buttons would lose the focus
}

const BAR_MARK = 12; // pixels below the bars for the mark of the chosen channel

/**
 * @param {HTMLCanvasElement} canvas
 * @param {ChannelBars} bars
 * @param {number[]} order
 * @param {number | null} chosen
 * @param {string} ink
 */
function drawBars(canvas, { values, limits, table, isDifference }, order, chosen, ink) {
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
    if (channel >= values.length) return; // this side has fewer channels
    const [from, to] = barEnds(values[channel], limits, isDifference ? 0 : limits[0]);
    context.fillStyle = css(table, (values[channel] - limits[0]) / (limits[1] - limits[0]));
    context.fillRect(place * stride, base - to * base, Math.max(stride - (stride > 3 ? 1 : 0), 0.5), (to - from) * base);
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
 * What a bar shows, in words.
 *
 * @param {ChannelBars} bars
 * @param {number} channel
 */
function barValue({ values, limits, isDifference }, channel) {
  const [value, digits] = [values[channel] ?? 0, digitsOf(limits[1])];
  return isDifference ? signed(value, digits) : value.toFixed(digits);
}

/**
 * Makes the bars a slider of channels or, where no channel has a map of its own, a picture.
 *
 * @param {Viewer} viewer
 * @param {HTMLCanvasElement} canvas
 * @param {ChannelBars} bars
 * @param {number[]} order
 * @param {boolean} canPin
 */
function describeBars(viewer, canvas, bars, order, canPin) {
  const { channel } = viewer.view;
  const side = sideName(viewer, Number(canvas.dataset.bars), ", side ");
  const what = bars.isDifference ? "difference from usual" : "mean";
  /** @type {Record<string, any>} */
  const slider = {
    "aria-valuemin": 0,
    "aria-valuemax": order.length - 1,
    "aria-valuenow": channel ?? order[0],
    "aria-valuetext": channel === null ? "all channels" : `channel ${channel}, ${what} ${barValue(bars, channel)}`,
  };
  canvas.tabIndex = canPin ? 0 : -1;
  canvas.setAttribute("role", canPin ? "slider" : "img");
  canvas.setAttribute("aria-label", canPin ? `Channel${side}` : `Channels${side}: ${viewer.part("channels-note").textContent}`);
  for (const [name, value] of Object.entries(slider)) {
    if (canPin) canvas.setAttribute(name, value);
    else canvas.removeAttribute(name);
  }
}
