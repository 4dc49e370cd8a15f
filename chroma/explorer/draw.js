// @ts-check
// The pictures: noisy images on canvases, curves and pies in SVG. Nothing here depends on a schedule.

import { clamp } from "./schedules.js";
import { formatNumber } from "./text.js";

/** @import { Axis, Shares, ShareSamples } from "./schedules.js" */

/**
 * The image at one level, (side, side, 3) interleaved RGB in [-1, 1], and Gaussian noise of the same shape and of unit
 * variance.
 * @typedef {object} LevelImage
 * @property {number} side in pixels
 * @property {Float32Array} clean
 * @property {Float32Array} noise
 */

/**
 * Standard normal numbers, the same on every visit (mulberry32 and Box-Muller).
 * @param {number} count
 * @param {number} [seed]
 */
export function gaussian(count, seed = 1) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
  return Float32Array.from({ length: count }, () => {
    return Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  });
}

/**
 * D: the means over squares of an interleaved RGB image (side, side, 3), times `gain`.
 * @param {Float32Array} pixels
 * @param {number} side
 * @param {number} factor the side of the averaged squares
 * @param {number} [gain]
 */
export function downsample(pixels, side, factor, gain = 1) {
  const coarseSide = side / factor;
  const sums = new Float32Array(coarseSide * coarseSide * 3);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const target = 3 * (Math.floor(y / factor) * coarseSide + Math.floor(x / factor));
      const source = 3 * (y * side + x);
      for (let c = 0; c < 3; c++) sums[target + c] += pixels[source + c];
    }
  }
  return sums.map((sum) => (sum * gain) / factor ** 2);
}

/**
 * D^m of the image and n^m D^m of the noise, of unit variance again, for every level m.
 * @param {Float32Array} image
 * @param {number} side
 * @param {number} factor n
 * @param {number} levels how many
 * @returns {LevelImage[]}
 */
export function pyramid(image, side, factor, levels) {
  const images = [{ side, clean: image, noise: gaussian(3 * side * side) }];
  for (let m = 1; m < levels; m++) {
    const finer = images[m - 1];
    images.push({
      side: finer.side / factor,
      clean: downsample(finer.clean, finer.side, factor),
      noise: downsample(finer.noise, finer.side, factor, factor),
    });
  }
  return images;
}

/**
 * The 2D context of a canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
function context2d(canvas, settings) {
  const context = canvas.getContext("2d", settings);
  if (!context) throw new Error("this browser cannot draw on a canvas");
  return context;
}

/**
 * Show lambda_m D^m x_t = sqrt(alpha_tau) D^m x_0 + sqrt(1 - alpha_tau) n^m D^m eps (Eq 12), from [-1, 1] to bytes.
 * @param {HTMLCanvasElement} canvas of as many pixels as the image
 * @param {LevelImage} image
 * @param {number} alpha alpha_tau
 */
export function drawNoisyImage(canvas, { side, clean, noise }, alpha) {
  const context = context2d(canvas);
  const image = context.createImageData(side, side);
  const signalScale = 127.5 * Math.sqrt(alpha);
  const noiseScale = 127.5 * Math.sqrt(1 - alpha);
  for (let i = 0, j = 0; i < clean.length; i++, j++) {
    image.data[j] = 127.5 + signalScale * clean[i] + noiseScale * noise[i];
    if (i % 3 === 2) image.data[++j] = 255;
  }
  context.putImageData(image, 0, 0);
}

/**
 * The pixels of a square photograph, (side, side, 3) interleaved RGB in [-1, 1].
 * @param {string} url a data URL
 */
export async function decodePhotograph(url) {
  const photograph = new Image();
  photograph.src = url;
  await photograph.decode();
  const side = photograph.naturalWidth;
  const context = context2d(createHtml("canvas", { width: side, height: side }), {
    willReadFrequently: true,
  });
  context.drawImage(photograph, 0, 0);
  const bytes = context.getImageData(0, 0, side, side).data;
  const pixels = new Float32Array(3 * side ** 2);
  for (let i = 0; i < pixels.length; i++) pixels[i] = bytes[Math.floor(i / 3) * 4 + (i % 3)] / 127.5 - 1;
  return { side, pixels };
}

