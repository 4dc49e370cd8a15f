// @ts-check
// The widget: from the choices to the pictures, once per frame.

import { choiceTraits, keepConsistent, readChoice } from "./choice.js";
import {
  createChart,
  createHtml,
  createTimePie,
  decodePhotograph,
  downsample,
  drawNoisyImage,
  pyramid,
} from "./draw.js";
import { expit, largestDifference, sampleShares, valuesAt } from "./schedules.js";
import {
  describeComparison,
  describeImages,
  describeSteps,
  describeTime,
  formatNumber,
  percent,
  sizeName,
} from "./text.js";

/** @import { Choice, ChosenSchedule, Model } from "./choice.js" */
/** @import { LevelImage } from "./draw.js" */
/** @import { LevelValues } from "./schedules.js" */

const SAMPLES = 360;
const PUBLISHED_EVERY = 10; // of the samples of a curve, every tenth is published as a number
const ANNOUNCEMENT_DELAY = 600; // milliseconds without a change

const TABLE_HEADS = ["level", "share rₘ", "adjusted time τₘ", "scale λₘ", "log-SNR"];

/**
 * One level: a picture with its pie, and a row of the table.
 * @param {string} name
 * @param {string} colour
 * @param {number} side
 */
function createLevelView(name, colour, side) {
  const canvas = createHtml("canvas", { width: side, height: side, role: "img" });
  const pie = createTimePie(colour);
  const adjustedTime = createHtml("span");
  const title = createHtml("span", { class: "name", style: `border-color: ${colour}` }, name);
  const caption = createHtml("figcaption", {}, pie.element, adjustedTime);
  const tile = createHtml("figure", { class: "tile" }, title, canvas, caption);

  const bar = createHtml("span", { class: "bar", style: `background: ${colour}` });
  const track = createHtml("span", { class: "track" }, bar);
  const numbers = TABLE_HEADS.slice(1).map(() => createHtml("span"));
  const swatch = createHtml("span", { class: "swatch", style: `background: ${colour}` });
  const row = createHtml(
    "tr",
    {},
    createHtml("th", { scope: "row" }, swatch, name),
    createHtml("td", { class: "share" }, track, numbers[0]),
    ...numbers.slice(1).map((number) => createHtml("td", {}, number)),
  );

  /**
   * @param {LevelImage} image
   * @param {{ tau: number, r: number, lambda: number, logSnr: number }} values
   * @param {number} t
   * @param {number} tMax
   */
  function show(image, { tau, r, lambda, logSnr }, t, tMax) {
    const alpha = expit(logSnr);
    drawNoisyImage(canvas, image, alpha);
    const signal = `${percent(alpha)} of its variance is signal`;
    canvas.setAttribute("aria-label", `The noisy image, averaged to ${name} pixels; ${signal}`);
    pie.set(tau / tMax, t / tMax);
    adjustedTime.textContent = `τ ${formatNumber(tau, 3)}`;
    bar.style.width = `${100 * r}%`;
    const texts = [
      formatNumber(r, 3),
      formatNumber(tau, 3),
      formatNumber(lambda, 2),
      formatNumber(logSnr, 2),
    ];
    texts.forEach((text, i) => (numbers[i].textContent = text));
  }
  return { tile, row, show };
}

/** The elements of the view, empty, from top to bottom. */
function createElements() {
  const heads = TABLE_HEADS.map((text) => createHtml("th", { scope: "col" }, text));
  const rows = createHtml("tbody");
  const tableParts = [
    createHtml("caption", {}, "Values at this time"),
    createHtml("thead", {}, createHtml("tr", {}, ...heads)),
  ];
  return {
    reading: createHtml("p", { class: "reading" }),
    chart: createChart(),
    comparison: createHtml("p", { class: "comparison" }),
    stepCounts: createHtml("p", { class: "step-counts" }),
    gallery: createHtml("div", { class: "gallery" }),
    note: createHtml("p", { class: "note" }),
    table: createHtml("table", {}, ...tableParts, rows),
    rows,
    announcement: createHtml("div", { class: "announcement", "aria-live": "polite" }),
  };
}

