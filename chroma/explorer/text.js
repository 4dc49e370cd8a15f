// @ts-check
// The texts: numbers as they are printed, and the sentences around the pictures.

import { chromatogram } from "./schedules.js";

/** @import { Choice, ChosenSchedule, ChosenScheduler } from "./choice.js" */
/** @import { AxisName, LevelValues } from "./schedules.js" */

/**
 * A number as text, with a true minus sign and an infinity sign.
 * @param {number} value
 * @param {number} decimals
 */
export function formatNumber(value, decimals) {
  const digits = Number.isFinite(value) ? Math.abs(value).toFixed(decimals) : "∞";
  return value < 0 && Number(digits) !== 0 ? `−${digits}` : digits;
}

/** @param {number} side */
export const sizeName = (side) => `${side}×${side}`;

/** @param {number} fraction */
export const percent = (fraction) => `${Math.round(100 * fraction)}\u00a0%`;

/** @param {number[]} values */
const indexOfLargest = (values) => values.indexOf(Math.max(...values));

/**
 * A difference as text: 0.012, or 4 × 10⁻¹⁵.
 * @param {number} value
 */
function formatDifference(value) {
  const [digit, exponent] = value.toExponential(0).split("e-");
  if (value >= 1e-3 || !exponent) return formatNumber(value, 3);
  return `${digit}\u00a0×\u00a010⁻${exponent.replace(/\d/g, (power) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(power)])}`;
}

/**
 * The time, its log-SNR and the largest share.
 * @param {number} t
 * @param {LevelValues} values
 * @param {string[]} names of the levels
 */
export function describeTime(t, values, names) {
  const largest = indexOfLargest(values.r);
  const noiseLevel = `t = ${formatNumber(t, 3)} (log-SNR ${formatNumber(values.log_snr, 2)})`;
  return `At ${noiseLevel}, ${names[largest]} has the largest share: ${percent(values.r[largest])}.`;
}

/**
 * What the images and pies show.
 * @param {Choice} choice
 */
export function describeImages({ schedule }) {
  return (
    "Each picture is the same noisy image, averaged to its own resolution and rescaled: λₘDᵐxₜ. A coarser picture " +
    "is less noisy. Its adjusted time τₘ is the time at which the full-size image is as noisy. In each circle, the " +
    `coloured sector is τₘ, the mark on the rim is t, and a full turn is ${schedule.tMax}.`
  );
}

/**
 * How many steps of a scheduler fall where each resolution has the largest share.
 * @param {ChosenScheduler} scheduler
 * @param {string[]} names of the levels
 * @param {number} factor
 */
export function describeSteps({ label, logSnrs }, names, factor) {
  const counts = names.map(() => 0);
  for (const z of logSnrs) counts[indexOfLargest(chromatogram(z, names.length, factor))] += 1;
  const parts = names.map((name, level) => counts[level] && `${name}:\u00a0${counts[level]}`).filter(Boolean);
  const marks = `The marks below the curves are the ${logSnrs.length} steps of ${label}.`;
  return `${marks} Number of steps at which each resolution has the largest share: ${parts.reverse().join(", ")}.`;
}

/**
 * How much the shares of two schedules differ.
 * @param {ChosenSchedule} schedule
 * @param {ChosenSchedule} other
 * @param {AxisName} axisName
 * @param {number} difference
 */
export function describeComparison(schedule, other, axisName, difference) {
  const lines = `Solid lines: ${schedule.label}. Dashed lines: ${other.label} with its default parameters. `;
  const size = formatDifference(difference);
  if (axisName === "log-SNR") {
    return `${lines}At the same log-SNR their shares coincide: the largest difference is ${size} (Theorem 1).`;
  }
  const where = schedule.tMax === other.tMax ? "At the same time t" : "At the same fraction of their time";
  return `${lines}${where}, their shares differ by up to ${size}. Switch the axis to log-SNR to see them coincide.`;
}
