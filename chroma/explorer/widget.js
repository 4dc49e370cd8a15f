// The wiring: from the linked controls to what is drawn. The model holds what the reader chose and nothing else.

const SAMPLES = 360;
const KEPT = 10; // every KEPT-th sample of the curves is published as a number

/** What the reader chose, out of the model. */
function choice(model) {
  const kinds = model.get("kinds");
  const own = ({ name, parameters }) => {
    return Object.fromEntries(Object.keys(parameters).map((key) => [key, model.get(`${name}_${key}`)]));
  };
  const kind = kinds[model.get("schedule")];
  const other = kinds[model.get("compare") - 1]; // 0 is "nothing"; a second schedule keeps its defaults
  const kernel = model.get("kernels")[model.get("kernel")];
  const levels = model.get("levels");
  const clock = schedule(kind.name, own(kind));
  const onLogSnr = model.get("axis") === 1;
  const comb = model.get("combs")[model.get("comb") - 1]; // 0 is "no scheduler"
  return {
    kind,
    parameters: own(kind),
    clock,
    other: other && { ...other, clock: schedule(other.name, other.parameters) },
    comb: comb && { label: comb.label, steps: comb.log_snrs[model.get("count")].map((z) => z ?? -Infinity) },
    size: model.get("sizes")[model.get("size")],
    kernel,
    levels,
    onLogSnr,
    axis: onLogSnr ? logSnrAxis(clock, levels, kernel) : timeAxis(kind.last),
    t: model.get("t"),
  };
}

/**
 * Keep the model consistent: time and its place on the axis, the number of levels that a size has. Changing
 * the schedule keeps the noise level and so changes the time.
 */
function keepConsistent(model) {
  const round = (t) => Number(t.toPrecision(6));
  let before = choice(model);
  let busy = false;
  const settle = (change) => () => {
    if (busy) return;
    busy = true;
    change();
    const now = choice(model);
    model.set("t", Math.min(Math.max(now.t, 0), now.kind.last));
    model.set("progress", now.axis.position(model.get("t")));
    before = choice(model);
    busy = false;
  };
  const changed = {
    schedule() {
      const { kind, clock } = choice(model);
      model.set("t_max", kind.last);
      model.set("t", round(Math.min(clock.time(before.clock.logSnr(before.t)), kind.last)));
    },
    progress: () => model.set("t", round(choice(model).axis.time(model.get("progress")))),
  };
  const depth = () => {
    const { size, kernel, levels } = choice(model);
    const most = levelsOf(size, kernel);
    const whole = levels === levelsOf(before.size, before.kernel);
    model.set("levels_max", most);
    model.set("levels", whole ? most : Math.min(levels, most));
  };
  changed.size = changed.kernel = depth;
  for (const name of watched(model)) model.on(`change:${name}`, settle(changed[name] ?? (() => {})));
}

function watched(model) {
  const parameters = model.get("kinds").flatMap(({ name, parameters }) => {
    return Object.keys(parameters).map((key) => `${name}_${key}`);
  });
  return ["schedule", "compare", "comb", "count", "axis", "size", "kernel", "levels", "t", "progress", ...parameters];
}

const superscript = (digits) => digits.replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);

/** A picture, its clock and its numbers: what is shown of one level. */
function levelView(name, colour, side) {
  const canvas = make("canvas", { width: side, height: side, role: "img" });
  const clock = dial(colour);
  const tau = make("span");
  const title = make("span", { class: "name", style: `border-color: ${colour}` }, name);
  const caption = make("figcaption", {}, clock.element, tau);
  const tile = make("figure", { class: "tile" }, title, canvas, caption);

  const bar = make("span", { class: "bar", style: `background: ${colour}` });
  const numbers = Array.from({ length: 4 }, () => make("span"));
  const swatch = make("span", { class: "swatch", style: `background: ${colour}` });
  const row = make(
    "tr",
    {},
    make("th", { scope: "row" }, swatch, name),
    make("td", { class: "share" }, make("span", { class: "track" }, bar), numbers[0]),
    ...numbers.slice(1).map((number) => make("td", {}, number)),
  );

  function show({ step, alpha, t, tau: time, last, r, lambda, z }) {
    paint(canvas, step, alpha);
    canvas.setAttribute("aria-label", `The noisy image at ${name}, ${Math.round(100 * alpha)} % of its variance signal`);
    clock.set(time / last, t / last);
    tau.textContent = `τ ${say(time, 3)}`;
    bar.style.width = `${100 * r}%`;
    [say(r, 3), say(time, 3), say(lambda, 2), say(z, 2)].forEach((text, i) => (numbers[i].textContent = text));
  }
  return { tile, row, show };
}