/** The view of a model: everything below the controls, drawn anew at most once per frame. */
class View {
  /**
   * @param {Model} model
   * @param {HTMLElement} root the element to fill
   * @param {{ side: number, pixels: Float32Array }} photograph
   */
  constructor(model, root, photograph) {
    this.model = model;
    this.root = root;
    this.photograph = photograph;
    this.parts = createElements();
    /** @type {LevelImage[]} */
    this.images = [];
    /** @type {ReturnType<typeof createLevelView>[]} */
    this.levelViews = [];
    this.outdated = { levels: true, curves: true };
    this.width = 0;
    this.frame = 0;
    this.announcementTimer = 0;

    const { reading, chart, comparison, stepCounts, gallery, note, table, announcement } = this.parts;
    root.classList.add("chroma-view");
    root.replaceChildren(reading, chart.element, comparison, stepCounts, gallery, note, table, announcement);
    chart.onDrag((position) => model.set("progress", position));
    this.redrawOnChanges();
    this.resizeObserver = new ResizeObserver(([{ contentRect }]) => this.resize(contentRect.width));
    this.resizeObserver.observe(chart.element);
  }

  redrawOnChanges() {
    const cheap = ["t", "progress"]; // they move the cursor and change the pictures, but no curve
    const ofLevels = ["size_index", "factor_index", "levels"];
    for (const trait of choiceTraits(this.model)) {
      this.model.on(`change:${trait}`, () => {
        if (ofLevels.includes(trait)) this.outdated.levels = true;
        else if (!cheap.includes(trait)) this.outdated.curves = true;
        this.requestRedraw();
      });
    }
  }

  /** @param {number} width */
  resize(width) {
    if (width === this.width) return;
    this.width = width;
    this.outdated.curves = true;
    this.requestRedraw();
  }

  requestRedraw() {
    if (this.width && !this.frame) this.frame = requestAnimationFrame(() => this.redraw());
  }

  redraw() {
    this.frame = 0;
    const start = performance.now();
    const choice = readChoice(this.model);
    if (this.outdated.levels) this.createLevels(choice);
    if (this.outdated.levels || this.outdated.curves) this.drawCurves(choice);
    this.outdated = { levels: false, curves: false };
    this.drawTime(choice);
    this.root.dataset.redraw = (performance.now() - start).toFixed(2);
  }

  get colours() {
    const colours = this.model.get("colours"); // of the sides 1, 2, 4, ..
    return this.images.map(({ side }) => colours[Math.round(Math.log2(side))]);
  }

  get names() {
    return this.images.map(({ side }) => sizeName(side));
  }

  /** @param {Choice} choice */
  createLevels({ size, factor, levels }) {
    const { side, pixels } = this.photograph;
    this.images = pyramid(downsample(pixels, side, side / size), size, factor, levels);
    const { colours, names } = this;
    this.levelViews = this.images.map((image, m) => createLevelView(names[m], colours[m], image.side));
    this.parts.gallery.replaceChildren(...this.levelViews.map(({ tile }) => tile));
    this.parts.rows.replaceChildren(...this.levelViews.map(({ row }) => row));
  }

  /** @param {Choice} choice */
  drawCurves(choice) {
    const { schedule, other, scheduler, axisName, axis, factor, levels } = choice;
    const sample = (/** @type {ChosenSchedule} */ chosen) =>
      sampleShares(chosen, chosen.tMax, axisName, levels, factor, SAMPLES);
    const samples = sample(schedule);
    const otherSamples = other && sample(other);
    const difference = otherSamples && largestDifference(samples, otherSamples);
    const stepMarks = (scheduler?.logSnrs ?? []).map((z) => axis.position(schedule.time(z)));

    const { chart, comparison, stepCounts, note } = this.parts;
    const { width, names, colours } = this;
    const axisTitle = axisName === "time" ? "time t →" : "log-SNR →";
    chart.draw({ width, samples, otherSamples, names, colours, axis, axisTitle, stepMarks });
    const title = `Share of each resolution against ${axisName}, from noise to image: ${schedule.label}`;
    chart.svg.setAttribute("aria-label", title);
    chart.heatmap.setAttribute(
      "aria-label",
      "The same shares as a heat map, one row per resolution, finest on top",
    );
    comparison.textContent =
      other && difference !== null ? describeComparison(schedule, other, axisName, difference) : "";
    stepCounts.textContent = scheduler ? describeSteps(scheduler, names, factor) : "";
    note.textContent = describeImages(choice);

    const published = [samples, otherSamples].map((list) =>
      list?.filter((_, i) => i % PUBLISHED_EVERY === 0),
    );
    const [r, other_r] = published;
    this.root.dataset.curves = JSON.stringify({ r, other_r, difference, step_marks: stepMarks });
  }

