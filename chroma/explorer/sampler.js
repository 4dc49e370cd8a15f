// @ts-check
// Sampling with three denoisers, and what each step adds to each band. Images are planar, (3, side, side), in [-1, 1].

import { createSchedule, expit } from "./schedules.js";

/** @import { Parameters } from "./schedules.js" */

/**
 * E[x0 | x] at a log-SNR.
 * @typedef {(x: Float64Array, z: number) => Float64Array | Promise<Float64Array>} Denoiser
 */

/**
 * One step of a trajectory.
 * @typedef {object} Step
 * @property {number} z its log-SNR
 * @property {Float64Array} x the noised image
 * @property {Float64Array} x0 the predicted image
 */

/**
 * Gaussian data with independent bands: the mean of each colour, and for each band, finest first, the eigenvalues and
 * eigenvectors (in columns) of the covariance of the colours.
 * @typedef {object} GaussianData
 * @property {number[]} mean
 * @property {number[][]} values
 * @property {number[][][]} vectors
 */

/**
 * The scales of signal and noise, sqrt(alpha) and sqrt(1 - alpha) (Eq 1).
 * @param {number} z
 */
export function scales(z) {
  return [Math.sqrt(expit(z)), Math.sqrt(expit(-z))];
}

/**
 * Log-SNRs in the middle of equal parts of a schedule's time, from noise to image.
 * @param {string} name of the schedule, or "uniform" for equal distances in log-SNR
 * @param {Parameters} parameters
 * @param {number} count
 */
export function stepLogSnrs(name, parameters, count) {
  const times = Array.from({ length: count }, (_, i) => 1 - (i + 0.5) / count);
  if (name === "uniform") return times.map((t) => -8 + 14 * (1 - t));
  const { logSnr } = createSchedule(name, parameters);
  return times.map((t) => logSnr(t));
}

/**
 * D: the means of 2 x 2 pixels of a planar image.
 * @param {Float64Array} image
 * @param {number} side
 */
function halve(image, side) {
  const half = side / 2;
  const means = new Float64Array(3 * half * half);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < half; y++) {
      for (let x = 0; x < half; x++) {
        const i = (c * side + 2 * y) * side + 2 * x;
        means[(c * half + y) * half + x] =
          (image[i] + image[i + 1] + image[i + side] + image[i + side + 1]) / 4;
      }
    }
  }
  return means;
}

/**
 * U: each pixel of a planar image repeated into a square of 2 x 2.
 * @param {Float64Array} image
 * @param {number} side of the result
 */
function repeat(image, side) {
  const half = side / 2;
  const repeated = new Float64Array(3 * side * side);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        repeated[(c * side + y) * side + x] = image[(c * half + (y >> 1)) * half + (x >> 1)];
      }
    }
  }
  return repeated;
}

/**
 * The bands of an image, D^m x - U D^(m+1) x at their own size, finest first; the last one is the mean.
 * @param {Float64Array} image
 * @param {number} side
 * @returns {Float64Array[]}
 */
export function splitBands(image, side) {
  if (side === 1) return [image];
  const coarse = halve(image, side);
  const rest = repeat(coarse, side);
  return [image.map((value, i) => value - rest[i]), ...splitBands(coarse, side / 2)];
}

/**
 * The image that has these bands.
 * @param {Float64Array[]} bands
 * @returns {Float64Array}
 */
export function joinBands([band, ...coarser]) {
  if (!coarser.length) return band;
  const coarse = repeat(joinBands(coarser), Math.sqrt(band.length / 3));
  return band.map((value, i) => value + coarse[i]);
}

/**
 * The energy of each band in the image, |U^m band|^2, finest first.
 * @param {Float64Array} image
 * @param {number} side
 */
export function bandEnergies(image, side) {
  return splitBands(image, side).map((band, m) => 4 ** m * band.reduce((sum, value) => sum + value * value, 0));
}

/**
 * The exact denoiser of Gaussian data: in each band and along each eigenvector of its colours, the Wiener filter.
 * @param {GaussianData} data
 * @param {number} side
 * @returns {(x: Float64Array, z: number) => Float64Array}
 */
export function gaussianDenoiser({ mean, values, vectors }, side) {
  const means = Float64Array.from({ length: 3 * side * side }, (_, i) => mean[Math.floor(i / (side * side))]);
  return (x, z) => {
    const [signal, noise] = scales(z);
    const deviation = x.map((value, i) => value - signal * means[i]);
    const bands = splitBands(deviation, side).map((band, m) => {
      const gains = values[m].map((v) => (signal * v) / (signal * signal * v + noise * noise));
      // the matrix vectors diag(gains) vectors^T
      const matrix = [0, 1, 2].map((a) =>
        [0, 1, 2].map((b) => gains.reduce((sum, g, d) => sum + vectors[m][a][d] * g * vectors[m][b][d], 0)),
      );
      const count = band.length / 3;
      const scaled = new Float64Array(band.length);
      for (let i = 0; i < count; i++) {
        for (let a = 0; a < 3; a++) {
          const [red, green, blue] = matrix[a];
          scaled[a * count + i] = red * band[i] + green * band[count + i] + blue * band[2 * count + i];
        }
      }
      return scaled;
    });
    return joinBands(bands).map((value, i) => value + means[i]);
  };
}

/**
 * The exact denoiser of a finite set: the mean of its images, weighted by their posterior probabilities.
 * @param {Uint8Array} bytes planar images, one after the other, 0 .. 255 for -1 .. 1
 * @param {number} side
 * @returns {(x: Float64Array, z: number) => Float64Array}
 */
