// The mathematics: chroma.schedules and chroma.chromatography, formula by formula, on plain numbers.
// Everything is kept as z = log-SNR, in which a coarser level is a shift and nothing overflows.

/** The logistic function: alpha as a function of log-SNR. */
export function expit(z) {
  const small = Math.exp(-Math.abs(z));
  return (z < 0 ? small : 1) / (1 + small);
}

/** -log alpha = log(1 + exp(-z)), exact for both signs of z. */
function decay(z) {
  return Math.max(0, -z) + Math.log1p(Math.exp(-Math.abs(z)));
}

const QUARTER_TURN = Math.PI / 2;

// Each entry: parameters -> {domain, logSnr(t), time(z)}; `schedule` below clips `time` to the domain.
const KINDS = {
  Linear({ beta_min, beta_max }) {
    const slope = beta_max - beta_min;
    return {
      logSnr: (t) => -Math.log(Math.expm1(beta_min * t + (slope * t ** 2) / 2)),
      time(z) {
        const u = decay(z);
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
        const u = decay(z);
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
      logSnr: (t) => Math.log(Math.sinh(((1 - t) * width) / 2)) - Math.log(Math.sinh((t * width) / 2)) + offset,
      time(z) {
        const up = expit(start) * expit(z) + expit(end) * expit(-z);
        const down = expit(-start) * expit(z) + expit(-end) * expit(-z);
        return (Math.log(up) - Math.log(down) - start) / width;
      },
    };
  },

  Natural() {
    return {
      domain: [0, Infinity],
      logSnr: (t) => -t - Math.log(-Math.expm1(-t)),
      time: decay,
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

/** A schedule by its Python class name: {logSnr(t), time(z)}; `time` never leaves the domain. */
export function schedule(kind, parameters) {
  const { logSnr, time, domain = [0, 1] } = KINDS[kind](parameters);
  return { logSnr, time: (z) => Math.min(Math.max(time(z), domain[0]), domain[1]) };
}

/** How far level m is ahead in log-SNR: 2 m log n (Eqs 11, 16). */
export function levelShift(level, kernel) {
  return 2 * level * Math.log(kernel);
}

/** lambda_m = sqrt(alpha_tau / alpha_t) (Eq 16). */
export function intensity(z, level, kernel) {
  const ahead = levelShift(level, kernel);
  return Math.exp(0.5 * (z === -Infinity ? ahead : decay(z) - decay(z + ahead)));
}

/** r_m for m = 0 .. levels - 1: a softmax of log s(z_m) + log s(-z_m) (Eqs 18, 34). */
export function chromatogram(z, levels, kernel) {
  const limit = 800 + levelShift(levels - 1, kernel); // beyond it the limits 4^m and 4^-m are exact
  const near = Math.min(Math.max(z, -limit), limit);
  const scores = Array.from({ length: levels }, (_, m) => {
    const distance = Math.abs(near + levelShift(m, kernel));
    return -distance - 2 * Math.log1p(Math.exp(-distance));
  });
  const highest = Math.max(...scores);
  const shares = scores.map((score) => Math.exp(score - highest));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => share / total);
}

/** Everything the explorer shows at time t, one entry a level (log_snr, tau, r, lambda). */
export function readings(clock, t, levels, kernel) {
  const z = clock.logSnr(t);
  const deeper = Array.from({ length: levels }, (_, m) => z + levelShift(m, kernel));
  return {
    log_snr: z,
    level_log_snr: deeper,
    tau: deeper.map((zm) => clock.time(zm)),
    r: chromatogram(z, levels, kernel),
    lambda: deeper.map((_, m) => intensity(z, m, kernel)),
  };
}

/** How many times a side can be divided by the kernel, plus one: the levels down to the smallest image. */
export function levelsOf(side, kernel) {
  return side % kernel === 0 ? 1 + levelsOf(side / kernel, kernel) : 1;
}

// The two axes, both read from noise (0, left) to image (1, right).

/** Time, backwards from `last` to 0. */
export function timeAxis(last) {
  return { position: (t) => 1 - t / last, time: (x) => last * (1 - x), ends: [last, 0] };
}

/** log-SNR, over the range in which the chromatogram of these levels changes. */
export function logSnrAxis(clock, levels, kernel) {
  const ends = [-Math.ceil(levelShift(levels - 1, kernel) + 5), 5];
  return {
    position: (t) => Math.min(Math.max((clock.logSnr(t) - ends[0]) / (ends[1] - ends[0]), 0), 1),
    time: (x) => clock.time(ends[0] + x * (ends[1] - ends[0])),
    ends,
  };
}

/**
 * r_m at the positions x = 0, 1/count, .., 1 of an axis, each through the schedule's own clock; null where the
 * schedule has no such time between 0 and `last`.
 */
export function curves(clock, last, onLogSnr, levels, kernel, count) {
  const axis = onLogSnr ? logSnrAxis(clock, levels, kernel) : timeAxis(last);
  const [noisiest, cleanest] = [clock.logSnr(last), clock.logSnr(0)];
  return Array.from({ length: count + 1 }, (_, i) => {
    const x = i / count;
    const wanted = axis.ends[0] + x * (axis.ends[1] - axis.ends[0]);
    if (onLogSnr && (wanted < noisiest || wanted > cleanest)) return null;
    return chromatogram(clock.logSnr(axis.time(x)), levels, kernel);
  });
}

/** The largest |r_m - r'_m| over all levels, wherever both curves exist. */
export function largestDifference(some, others) {
  const gaps = some.flatMap((r, i) => (r && others[i] ? r.map((share, m) => Math.abs(share - others[i][m])) : []));
  return Math.max(0, ...gaps);
}
