// @ts-check
// The mathematics: chroma.schedules and chroma.chromatography, formula by formula, on plain numbers.
// A noise level is always kept as z = log-SNR: averaging adds a constant to z, and nothing overflows.

/**
 * The parameters of a schedule, under the names that the fields of its Python class have.
 * @typedef {Record<string, number>} Parameters
 */

/**
 * A noise schedule. `logSnr` falls as the time t grows; `time` is its inverse.
 * @typedef {object} Schedule
 * @property {(t: number) => number} logSnr
 * @property {(z: number) => number} time
 */

/**
 * The shares r_m of all levels, finest first.
 * @typedef {number[]} Shares
 */

/**
 * Shares along an axis, from noise to image; null where the schedule does not reach.
 * @typedef {(Shares | null)[]} ShareSamples
 */

/**
 * What the explorer shows at one time: the log-SNR of the full-size image, then one entry per level.
 * @typedef {object} LevelValues
 * @property {number} log_snr
 * @property {number[]} level_log_snr
 * @property {number[]} tau the adjusted times
 * @property {Shares} r
 * @property {number[]} lambda
 */

/**
 * What the horizontal axis of the chart shows.
 * @typedef {"time" | "log-SNR"} AxisName
 */

/**
 * A horizontal axis, from noise (position 0, left) to image (position 1, right).
 * @typedef {object} Axis
 * @property {(t: number) => number} position the position of time t
 * @property {(position: number) => number} time the time at a position
 * @property {[number, number]} ends the value, a time or a log-SNR, at the positions 0 and 1
 */

/** @type {(value: number, lowest: number, highest: number) => number} */
export const clamp = (value, lowest, highest) => Math.min(Math.max(value, lowest), highest);

/**
 * The logistic function: alpha as a function of log-SNR.
 * @param {number} z
 */
export function expit(z) {
  const small = Math.exp(-Math.abs(z));
  return (z < 0 ? small : 1) / (1 + small);
}

/**
 * -log alpha = log(1 + exp(-z)), exact for both signs of z.
 * @param {number} z
 */
function negLogAlpha(z) {
  return Math.max(0, -z) + Math.log1p(Math.exp(-Math.abs(z)));
}

const QUARTER_TURN = Math.PI / 2;

/**
 * The formulas of every schedule, under the name of its Python class. `createSchedule` clips `time` to the domain,
 * which is [0, 1] unless given.
 * @type {Record<string, (parameters: Parameters) => Schedule & { domain?: [number, number] }>}
 */
const FORMULAS = {
  Linear({ beta_min, beta_max }) {
    const slope = beta_max - beta_min;
    return {
      logSnr: (t) => -Math.log(Math.expm1(beta_min * t + (slope * t ** 2) / 2)),
      time(z) {
        const u = negLogAlpha(z);
        if (u === Infinity) return Infinity;
        return (2 * u) / (beta_min + Math.sqrt(Math.max(beta_min ** 2 + 2 * slope * u, 0)));
      },
    };
  },

  ScaledLinear({ beta_min, beta_max }) {
    const a = Math.sqrt(beta_min);
    const d = Math.sqrt(beta_max) - a;
    return {
      logSnr: (t) => -Math.log(Math.expm1(a ** 2 * t + a * d * t ** 2 + (d ** 2 * t ** 3) / 3)),
      time(z) {
        const u = negLogAlpha(z);
        if (u === Infinity) return Infinity;
        const c = Math.cbrt(a ** 3 + 3 * d * u);
        return (3 * u) / (c ** 2 + c * a + a ** 2);
      },
    };
  },

  Cosine({ s }) {
    const start = (s / (1 + s)) * QUARTER_TURN;
    return {
      logSnr(t) {
        const turn = (t / (1 + s)) * QUARTER_TURN;
        // cos(start + turn), written as a sine so that it is exactly 0 at t = 1
        const cosine = Math.sin(((1 - t) / (1 + s)) * QUARTER_TURN);
        return 2 * Math.log(cosine) - Math.log(Math.sin(turn)) - Math.log(Math.sin(turn + 2 * start));
      },
      time(z) {
        const sine = Math.sqrt(Math.sin(start) ** 2 + Math.cos(start) ** 2 * expit(-z));
        const cosine = Math.cos(start) * Math.sqrt(expit(z));
        return ((Math.atan2(sine, cosine) - start) * (1 + s)) / QUARTER_TURN;
      },
    };
  },

  Sigmoid({ start, end }) {
    const width = end - start;
    const offset = Math.log(Math.cosh(start / 2)) - Math.log(Math.cosh(end / 2));
    return {
      logSnr: (t) =>
        Math.log(Math.sinh(((1 - t) * width) / 2)) - Math.log(Math.sinh((t * width) / 2)) + offset,
      time(z) {
        const numerator = expit(start) * expit(z) + expit(end) * expit(-z);
        const denominator = expit(-start) * expit(z) + expit(-end) * expit(-z);
        return (Math.log(numerator) - Math.log(denominator) - start) / width;
      },
    };
  },

  Natural() {
    return {
      domain: [0, Infinity],
      logSnr: (t) => -t - Math.log(-Math.expm1(-t)),
      time: negLogAlpha,
    };
  },

  RectifiedFlow({ shift }) {
    return {
      logSnr: (t) => 2 * (Math.log1p(-t) - Math.log(t) - Math.log(shift)),
      time: (z) => expit(-(z / 2 + Math.log(shift))),
    };
  },

  EDM({ sigma_min, sigma_max, rho }) {
    const low = sigma_min ** (1 / rho);
    const high = sigma_max ** (1 / rho);
    return {
      logSnr: (t) => -2 * rho * Math.log(low + t * (high - low)),
      time: (z) => (Math.exp(-z / (2 * rho)) - low) / (high - low),
    };
  },
};