export function memoryDenoiser(bytes, side) {
  const length = 3 * side * side;
  const images = Float32Array.from(bytes, (byte) => byte / 127.5 - 1);
  const rows = Array.from({ length: images.length / length }, (_, i) =>
    images.subarray(i * length, (i + 1) * length),
  );
  const squares = rows.map((row) => row.reduce((sum, value) => sum + value * value, 0));
  return (x, z) => {
    const [signal, noise] = scales(z);
    const logits = rows.map((row, i) => {
      let product = 0;
      for (let j = 0; j < length; j++) product += row[j] * x[j];
      return (signal * product - (signal * signal * squares[i]) / 2) / (noise * noise);
    });
    const highest = Math.max(...logits);
    const weights = logits.map((logit) => Math.exp(logit - highest));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const mean = new Float64Array(length);
    rows.forEach((row, i) => {
      const weight = weights[i] / total;
      if (weight < 1e-12) return; // 360 of them change no pixel by more than 1e-9
      for (let j = 0; j < length; j++) mean[j] += weight * row[j];
    });
    return mean;
  };
}

/**
 * The training time of a log-SNR, between the entries of a table of log-SNRs that falls.
 * @param {number[]} table
 * @param {number} z
 */
export function trainingTime(table, z) {
  const next = table.findIndex((value) => value < z);
  if (next === 0) return 0;
  if (next < 0) return table.length - 1;
  return next - 1 + (table[next - 1] - z) / (table[next - 1] - table[next]);
}

/**
 * A network that predicts velocities, with and without a prompt in one batch, as a denoiser with guidance (Eq 5).
 * @param {(x: Float32Array, time: Float32Array, ids: BigInt64Array) => Promise<Float32Array>} velocities of a batch of two
 * @param {number[]} table the log-SNRs of the training times
 * @param {(z: number) => number[]} prompt the token ids of the prompt at a log-SNR
 * @param {number} scale of the guidance
 * @returns {Denoiser}
 */
export function networkDenoiser(velocities, table, prompt, scale) {
  return async (x, z) => {
    const [signal, noise] = scales(z);
    const time = trainingTime(table, z);
    const ids = new BigInt64Array(2 * 77);
    ids.set(prompt(z).map(BigInt));
    ids[77] = 1n; // no words but the end of the text
    const pair = new Float32Array(2 * x.length);
    pair.set(x);
    pair.set(x, x.length);
    const v = await velocities(pair, Float32Array.of(time, time), ids);
    return x.map((value, i) => {
      const guided = v[x.length + i] + scale * (v[i] - v[x.length + i]);
      return signal * value - noise * guided;
    });
  };
}

/**
 * Sample deterministically (DDIM, Eq 4).
 * @param {Denoiser} denoise
 * @param {Float64Array} noise the starting point
 * @param {number[]} logSnrs increasing
 * @returns {AsyncGenerator<Step>}
 */
export async function* sample(denoise, noise, logSnrs) {
  let x = noise;
  for (const [i, z] of logSnrs.entries()) {
    const x0 = await denoise(x, z);
    yield { z, x, x0 };
    if (i + 1 === logSnrs.length) return;
    const [signal, sigma] = scales(z);
    const [nextSignal, nextSigma] = scales(logSnrs[i + 1]);
    x = x.map((value, j) => nextSignal * x0[j] + (nextSigma * (value - signal * x0[j])) / sigma);
  }
}

/**
 * Measure how the change of the predicted image in a step is distributed over the bands: shares of |x0 - x0 before|^2,
 * over V_m and over the energy of the band in the starting noise. Before the first step the prediction is the mean.
 * @param {GaussianData} data the mean, and the powers that energies are compared with
 * @param {number} side
 * @returns {(step: Step) => number[] | null} to be called step by step; null where nothing changes
 */
export function changeMeter({ mean, values }, side) {
  const powers = bandPowers(values);
  let before = Float64Array.from({ length: 3 * side * side }, (_, i) => mean[Math.floor(i / (side * side))]);
  /** @type {number[]} */
  let start;
  return ({ x, x0 }) => {
    start ??= bandEnergies(x, side);
    const change = x0.map((value, i) => value - before[i]);
    before = x0;
    const energies = bandEnergies(change, side).map((energy, m) => energy / (powers[m] * start[m]));
    const total = energies.reduce((sum, value) => sum + value, 0);
    return total > 1e-9 ? energies.map((value) => value / total) : null;
  };
}

/**
 * V_m, the mean over colours of the variance in each band.
 * @param {number[][]} values the eigenvalues of the covariances of the colours
 */
export function bandPowers(values) {
  return values.map((v) => v.reduce((sum, value) => sum + value, 0) / v.length);
}

/**
 * What `changeMeter` measures for Gaussian data, in expectation. There, a coefficient of the predicted image along an
 * eigenvector of eigenvalue v is sqrt(v s(z + log v)), s being `expit`, times a number that a trajectory never changes.
 * @param {number[]} logSnrs
 * @param {number[][]} values the eigenvalues of the covariance of the colours in each band
 */
export function predictedShares(logSnrs, values) {
  const amplitude = (/** @type {number} */ v, /** @type {number} */ i) =>
    i < 0 ? 0 : Math.sqrt(expit(logSnrs[i] + Math.log(v)));
  const powers = bandPowers(values);
  return logSnrs.map((_, i) => {
    const energies = values.map(
      (band, m) => band.reduce((sum, v) => sum + v * (amplitude(v, i) - amplitude(v, i - 1)) ** 2, 0) / powers[m],
    );
    const total = energies.reduce((sum, value) => sum + value, 0);
    return energies.map((value) => value / total);
  });
}
