// The drawing: pictures on canvases, curves and clocks in SVG. No schedule is known here.

/** Standard normal numbers, the same on every visit (mulberry32 and Box-Muller). */
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

/** D: means of n x n pixels of an interleaved RGB picture (side, side, 3), times `gain`. */
export function downsample(pixels, side, kernel, gain = 1) {
  const coarse = side / kernel;
  const out = new Float32Array(coarse * coarse * 3);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const target = 3 * (Math.floor(y / kernel) * coarse + Math.floor(x / kernel));
      const source = 3 * (y * side + x);
      for (let c = 0; c < 3; c++) out[target + c] += pixels[source + c];
    }
  }
  return out.map((sum) => (sum * gain) / kernel ** 2);
}

/** D^m of the picture and of the noise for every level; the noise as n^m D^m eps, of unit variance again. */
export function pyramid(picture, side, kernel, levels) {
  let clean = picture;
  let noise = gaussian(3 * side * side);
  const steps = [{ side, clean, noise }];
  for (let m = 1; m < levels; m++) {
    clean = downsample(clean, side, kernel);
    noise = downsample(noise, side, kernel, kernel);
    side /= kernel;
    steps.push({ side, clean, noise });
  }
  return steps;
}

/** lambda_m D^m x_t = sqrt(alpha_tau) D^m x_0 + sqrt(1 - alpha_tau) n^m D^m eps (Eq 12), from [-1, 1] to bytes. */
export function paint(canvas, { side, clean, noise }, alpha) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  const signal = 127.5 * Math.sqrt(alpha);
  const spread = 127.5 * Math.sqrt(1 - alpha);
  for (let i = 0, j = 0; i < clean.length; i++, j++) {
    image.data[j] = 127.5 + signal * clean[i] + spread * noise[i];
    if (i % 3 === 2) image.data[++j] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** The pixels of a data URL at `side` x `side`, interleaved RGB in [-1, 1]: an exact mean of the photograph's. */
export async function decode(url) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = picture.naturalWidth;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const bytes = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const pixels = new Float32Array(3 * canvas.width ** 2);
  for (let i = 0; i < pixels.length; i++) pixels[i] = bytes[Math.floor(i / 3) * 4 + (i % 3)] / 127.5 - 1;
  return { side: canvas.width, pixels };
}