/** Give the sliders' handles, number fields and radio buttons of the linked controls names that are announced. */
function label(controls) {
  for (const control of controls.querySelectorAll(".widget-slider, .widget-radio")) {
    const name = control.querySelector(".widget-label")?.textContent;
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

async function render({ model, el }) {
  const photograph = await decode(model.get("photograph"));
  const reading = make("p", { class: "reading" });
  const plot = chart();
  const comparison = make("p", { class: "comparison" });
  const teeth = make("p", { class: "teeth" });
  const gallery = make("div", { class: "gallery" });
  const note = make("p", { class: "note" });
  const rows = make("tbody");
  const heads = ["level", "share rₘ", "clock τₘ", "scale λₘ", "log-SNR"];
  const head = make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text))));
  const table = make("table", {}, make("caption", {}, "In numbers"), head, rows);
  const live = make("div", { class: "live", "aria-live": "polite" });
  el.classList.add("chroma-view");
  el.replaceChildren(reading, plot.element, comparison, teeth, gallery, note, table, live);

  let levels = [];
  let steps = [];
  let width = 0;
  let frame = 0;
  let stale = { levels: true, curves: true };

  const colourOf = (side) => model.get("colours")[Math.round(Math.log2(side))];

  function drawLevels({ size, kernel, levels: count }) {
    const small = downsample(photograph.pixels, photograph.side, photograph.side / size);
    steps = pyramid(small, size, kernel, count);
    levels = steps.map(({ side }) => levelView(`${side}×${side}`, colourOf(side), side));
    gallery.replaceChildren(...levels.map(({ tile }) => tile));
    rows.replaceChildren(...levels.map(({ row }) => row));
  }

  function drawCurves({ kind, clock, other, comb, onLogSnr, axis, kernel, levels: count }) {
    const samples = curves(clock, kind.last, onLogSnr, count, kernel, SAMPLES);
    const others = other ? curves(other.clock, other.last, onLogSnr, count, kernel, SAMPLES) : null;
    const names = steps.map(({ side }) => `${side}×${side}`);
    const title = onLogSnr ? "log-SNR →" : "time t →";
    const places = (comb?.steps ?? []).map((z) => axis.position(clock.time(z)));
    const colours = steps.map(({ side }) => colourOf(side));
    plot.draw({ width, samples, others, names, colours, axis: { ...axis, title }, comb: places });
    teeth.textContent = comb ? counted(comb, names, kernel) : "";
    note.textContent =
      "The same noisy image, averaged to each resolution and scaled back to unit variance: λₘDᵐxₜ. A coarse image " +
      `is less noisy, so its clock shows less time left: τₘ, coloured. The tick is t, a full turn ${kind.last}.`;
    const along = onLogSnr ? "log-SNR" : "time";
    plot.svg.setAttribute("aria-label", `Share of each resolution against ${along}, from noise to image: ${kind.label}`);
    plot.heat.setAttribute("aria-label", `The same shares as a heat map, a row a resolution, finest on top`);
    const difference = others && largestDifference(samples, others);
    comparison.textContent = others ? compared(kind, other, onLogSnr, difference) : "";
    const kept = (list) => list && list.filter((_, i) => i % KEPT === 0);
    el.dataset.curves = JSON.stringify({ r: kept(samples), other: kept(others), difference, comb: places });
  }

  /** How many of a scheduler's steps each resolution leads, as a sentence. */
  function counted({ label, steps: logSnrs }, names, kernel) {
    const led = names.map(() => 0);
    for (const z of logSnrs) {
      const r = chromatogram(z, names.length, kernel);
      led[r.indexOf(Math.max(...r))] += 1;
    }
    const parts = names.map((name, m) => led[m] && `${name}: ${led[m]}`).filter(Boolean);
    const which = "by the resolution with the largest share";
    return `The comb marks the ${logSnrs.length} steps of ${label}, ${which}: ${parts.reverse().join(", ")}.`;
  }

  function compared(kind, other, onLogSnr, difference) {
    const pair = `Solid ${kind.label}, dashed ${other.label} (its defaults). `;
    const [digit, power] = difference.toExponential(0).split("e-");
    const size = difference < 1e-3 && power ? `${digit}\u00a0×\u00a010⁻${superscript(power)}` : say(difference, 3);
    if (onLogSnr) return `${pair}At the same log-SNR they coincide: the largest difference is ${size} (Theorem 1).`;
    const when = kind.last === other.last ? "At the same time t" : "At the same share of their time";
    return `${pair}${when} they differ by up to ${size}. Switch the axis to log-SNR to see them coincide.`;
  }

  let announcement = 0;
  function announce(sentence) {
    clearTimeout(announcement);
    announcement = setTimeout(() => (live.textContent = `${sentence} ${comparison.textContent} ${teeth.textContent}`), 600);
  }

  function redraw() {
    frame = 0;
    const start = performance.now();
    const now = choice(model);
    if (stale.levels) drawLevels(now);
    if (stale.levels || stale.curves) drawCurves(now);
    stale = { levels: false, curves: false };
    const numbers = readings(now.clock, now.t, now.levels, now.kernel);
    levels.forEach(({ show }, m) => {
      const z = numbers.level_log_snr[m];
      const [tau, r, lambda] = [numbers.tau[m], numbers.r[m], numbers.lambda[m]];
      show({ step: steps[m], alpha: expit(z), t: now.t, tau, last: now.kind.last, r, lambda, z });
    });
    plot.point(model.get("progress"), numbers.r);
    const leading = numbers.r.indexOf(Math.max(...numbers.r));
    const place = `At t = ${say(now.t, 3)} (log-SNR ${say(numbers.log_snr, 2)})`;
    const share = `${Math.round(100 * numbers.r[leading])}\u00a0%`;
    reading.textContent = `${place} the largest share, ${share}, is drawn at ${levelName(leading)}.`;
    announce(reading.textContent);
    publish(now, numbers, performance.now() - start);
  }

  const levelName = (m) => `${steps[m].side}×${steps[m].side}`;

  /** The numbers on the screen, for whoever wants to check them; infinities as words, which JSON lacks. */
  function publish({ kind, parameters, other, size, kernel, levels: count, onLogSnr, t }, numbers, milliseconds) {
    const state = { schedule: kind.name, parameters, compare: other?.name ?? null, size, kernel, levels: count };
    const words = (_, value) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value);
    el.dataset.state = JSON.stringify({ ...state, axis: onLogSnr ? "log-SNR" : "time", t, ...numbers }, words);
    el.dataset.redraw = milliseconds.toFixed(2);
  }

  function ask(part) {
    if (part) stale[part] = true;
    if (width) frame ||= requestAnimationFrame(redraw);
  }

  const needs = { t: null, progress: null, size: "levels", kernel: "levels", levels: "levels" };
  for (const name of watched(model)) model.on(`change:${name}`, () => ask(name in needs ? needs[name] : "curves"));
  plot.onDrag((position) => model.set("progress", position));

  const resized = new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width === width) return;
    width = contentRect.width;
    ask("curves");
  });
  resized.observe(plot.element);
  const relabelled = new MutationObserver(() => label(el.closest(".chroma-explorer")));
  requestAnimationFrame(() => {
    const controls = el.closest(".chroma-explorer");
    if (!controls) return; // the view alone, without its linked controls
    label(controls);
    relabelled.observe(controls.querySelector(".chroma-controls"), { childList: true, subtree: true });
  });
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(announcement);
    resized.disconnect();
    relabelled.disconnect();
  };
}

export default { initialize: ({ model }) => keepConsistent(model), render };
