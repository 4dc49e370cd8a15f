// @ts-check
// The parts of the live view: pictures, bands and bars on canvases, and the form of its controls.

import { createHtml } from "./draw.js";

/**
 * Draw a planar image, (3, side, side), on a canvas of its size.
 * @param {HTMLCanvasElement} canvas
 * @param {Float64Array} image
 * @param {number} gain 127.5 for values from -1 to 1
 */
export function drawPlanar(canvas, image, gain) {
  const count = image.length / 3;
  canvas.width = canvas.height = Math.sqrt(count);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser cannot draw on a canvas");
  const pixels = context.createImageData(canvas.width, canvas.height);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = 127.5 + gain * image[c * count + i];
    pixels.data[4 * i + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
}

/**
 * Draw one bar per step, the shares of the resolutions stacked with the coarsest at the bottom.
 * @param {HTMLCanvasElement} canvas
 * @param {(number[] | null)[]} shares one entry per step, finest first
 * @param {string[]} colours of the levels, finest first
 * @param {{ current: number, drawn: number, mark: number | null }} places the bar with a frame, how many are opaque, and
 * where a prompt switches
 */
export function drawBars(canvas, shares, colours, { current, drawn, mark }) {
  const [width, height] = [12, 120];
  canvas.width = width * shares.length;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser cannot draw on a canvas");
  const ink = getComputedStyle(canvas).color;
  shares.forEach((bar, i) => {
    context.globalAlpha = i < drawn ? 1 : 0.28;
    let top = height;
    if (!bar) return;
    for (let m = bar.length - 1; m >= 0; m--) {
      context.fillStyle = colours[m];
      const length = height * bar[m];
      context.fillRect(width * i + 1, top - length, width - 2, length);
      top -= length;
    }
  });
  context.globalAlpha = 1;
  context.strokeStyle = context.fillStyle = ink;
  context.lineWidth = 2;
  context.strokeRect(width * current + 1, 1, width - 2, height - 2);
  if (mark !== null) context.fillRect(width * mark - 1.5, 0, 3, height);
}

/**
 * A labelled control.
 * @param {string} text
 * @param {HTMLElement} control
 */
function labelled(text, control) {
  return createHtml("label", {}, createHtml("span", {}, text), control);
}

/**
 * A selection among values with labels.
 * @param {[string, string][]} options
 */
function createSelect(options) {
  return createHtml("select", {}, ...options.map(([value, label]) => createHtml("option", { value }, label)));
}

/**
 * The controls, each under the name of the state that it holds.
 * @param {{ schedules: Record<string, { label: string }>, styles: Record<string, string>, subjects: string[],
 *   resolutions: number[] }} offered
 */
export function createControls({ schedules, styles, subjects, resolutions }) {
  const number = (/** @type {Record<string, number>} */ limits) =>
    createHtml("input", { type: "number", ...limits });
  /** @type {[string, string][]} */
  const styleOptions = [["", "any style"], ...Object.entries(styles)];
  /** @type {[string, string][]} */
  const subjectOptions = [
    ["", "any subject"],
    ...[...subjects].sort().map((name) => /** @type {[string, string]} */ ([name, name])),
  ];
  /** @type {Record<string, HTMLInputElement | HTMLSelectElement>} */
  const inputs = {
    seed: number({ min: 1, max: 9999, step: 1 }),
    steps: createSelect(["10", "25", "50"].map((count) => [count, count])),
    schedule: createSelect([
      ...Object.entries(schedules).map(([name, { label }]) => /** @type {[string, string]} */ ([name, label])),
      ["uniform", "Uniform log-SNR"],
    ]),
    style: createSelect(styleOptions),
    subject: createSelect(subjectOptions),
    scale: number({ min: 0, max: 12, step: 0.5 }),
    switch: createSelect([
      ["0", "never"],
      ...resolutions.map((side) => /** @type {[string, string]} */ ([String(side), `at ${side}×${side}`])),
    ]),
    style2: createSelect(styleOptions),
    subject2: createSelect(subjectOptions),
  };
  const newNoise = createHtml("button", { type: "button" }, "New noise");
  const element = createHtml(
    "div",
    { class: "live-controls" },
    createHtml("div", {}, labelled("seed", inputs.seed), newNoise),
    labelled("steps", inputs.steps),
    labelled("schedule", inputs.schedule),
    labelled("style", inputs.style),
    labelled("subject", inputs.subject),
    labelled("guidance", inputs.scale),
    labelled("switch prompt", inputs.switch),
    labelled("to style", inputs.style2),
    labelled("to subject", inputs.subject2),
  );
  return { element, inputs, newNoise };
}

/**
 * One denoiser's column: x_t and the prediction, the change of the prediction in bands, and three rows of bars.
 * @param {string} name
 * @param {string} note
 * @param {string[]} resolutions names, finest first
 */
export function createColumn(name, note, resolutions) {
  const picture = () => createHtml("canvas", { role: "img", width: 32, height: 32, "aria-label": "Not sampled yet" });
  const pictures = { x: picture(), x0: picture() };
  const bands = resolutions.map(picture);
  const bars = { measured: picture(), predicted: picture(), paper: picture() };
  const overlay = createHtml("div", { class: "live-overlay", hidden: "" });
  const captioned = (/** @type {HTMLElement} */ canvas, /** @type {string} */ text) =>
    createHtml("div", {}, canvas, createHtml("span", {}, text));
  const element = createHtml(
    "section",
    { class: "live-column", "aria-label": name },
    createHtml("p", { class: "live-name" }, name),
    createHtml("p", { class: "live-note" }, note),
    createHtml(
      "div",
      { class: "live-pictures" },
      captioned(pictures.x0, "predicted image"),
      captioned(pictures.x, "noisy image"),
      overlay,
    ),
    createHtml("div", { class: "live-bands" }, ...bands.map((canvas, m) => captioned(canvas, resolutions[m]))),
    captioned(bars.measured, "change by resolution"),
    captioned(bars.predicted, "predicted"),
    captioned(bars.paper, "rₘ of the paper"),
  );
  return { element, pictures, bands, bars, overlay };
}