  /** @param {Choice} choice */
  drawTime(choice) {
    const { schedule, factor, levels, t } = choice;
    const values = valuesAt(schedule, t, levels, factor);
    this.levelViews.forEach(({ show }, m) => {
      const [tau, r, lambda, logSnr] = [values.tau, values.r, values.lambda, values.level_log_snr].map(
        (v) => v[m],
      );
      show(this.images[m], { tau, r, lambda, logSnr }, t, schedule.tMax);
    });
    this.parts.chart.moveCursor(this.model.get("progress"), values.r);
    this.parts.reading.textContent = describeTime(t, values, this.names);
    this.announce();
    this.publish(choice, values);
  }

  /** Announce the sentences to screen readers once they have stopped changing. */
  announce() {
    clearTimeout(this.announcementTimer);
    this.announcementTimer = setTimeout(() => {
      const { reading, comparison, stepCounts, announcement } = this.parts;
      announcement.textContent = [reading, comparison, stepCounts].map((part) => part.textContent).join(" ");
    }, ANNOUNCEMENT_DELAY);
  }

  /**
   * Put the numbers on the screen into `data-state`, for tests to check; infinities as words, which JSON lacks.
   * @param {Choice} choice
   * @param {LevelValues} values
   */
  publish({ schedule, other, size, factor, levels, axisName, t }, values) {
    const { name, parameters } = schedule;
    const chosen = { schedule: name, parameters, compare: other?.name ?? null, size, factor, levels };
    this.root.dataset.state = JSON.stringify({ ...chosen, axis: axisName, t, ...values }, (_, value) =>
      typeof value === "number" && !Number.isFinite(value) ? String(value) : value,
    );
  }

  remove() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.announcementTimer);
    this.resizeObserver.disconnect();
  }
}

/**
 * Give the handles, number fields and radio buttons of the linked controls names that screen readers announce.
 * @param {Element} controls
 */
function nameControls(controls) {
  for (const control of controls.querySelectorAll(".widget-slider, .widget-radio")) {
    const name = control.querySelector(".widget-label")?.textContent ?? "";
    control.querySelector(".noUi-handle")?.setAttribute("aria-label", name);
    const readout = control.querySelector(".widget-readout");
    readout?.setAttribute("role", "textbox");
    readout?.setAttribute("aria-label", `${name}, as a number`);
    const group = control.querySelector(".widget-radio-box");
    group?.setAttribute("role", "radiogroup");
    group?.setAttribute("aria-label", name);
    // without a common name the arrow keys do not move between the buttons
    for (const radio of control.querySelectorAll("input")) radio.name = "chroma-explorer-axis";
  }
}

/**
 * Name the controls around a view, now and whenever ipywidgets creates new ones.
 * @param {HTMLElement} root the element of the view
 */
function keepControlsNamed(root) {
  const observer = new MutationObserver(() => {
    const explorer = root.closest(".chroma-explorer");
    if (explorer) nameControls(explorer);
  });
  requestAnimationFrame(() => {
    const explorer = root.closest(".chroma-explorer");
    const controls = explorer?.querySelector(".chroma-controls");
    if (!explorer || !controls) return; // the view alone, without its linked controls
    nameControls(explorer);
    observer.observe(controls, { childList: true, subtree: true });
  });
  return observer;
}

/** @param {{ model: Model, el: HTMLElement }} widget */
async function render({ model, el }) {
  const view = new View(model, el, await decodePhotograph(model.get("photograph")));
  const observer = keepControlsNamed(el);
  return () => {
    view.remove();
    observer.disconnect();
  };
}

/** @param {{ model: Model }} widget */
function initialize({ model }) {
  keepConsistent(model);
}

export default { initialize, render };