/**
 * The schedule of a Python class; its `time` never leaves the domain.
 * @param {string} name the name of the class
 * @param {Parameters} parameters
 * @returns {Schedule}
 */
export function createSchedule(name, parameters) {
  const { logSnr, time, domain = [0, 1] } = FORMULAS[name](parameters);
  return { logSnr, time: (z) => clamp(time(z), ...domain) };
}

/**
 * What level m adds to the log-SNR: 2 m log n, for averages over n x n pixels (Eqs 11, 16).
 * @param {number} level m
 * @param {number} factor n, the side of the averaged squares
 */
export function levelShift(level, factor) {
  return 2 * level * Math.log(factor);
}

/**
 * lambda_m = sqrt(alpha_tau / alpha_t) (Eq 16).
 * @param {number} z the log-SNR of the full-size image
 * @param {number} level
 * @param {number} factor
 */
export function intensity(z, level, factor) {
  const shift = levelShift(level, factor);
  return Math.exp(0.5 * (z === -Infinity ? shift : negLogAlpha(z) - negLogAlpha(z + shift)));
}

/**
 * r_m for m = 0 .. levels - 1: a softmax of log s(z_m) + log s(-z_m), s being `expit` (Eqs 18, 34).
 * @param {number} z the log-SNR of the full-size image
 * @param {number} levels how many
 * @param {number} factor
 * @returns {Shares}
 */
export function chromatogram(z, levels, factor) {
  const limit = 800 + levelShift(levels - 1, factor); // beyond it the limits n^2m and n^-2m are exact
  const limited = clamp(z, -limit, limit);
  const scores = Array.from({ length: levels }, (_, m) => {
    const distance = Math.abs(limited + levelShift(m, factor));
    return -distance - 2 * Math.log1p(Math.exp(-distance));
  });
  const highest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/**
 * Everything that the explorer shows at time t.
 * @param {Schedule} schedule
 * @param {number} t
 * @param {number} levels how many
 * @param {number} factor
 * @returns {LevelValues}
 */
export function valuesAt(schedule, t, levels, factor) {
  const z = schedule.logSnr(t);
  const levelLogSnr = Array.from({ length: levels }, (_, m) => z + levelShift(m, factor));
  return {
    log_snr: z,
    level_log_snr: levelLogSnr,
    tau: levelLogSnr.map(schedule.time),
    r: chromatogram(z, levels, factor),
    lambda: levelLogSnr.map((_, m) => intensity(z, m, factor)),
  };
}

/**
 * The number of levels, from an image of `side` pixels to the coarsest that averaging reaches.
 * @param {number} side
 * @param {number} factor
 * @returns {number}
 */
export function countLevels(side, factor) {
  return side % factor === 0 ? 1 + countLevels(side / factor, factor) : 1;
}

/**
 * The axis of time, from `tMax` down to 0.
 * @param {number} tMax
 * @returns {Axis}
 */
export function timeAxis(tMax) {
  return { position: (t) => 1 - t / tMax, time: (position) => tMax * (1 - position), ends: [tMax, 0] };
}

/**
 * The axis of log-SNR, over the range in which the chromatogram of these levels changes.
 * @param {Schedule} schedule
 * @param {number} levels
 * @param {number} factor
 * @returns {Axis}
 */
export function logSnrAxis(schedule, levels, factor) {
  const [low, high] = [-Math.ceil(levelShift(levels - 1, factor) + 5), 5];
  return {
    position: (t) => clamp((schedule.logSnr(t) - low) / (high - low), 0, 1),
    time: (position) => schedule.time(low + position * (high - low)),
    ends: [low, high],
  };
}

/**
 * The shares r_m at the positions 0, 1/count, .., 1 of an axis, each through the times of the schedule; null where
 * the schedule has no such time between 0 and `tMax`.
 * @param {Schedule} schedule
 * @param {number} tMax
 * @param {AxisName} axisName
 * @param {number} levels
 * @param {number} factor
 * @param {number} count
 * @returns {ShareSamples}
 */
export function sampleShares(schedule, tMax, axisName, levels, factor, count) {
  const axis = axisName === "time" ? timeAxis(tMax) : logSnrAxis(schedule, levels, factor);
  const [noisiest, cleanest] = [schedule.logSnr(tMax), schedule.logSnr(0)];
  return Array.from({ length: count + 1 }, (_, i) => {
    const position = i / count;
    const value = axis.ends[0] + position * (axis.ends[1] - axis.ends[0]);
    if (axisName === "log-SNR" && (value < noisiest || value > cleanest)) return null;
    return chromatogram(schedule.logSnr(axis.time(position)), levels, factor);
  });
}

/**
 * The largest |r_m - r'_m| over all levels and all positions at which both schedules have shares.
 * @param {ShareSamples} first
 * @param {ShareSamples} second
 */
export function largestDifference(first, second) {
  const differences = first.flatMap((r, i) => {
    const other = second[i];
    return r && other ? r.map((share, m) => Math.abs(share - other[m])) : [];
  });
  return Math.max(0, ...differences);
}