/** @typedef {Record<string, string | number>} Attributes */

/**
 * Set attributes of an element.
 * @param {Element} element
 * @param {Attributes} attributes
 */
function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}

/**
 * An HTML element with its attributes and children.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 */
export function createHtml(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/**
 * An SVG element with its attributes and children.
 * @template {keyof SVGElementTagNameMap} Name
 * @param {Name} name
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 */
export function createSvg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/**
 * A pie that shows an adjusted time as a coloured sector and the time as a mark on its rim, both as fractions of the
 * full turn.
 * @param {string} colour
 */
export function createTimePie(colour) {
  const sector = createSvg("path", { fill: colour });
  const mark = createSvg("line", { x1: 0, y1: -7.5, x2: 0, y2: -10, class: "mark" });
  const rim = createSvg("circle", { r: 9, class: "rim" });
  const attributes = { viewBox: "-11 -11 22 22", class: "time-pie", "aria-hidden": "true" };

  /**
   * @param {number} sectorFraction
   * @param {number} markFraction
   */
  function set(sectorFraction, markFraction) {
    const angle = 2 * Math.PI * Math.min(sectorFraction, 0.99999);
    const [x, y] = [9 * Math.sin(angle), -9 * Math.cos(angle)];
    const isLargeArc = angle > Math.PI ? 1 : 0;
    sector.setAttribute("d", `M0 0L0 -9A9 9 0 ${isLargeArc} 1 ${x.toFixed(3)} ${y.toFixed(3)}Z`);
    mark.setAttribute("transform", `rotate(${(360 * markFraction).toFixed(2)})`);
  }
  return { element: createSvg("svg", attributes, sector, rim, mark), set };
}

/**
 * What the chart shows: the shares of one schedule, those of a second one to compare with, and the steps of a
 * scheduler.
 * @typedef {object} ChartContent
 * @property {number} width in pixels
 * @property {ShareSamples} samples
 * @property {ShareSamples | null} otherSamples
 * @property {string[]} names of the levels, finest first
 * @property {string[]} colours of the levels, as #rrggbb
 * @property {Axis} axis
 * @property {string} axisTitle
 * @property {number[]} stepMarks positions on the axis
 */

/**
 * Where the parts of the chart are, in pixels from its top left corner.
 * @typedef {object} ChartLayout
 * @property {boolean} isNarrow
 * @property {number} highest the largest share that is drawn
 * @property {number} ceiling the share at the upper end of the vertical axis
 * @property {number} heatmapTop
 * @property {number} bottom the lower end of the heat map
 * @property {(position: number) => number} x
 * @property {(share: number) => number} y
 */

const MARGIN = { left: 56, right: 14, top: 22, betweenPlots: 12, bottom: 40 };
const HEATMAP_ROW_HEIGHT = 15;

/**
 * @param {ChartContent} content
 * @returns {ChartLayout}
 */
function layOut({ width, samples, otherSamples, names }) {
  const isNarrow = width < 480;
  const height = isNarrow ? 190 : 240;
  const heatmapTop = MARGIN.top + height + MARGIN.betweenPlots;
  const highest = Math.max(...[...samples, ...(otherSamples ?? [])].flatMap((r) => r ?? [0]));
  const ceiling = Math.ceil(highest * 5 - 1e-9) / 5; // a multiple of 0.2
  return {
    isNarrow,
    highest,
    ceiling,
    heatmapTop,
    bottom: heatmapTop + HEATMAP_ROW_HEIGHT * names.length,
    x: (position) => MARGIN.left + position * (width - MARGIN.left - MARGIN.right),
    y: (share) => MARGIN.top + (1 - share / ceiling) * height,
  };
}

/**
 * @param {string} content
 * @param {number} x
 * @param {number} y
 * @param {Attributes} [attributes]
 */
function createText(content, x, y, attributes = {}) {
  return createSvg("text", { x, y, ...attributes }, content);
}

/**
 * Round numbers between the ends of an axis, at most `maximum` + 1 of them.
 * @param {[number, number]} ends
 * @param {number} maximum
 */
function roundNumbersBetween(ends, maximum) {
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const spacings = [0.1, 0.2, 0.25, 0.5, 1, 2, 3, 4, 5, 10];
  const spacing = spacings.find((size) => (high - low) / size <= maximum) ?? high - low;
  const first = Math.ceil(low / spacing);
  const numbers = Array.from(
    { length: Math.floor((high - low) / spacing) + 1 },
    (_, i) => (first + i) * spacing,
  );
  return numbers.filter((value) => value <= high);
}

/**
 * The vertical axis of the shares, with its title and grid lines.
 * @param {ChartLayout} layout
 */
function createShareAxis({ x, y, ceiling }) {
  const parts = [createText("share of each resolution, rₘ", 4, 12, { class: "title" })];
  const grid = [];
  for (let i = 0; i <= Math.round(ceiling * 5); i++) {
    const top = y(i / 5);
    grid.push(createSvg("line", { x1: x(0), x2: x(1), y1: top, y2: top, class: "grid" }));
    parts.push(createText((i / 5).toFixed(1), x(0) - 7, top + 4, { "text-anchor": "end" }));
  }
  return [...grid, ...parts];
}

/**
 * The horizontal axis, below the heat map.
 * @param {ChartLayout} layout
 * @param {Axis} axis
 * @param {string} title
 */
function createHorizontalAxis({ x, bottom, isNarrow }, axis, title) {
  const [first, last] = axis.ends;
  const labels = roundNumbersBetween(axis.ends, isNarrow ? 5 : 10).map((value) => {
    const text = formatNumber(value, Number.isInteger(value) ? 0 : 2).replace(/(\.\d)0$/, "$1");
    return createText(text, x((value - first) / (last - first)), bottom + 15, { "text-anchor": "middle" });
  });
  return [
    ...labels,
    createText("noise", x(0), bottom + 33, { class: "end" }),
    createText(title, x(0.5), bottom + 33, { "text-anchor": "middle" }),
    createText("image", x(1), bottom + 33, { class: "end", "text-anchor": "end" }),
  ];
}

/**
 * The steps of a scheduler, as marks between the curves and the heat map.
 * @param {ChartLayout} layout
 * @param {number[]} positions
 */
function createStepMarks({ x, heatmapTop }, positions) {
  const [y1, y2] = [heatmapTop - MARGIN.betweenPlots + 1, heatmapTop - 1];
  return positions
    .filter((position) => position >= 0 && position <= 1)
    .map((position) => createSvg("line", { x1: x(position), x2: x(position), y1, y2, class: "step-mark" }));
}

/**
 * The curve of one level, as the path data of SVG.
 * @param {ChartLayout} layout
 * @param {ShareSamples} samples
 * @param {number} level
 */
function curvePath({ x, y }, samples, level) {
  const round = (/** @type {number} */ pixels) => Math.round(10 * pixels) / 10; // toFixed takes most of the frame
  let command = "M";
  let path = "";
  samples.forEach((r, i) => {
    if (r) path += `${command}${round(x(i / (samples.length - 1)))} ${round(y(r[level]))}`;
    command = r ? "L" : "M";
  });
  return path;
}

/**
 * The name of every level above the peak of its curve, where it covers no other name.
 * @param {ChartLayout} layout
 * @param {ShareSamples} samples
 * @param {string[]} names
 */
function createCurveNames({ x, y }, samples, names) {
  /** @type {[number, number][]} */
  const taken = [];
  return names.flatMap((name, level) => {
    const shares = samples.map((r) => (r ? r[level] : -1));
    const peak = shares.indexOf(Math.max(...shares));
    const left = clamp(x(peak / (samples.length - 1)), x(0) + 26, x(1) - 26);
    const isFree = (/** @type {number} */ top) =>
      taken.every(
        ([otherLeft, otherTop]) => Math.abs(otherLeft - left) > 44 || Math.abs(otherTop - top) > 12,
      );
    const top = [0, 13, 26].map((up) => y(shares[peak]) - 6 - up).find(isFree);
    if (top === undefined) return [];
    taken.push([left, top]);
    return [createText(name, left, top, { "text-anchor": "middle", class: "name" })];
  });
}

/**
 * The curves of both schedules and the names of the rows of the heat map.
 * @param {ChartLayout} layout
 * @param {ChartContent} content
 */
function createCurves(layout, { samples, otherSamples, names, colours }) {
  return names.flatMap((name, level) => {
    const attributes = { class: "curve", stroke: colours[level], "data-level": level };
    const curve = createSvg("path", { d: curvePath(layout, samples, level), ...attributes });
    const rowMiddle = layout.heatmapTop + HEATMAP_ROW_HEIGHT * (level + 0.5);
    const rowName = createText(name, layout.x(0) - 7, rowMiddle + 4, { "text-anchor": "end" });
    if (!otherSamples) return [curve, rowName];
    return [curve, createSvg("path", { d: curvePath(layout, otherSamples, level), class: "other" }), rowName];
  });
}

/**
 * Draw the shares as a heat map: one row per level in the level's colour, as opaque as the share is large, and
 * transparent where the schedule does not reach.
 * @param {HTMLCanvasElement} canvas
 * @param {ShareSamples} samples
 * @param {string[]} colours
 * @param {number} highest the share that is opaque
 */
function drawHeatmap(canvas, samples, colours, highest) {
  canvas.width = samples.length;
  canvas.height = colours.length;
  const context = context2d(canvas);
  const image = context.createImageData(canvas.width, canvas.height);
  colours.forEach((colour, level) => {
    const rgb = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
    samples.forEach((r, i) => {
      const opacity = r ? (255 * r[level]) / highest : 0;
      image.data.set([...rgb, opacity], 4 * (level * canvas.width + i));
    });
  });
  context.putImageData(image, 0, 0);
}

/** The curves r_m above a heat map of the same shares, with one cursor through both. */
export function createChart() {
  const fixedParts = createSvg("g");
  const cursor = createSvg("line", { class: "cursor" });
  const dots = createSvg("g");
  const svg = createSvg("svg", { class: "curves", role: "img" }, fixedParts, cursor, dots);
  const heatmap = createHtml("canvas", { class: "heatmap", role: "img" });
  const element = createHtml("div", { class: "chart" }, heatmap, svg);
  /** @type {ChartLayout} */
  let layout;

  /** @param {ChartContent} content */
  function draw(content) {
    const { width, samples, names, colours } = content;
    layout = layOut(content);
    const { x, heatmapTop, bottom } = layout;
    fixedParts.replaceChildren(
      ...createShareAxis(layout),
      ...createHorizontalAxis(layout, content.axis, content.axisTitle),
      ...createStepMarks(layout, content.stepMarks),
      ...createCurves(layout, content),
      ...createCurveNames(layout, samples, names),
    );
    svg.setAttribute("viewBox", `0 0 ${width} ${bottom + MARGIN.bottom}`);
    setAttributes(cursor, { y1: MARGIN.top, y2: bottom });
    dots.replaceChildren(...colours.map((fill) => createSvg("circle", { r: 4, fill })));

    const [left, right] = [x(0), x(1)];
    const box = { left, top: heatmapTop, width: right - left, height: bottom - heatmapTop };
    for (const [property, value] of Object.entries(box)) heatmap.style.setProperty(property, `${value}px`);
    drawHeatmap(heatmap, samples, colours, layout.highest);
  }

  /**
   * Move the cursor.
   * @param {number} position on the axis
   * @param {Shares} shares the values of the curves at this position
   */
  function moveCursor(position, shares) {
    const x = layout.x(position);
    setAttributes(cursor, { x1: x, x2: x });
    shares.forEach((share, level) => setAttributes(dots.children[level], { cx: x, cy: layout.y(share) }));
  }

  /**
   * Call `move` with a position while a mouse, pen or finger is dragged along the chart.
   * @param {(position: number) => void} move
   */
  function onDrag(move) {
    const follow = (/** @type {PointerEvent} */ event) => {
      const left = event.clientX - element.getBoundingClientRect().left;
      move(clamp((left - layout.x(0)) / (layout.x(1) - layout.x(0)), 0, 1));
    };
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      follow(event);
    });
    element.addEventListener("pointermove", (event) => {
      if (event.buttons) follow(event);
    });
  }

  return { element, svg, heatmap, draw, moveCursor, onDrag };
}
