// @ts-check
// The live view: three denoisers sample from the same noise in a worker; the page shows any step of theirs.

import { createHtml, gaussian } from "./draw.js";
import { createColumn, createControls, drawBars, drawPlanar } from "./live_parts.js";
import { chromatogram } from "./schedules.js";
import { bandPowers, predictedShares, splitBands, stepLogSnrs } from "./sampler.js";
import { formatNumber, percent, sizeName } from "./text.js";

/** @import { Step } from "./sampler.js" */
/** @typedef {Step & { shares: number[] | null, milliseconds: number }} ShownStep */
/** @typedef {{ get: (name: string) => any }} LiveModel */

const MILLISECONDS_PER_STEP = 160;
const ADDRESS = "#live&";
const BARS = {
  measured: "Change of the predicted image by resolution",
  predicted: "The same, predicted for Gaussian data",
  paper: "The paper's share r_m",
};
const OF_NETWORK = ["style", "subject", "scale", "switch", "style2", "subject2"];

/**
 * The images of a sheet of square tiles, as planar bytes, each followed by its mirror image.
 * @param {string} url
 * @param {number} side
 */
export async function decodeSheet(url, side) {
  const sheet = new Image();
  sheet.src = url;
  await sheet.decode();
  const [columns, rows] = [sheet.naturalWidth / side, sheet.naturalHeight / side];
  const canvas = createHtml("canvas", { width: sheet.naturalWidth, height: sheet.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("this browser cannot draw on a canvas");
  context.drawImage(sheet, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const area = side * side;
  const bytes = new Uint8Array(2 * columns * rows * 3 * area);
  for (let i = 0; i < columns * rows; i++) {
    for (let j = 0; j < area; j++) {
      const [y, x] = [Math.floor(j / side), j % side];
      const top = Math.floor(i / columns) * side + y;
      const source = 4 * (top * canvas.width + (i % columns) * side + x);
      for (let c = 0; c < 3; c++) {
        bytes[(2 * i * 3 + c) * area + j] = data[source + c];
        bytes[((2 * i + 1) * 3 + c) * area + y * side + side - 1 - x] = data[source + c];
      }
    }
  }
  return bytes;
}

/**
 * The prompt of a style and a subject, either of which may be "".
 * @param {Record<string, string>} styles
 * @param {string} style
 * @param {string} subject
 */
function promptOf(styles, style, subject) {
  return [styles[style], subject].filter(Boolean).join(" of ");
}

/** The address of the folder of the site's own files, from wherever the page is. */
function staticFolder() {
  return new URL("_static/", new URL(document.documentElement.dataset.content_root ?? "./", location.href));
}

class LiveView {
  /**
   * @param {LiveModel} model
   * @param {HTMLElement} root
   * @param {Uint8Array} images
   */
  constructor(model, root, images) {
    this.data = model.get("gaussian");
    this.side = model.get("side");
    this.network = model.get("network");
    this.schedules = model.get("schedules");
    this.defaults = model.get("state");
    const sides = this.data.values.map((/** @type {any} */ _, /** @type {number} */ m) => this.side >> m);
    this.names = sides.map(sizeName);
    this.colours = sides.map((/** @type {number} */ side) => model.get("colours")[Math.log2(side)]);
    this.powers = bandPowers(this.data.values);
    this.root = root;
    this.playing = 0;
    this.frame = 0;
    this.runs = 0;
    this.isLoaded = false;
    /** @type {Record<string, { run: number, steps: ShownStep[] }>} */
    this.trajectories = {};

    this.controls = createControls({ schedules: this.schedules, resolutions: sides, ...this.network });
    const count = images.length / (3 * this.side ** 2);
    this.columns = {
      gaussian: createColumn("Gaussian", "exact, for the powers of photographs", this.names),
      memory: createColumn("Memory", `exact, for ${count} photographs alone`, this.names),
      network: createColumn("Network", "trained, text to image", this.names),
    };
    this.slider = createHtml("input", { type: "range", min: 0, step: 1, "aria-label": "step" });
    this.playButton = createHtml("button", { type: "button", class: "live-play" }, "Play");
    this.reading = createHtml("span", { class: "live-reading" });
    this.announcement = createHtml("div", { class: "announcement", "aria-live": "polite" });
    const legend = this.names.map((/** @type {string} */ name, /** @type {number} */ m) =>
      createHtml("span", {}, createHtml("i", { style: `background: ${this.colours[m]}` }), name),
    );
    root.classList.add("chroma-live");
    root.replaceChildren(
      createHtml("div", { class: "live-player" }, this.playButton, this.slider, this.reading),
      createHtml("div", { class: "live-columns" }, ...Object.values(this.columns).map(({ element }) => element)),
      createHtml("div", { class: "live-legend" }, ...legend.reverse()),
      this.controls.element,
      this.announcement,
    );

    const source = new Blob([model.get("worker")], { type: "text/javascript" });
    this.workerUrl = URL.createObjectURL(source);
    this.worker = new Worker(this.workerUrl);
    this.worker.onmessage = ({ data }) => this.receive(data);
    const table = this.network.log_snrs;
    this.worker.postMessage({ type: "data", gaussian: this.data, side: this.side, images, table });
    this.offerNetwork();
    this.listen();
    this.restore();
  }

  listen() {
    const { inputs, newNoise } = this.controls;
    for (const [name, input] of Object.entries(inputs)) {
      input.addEventListener("change", () => {
        if (!input.checkValidity() || input.value === "" && input instanceof HTMLInputElement) {
          input.value = this.state[name] ?? this.defaults[name];
        }
        this.choose(name, input.value);
      });
    }
    newNoise.addEventListener("click", () => this.choose("seed", String((Number(this.state.seed) % 9999) + 1)));
    this.slider.addEventListener("input", () => {
      this.pause();
      this.show(Number(this.slider.value));
    });
    this.slider.addEventListener("change", () => this.writeAddress(false));
    this.playButton.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
    this.onAddress = () => location.hash.startsWith(ADDRESS) && this.restore();
    addEventListener("popstate", this.onAddress);
  }

  /** Take the state from the address, or the defaults. */
  restore() {
    const given = location.hash.startsWith(ADDRESS) ? location.hash.slice(ADDRESS.length) : "";
    /** @type {Record<string, string>} */
    const state = { ...this.defaults };
    for (const [name, value] of new URLSearchParams(given)) {
      const input = this.controls.inputs[name];
      if (name === "step" && /^\d+$/.test(value)) state.step = value;
      if (!input) continue;
      input.value = value;
      if (input.value === value && input.checkValidity()) state[name] = value;
    }
    this.state = state;
    for (const [name, input] of Object.entries(this.controls.inputs)) input.value = state[name];
    this.start(Object.keys(this.columns));
    this.show(Math.min(Number(state.step), Number(state.steps) - 1));
  }

  /** @param {boolean} isNew whether going back in the history undoes it */
  writeAddress(isNew) {
    const changed = Object.entries(this.state).filter(([name, value]) => value !== this.defaults[name]);
    const address = ADDRESS + new URLSearchParams(changed);
    if (isNew) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  choose(name, value) {
    if (name === "steps") {
      this.state.step = String(Math.round((Number(this.state.step) / Number(this.state.steps)) * Number(value)));
    }
    this.state[name] = value;
    this.controls.inputs[name].value = value;
    this.start(OF_NETWORK.includes(name) ? ["network"] : Object.keys(this.columns));
    this.show(Math.min(Number(this.state.step), Number(this.state.steps) - 1));
    this.writeAddress(true);
  }

  /** @param {string[]} kinds */
  start(kinds) {
    const { seed, steps, schedule, style, subject, style2, subject2, scale } = this.state;
    const noise = Float64Array.from(gaussian(3 * this.side ** 2, Number(seed)));
    this.logSnrs = stepLogSnrs(schedule, this.schedules[schedule]?.parameters ?? {}, Number(steps));
    this.slider.max = String(this.logSnrs.length - 1);
    const side = Number(this.state.switch);
    this.switchAt = side ? -Math.log(this.powers[Math.log2(this.side / side)]) : Infinity;
    const { ids, styles } = this.network;
    const prompts = [ids[promptOf(styles, style, subject)], ids[promptOf(styles, style2, subject2)]];
    for (const kind of kinds) {
      if (kind === "network" && !this.isLoaded) continue;
      const run = ++this.runs;
      this.trajectories[kind] = { run, steps: [] };
      const request = { run, kind, noise, prompts, switchAt: this.switchAt, scale: Number(scale) };
      this.worker.postMessage({ ...request, logSnrs: this.logSnrs });
    }
  }

  /** @param {any} message of the worker */
  receive(message) {
    if (message.type === "step") {
      const trajectory = this.trajectories[message.kind];
      if (trajectory?.run !== message.run) return;
      trajectory.steps.push(message);
      this.requestDraw();
    } else if (message.type === "progress") {
      const total = this.network.bytes + this.network.runtime_bytes;
      this.progress.value = message.bytes / total;
      this.message.textContent = `${percent(Math.min(1, message.bytes / total))} of ${megabytes(total)}`;
    } else if (message.type === "loaded") {
      this.isLoaded = true;
      this.columns.network.overlay.hidden = true;
      this.announcement.textContent = "The network is loaded and samples.";
      this.start(["network"]);
    } else {
      const reason = `The network could not be loaded (${message.reason}).`;
      this.offerNetwork(`${reason} Check the connection and try again.`);
    }
  }

  /** @param {string} [problem] why it is offered again */
  offerNetwork(problem = "") {
    const { overlay } = this.columns.network;
    overlay.hidden = false;
    this.progress = createHtml("progress", { max: 1, value: 0, hidden: "", "aria-label": "network loaded" });
    this.message = createHtml("p", { role: "status" }, problem);
    const offered = this.network.folder && location.protocol !== "file:";
    if (!offered) {
      this.message.textContent =
        "The network needs the page from a web server: a browser refuses to load it from a file or a notebook.";
      overlay.replaceChildren(this.message);
      return;
    }
    const total = megabytes(this.network.bytes + this.network.runtime_bytes);
    const button = createHtml("button", { type: "button" }, problem ? "Try again" : `Load the network (${total})`);
    button.addEventListener("click", () => {
      button.remove();
      this.progress.hidden = false;
      const { folder, runtime, bytes } = this.network;
      const [network, runtimeFolder] = [folder, runtime].map((path) => new URL(path, staticFolder()).href);
      this.worker.postMessage({ type: "load", network, runtime: runtimeFolder, bytes });
    });
    overlay.replaceChildren(button, this.progress, this.message);
  }

  play() {
    if (Number(this.state.step) >= this.logSnrs.length - 1) this.show(0);
    this.playButton.textContent = "Pause";
    let before = performance.now();
    const tick = () => {
      const now = performance.now();
      const step = Number(this.state.step);
      const isReady = Object.values(this.trajectories).every(({ steps }) => steps.length > step + 1);
      if (isReady && now - before >= MILLISECONDS_PER_STEP * Math.min(1, 25 / this.logSnrs.length)) {
        before = now;
        this.show(step + 1);
      }
      if (Number(this.state.step) >= this.logSnrs.length - 1) this.pause();
      else this.playing = requestAnimationFrame(tick);
    };
    this.playing = requestAnimationFrame(tick);
  }

  pause() {
    if (!this.playing) return;
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.playButton.textContent = "Play";
    this.draw(); // the last step may not be on the screen yet
    this.announcement.textContent = this.reading.textContent;
    this.writeAddress(false);
  }

  /** @param {number} step */
  show(step) {
    this.state.step = String(step);
    this.slider.value = String(step);
    this.requestDraw();
  }

  requestDraw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    const step = Number(this.state.step);
    const z = this.logSnrs[step];
    this.reading.textContent = `step ${step + 1} of ${this.logSnrs.length}, log-SNR ${formatNumber(z, 1)}`;
    this.slider.setAttribute("aria-valuetext", this.reading.textContent);
    const expected = {
      predicted: predictedShares(this.logSnrs, this.data.values),
      paper: this.logSnrs.map((z) => chromatogram(z, this.names.length, 2)),
    };
    const switchStep = this.logSnrs.findIndex((value) => value >= this.switchAt);
    for (const [kind, column] of Object.entries(this.columns)) {
      const steps = this.trajectories[kind]?.steps ?? [];
      const mark = kind === "network" && switchStep >= 0 ? switchStep : null;
      const shares = this.logSnrs.map((_, i) => (i <= step ? (steps[i]?.shares ?? null) : null));
      drawBars(column.bars.measured, shares, this.colours, { current: step, drawn: step + 1, mark });
      for (const bars of /** @type {const} */ (["predicted", "paper"])) {
        drawBars(column.bars[bars], expected[bars], this.colours, { current: step, drawn: step + 1, mark });
      }
      if (steps[step]) this.drawStep(column, steps[step], steps[step - 1] ?? null);
      for (const bars of /** @type {const} */ (["predicted", "paper"])) {
        column.bars[bars].setAttribute("aria-label", `${BARS[bars]}: ${this.list(expected[bars][step])}`);
      }
    }
    this.publish(step);
  }

  /**
   * @param {ReturnType<typeof createColumn>} column
   * @param {ShownStep} step
   * @param {ShownStep | null} previous
   */
  drawStep({ pictures, bands, bars }, { x, x0, shares }, previous) {
    drawPlanar(pictures.x, x, 127.5);
    drawPlanar(pictures.x0, x0, 127.5);
    const change = previous ? x0.map((value, i) => value - previous.x0[i]) : x0;
    splitBands(change, this.side).forEach((band, m) => {
      const spread = Math.sqrt(band.reduce((sum, value) => sum + value * value, 0) / band.length);
      drawPlanar(bands[m], band, 50 / Math.max(spread, 1e-3));
    });
    pictures.x.setAttribute("aria-label", "The noisy image at this step");
    pictures.x0.setAttribute("aria-label", "The image predicted at this step");
    bands.forEach((canvas, m) =>
      canvas.setAttribute("aria-label", `What this step changes at ${this.names[m]} pixels, in its own range`),
    );
    bars.measured.setAttribute("aria-label", `${BARS.measured}: ${shares ? this.list(shares) : "no change"}`);
  }

  /** @param {number[]} shares */
  list(shares) {
    return shares.map((share, m) => `${this.names[m]} ${percent(share)}`).join(", ");
  }

  /**
   * Put what is shown into `data-state`, for tests to check.
   * @param {number} step
   */
  publish(step) {
    const kinds = Object.entries(this.trajectories).map(([kind, { steps }]) => {
      const times = steps.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
      return [kind, { steps: steps.length, milliseconds: times[times.length >> 1] ?? null }];
    });
    this.root.dataset.state = JSON.stringify({ ...this.state, step, kinds: Object.fromEntries(kinds) });
  }

  remove() {
    cancelAnimationFrame(this.playing);
    cancelAnimationFrame(this.frame);
    removeEventListener("popstate", this.onAddress);
    this.worker.terminate();
    URL.revokeObjectURL(this.workerUrl);
  }
}

/** @param {number} bytes */
function megabytes(bytes) {
  return `${Math.round(bytes / 1e6)} MB`;
}

/** @param {{ model: LiveModel, el: HTMLElement }} widget */
async function render({ model, el }) {
  const view = new LiveView(model, el, await decodeSheet(model.get("sheet"), model.get("side")));
  return () => view.remove();
}

export default { render };