/** An element, in HTML or (for names of SVG) in SVG, with its attributes and children. */
export function make(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "text"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A clock face on which `share` of the full turn is left; `hand` marks another share. */
export function dial(colour) {
  const wedge = make("path", { fill: colour });
  const hand = make("line", { x1: 0, y1: -7.5, x2: 0, y2: -10, class: "hand" });
  const face = make("circle", { r: 9, class: "face" });
  const element = make("svg", { viewBox: "-11 -11 22 22", class: "dial", "aria-hidden": "true" }, wedge, face, hand);
  const set = (share, handShare) => {
    const angle = 2 * Math.PI * Math.min(share, 0.99999);
    const [x, y] = [9 * Math.sin(angle), -9 * Math.cos(angle)];
    wedge.setAttribute("d", `M0 0L0 -9A9 9 0 ${angle > Math.PI ? 1 : 0} 1 ${x.toFixed(3)} ${y.toFixed(3)}Z`);
    hand.setAttribute("transform", `rotate(${(360 * handShare).toFixed(2)})`);
  };
  return { element, set };
}

const MARGIN = { left: 56, right: 14, top: 22, between: 12, bottom: 40 };
const ROW = 15;

/** Numbers for people: a real minus, an infinity sign. */
export function say(value, digits) {
  const text = Number.isFinite(value) ? value.toFixed(digits) : "∞";
  return value < 0 && Number(text) !== 0 ? `−${text.replace("-", "")}` : text.replace("-", "");
}

function path(samples, level, x, y) {
  const tenth = (pixels) => Math.round(10 * pixels) / 10; // toFixed takes most of the frame
  let pen = "M";
  let steps = "";
  samples.forEach((r, i) => {
    if (r) steps += `${pen}${tenth(x(i / (samples.length - 1)))} ${tenth(y(r[level]))}`;
    pen = r ? "L" : "M";
  });
  return steps;
}

/** Ticks of an axis from `first` to `last`: about `wanted` round numbers. */
function ticks([first, last], wanted) {
  const width = Math.abs(last - first);
  const step = [0.1, 0.2, 0.25, 0.5, 1, 2, 3, 4, 5, 10].find((size) => width / size <= wanted);
  const low = Math.min(first, last);
  return Array.from({ length: Math.floor(width / step) + 1 }, (_, i) => (Math.ceil(low / step) + i) * step).filter(
    (value) => value <= Math.max(first, last),
  );
}

/** The curves r_m over the heat map of the same numbers, with one cursor through both. */
export function chart() {
  const still = make("g");
  const cursor = make("line", { class: "cursor" });
  const dots = make("g");
  const svg = make("svg", { class: "curves", role: "img" }, still, cursor, dots);
  const heat = make("canvas", { class: "heat", role: "img" });
  const element = make("div", { class: "chart" }, heat, svg);
  let x, y;

  /** samples: r_m along the axis; others: a second schedule's, or null; names: of levels; axis: {ends, title}; comb: places on it. */
  function draw({ width, samples, others, names, colours, axis, comb }) {
    const levels = names.length;
    const height = width < 480 ? 190 : 240;
    const heatTop = MARGIN.top + height + MARGIN.between;
    const bottom = heatTop + ROW * levels;
    const highest = Math.max(...[...samples, ...(others ?? [])].flatMap((r) => r ?? [0]));
    const ceiling = Math.ceil(highest * 5 - 1e-9) / 5;
    x = (position) => MARGIN.left + position * (width - MARGIN.left - MARGIN.right);
    y = (share) => MARGIN.top + (1 - share / ceiling) * height;
    const place = (value) => x((value - axis.ends[0]) / (axis.ends[1] - axis.ends[0]));
    const text = (content, left, top, extra = {}) => make("text", { x: left, y: top, ...extra }, content);

    const parts = [text("share of what is being drawn, rₘ", 4, 12, { class: "title" })];
    for (let i = 0; i <= Math.round(ceiling * 5); i++) {
      const top = y(i / 5);
      parts.push(make("line", { x1: x(0), x2: x(1), y1: top, y2: top, class: "grid" }));
      parts.push(text((i / 5).toFixed(1), x(0) - 7, top + 4, { "text-anchor": "end" }));
    }
    for (const value of ticks(axis.ends, width < 480 ? 5 : 10)) {
      const label = say(value, Number.isInteger(value) ? 0 : 2).replace(/(\.\d)0$/, "$1");
      parts.push(text(label, place(value), bottom + 15, { "text-anchor": "middle" }));
    }
    parts.push(text("noise", x(0), bottom + 33, { class: "end" }));
    parts.push(text(axis.title, x(0.5), bottom + 33, { "text-anchor": "middle" }));
    parts.push(text("image", x(1), bottom + 33, { class: "end", "text-anchor": "end" }));

    for (const tooth of comb.filter((position) => position >= 0 && position <= 1)) {
      const ends = { x1: x(tooth), x2: x(tooth), y1: heatTop - MARGIN.between + 1, y2: heatTop - 1 };
      parts.push(make("line", { ...ends, class: "tooth" }));
    }

    const written = [];
    for (let m = 0; m < levels; m++) {
      const stroke = { stroke: colours[m], "data-level": m };
      parts.push(make("path", { d: path(samples, m, x, y), class: "curve", ...stroke }));
      if (others) parts.push(make("path", { d: path(others, m, x, y), class: "other" }));
      parts.push(text(names[m], x(0) - 7, heatTop + ROW * (m + 0.5) + 4, { "text-anchor": "end" }));
      const shares = samples.map((r) => (r ? r[m] : -1));
      const peak = shares.indexOf(Math.max(...shares));
      const left = Math.min(Math.max(x(peak / (samples.length - 1)), x(0) + 26), x(1) - 26);
      const free = (top) => written.every(([l, t]) => Math.abs(l - left) > 44 || Math.abs(t - top) > 12);
      const top = [0, 13, 26].map((up) => y(shares[peak]) - 6 - up).find(free);
      if (top) {
        parts.push(text(names[m], left, top, { "text-anchor": "middle", class: "name" }));
        written.push([left, top]);
      }
    }
    still.replaceChildren(...parts);
    svg.setAttribute("viewBox", `0 0 ${width} ${bottom + MARGIN.bottom}`);
    for (const [key, value] of Object.entries({ y1: MARGIN.top, y2: bottom })) cursor.setAttribute(key, value);
    dots.replaceChildren(...names.map((_, m) => make("circle", { r: 4, fill: colours[m] })));

    const style = { left: x(0), top: heatTop, width: x(1) - x(0), height: ROW * levels };
    for (const [key, value] of Object.entries(style)) heat.style[key] = `${value}px`;
    warm(samples, colours, highest);
  }

  /** Each row in its level's colour, as opaque as its share is large; transparent where there is no curve. */
  function warm(samples, colours, highest) {
    heat.width = samples.length;
    heat.height = colours.length;
    const context = heat.getContext("2d");
    const image = context.createImageData(heat.width, heat.height);
    colours.forEach((colour, m) => {
      const rgba = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
      samples.forEach((r, i) => {
        rgba[3] = r ? (255 * r[m]) / highest : 0;
        image.data.set(rgba, 4 * (m * heat.width + i));
      });
    });
    context.putImageData(image, 0, 0);
  }

  /** Move the cursor to `position` (0 .. 1), where the curves have the values `r`. */
  function point(position, r) {
    cursor.setAttribute("x1", x(position));
    cursor.setAttribute("x2", x(position));
    r.forEach((share, m) => {
      dots.children[m].setAttribute("cx", x(position));
      dots.children[m].setAttribute("cy", y(share));
    });
  }

  /** Call `move(position)` while a mouse, pen or finger is dragged along the chart. */
  function onDrag(move) {
    const follow = (event) => {
      const left = event.clientX - element.getBoundingClientRect().left;
      move(Math.min(Math.max((left - x(0)) / (x(1) - x(0)), 0), 1));
    };
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      follow(event);
    });
    element.addEventListener("pointermove", (event) => event.buttons && follow(event));
  }

  return { element, svg, heat, draw, point, onDrag };
}
