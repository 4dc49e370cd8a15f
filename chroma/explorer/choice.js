// @ts-check
// The choices: what the reader chose, read from the traits of the model, and which traits follow from which.

import { clamp, countLevels, createSchedule, logSnrAxis, timeAxis } from "./schedules.js";

/** @import { Axis, AxisName, Parameters, Schedule } from "./schedules.js" */

/**
 * The model of anywidget, whose traits are those of `ScheduleView` in Python.
 * @typedef {object} Model
 * @property {(trait: string) => any} get
 * @property {(trait: string, value: unknown) => void} set
 * @property {(event: string, callback: () => void) => void} on
 */

/**
 * A schedule with its parameters, ready to be evaluated.
 * @typedef {Schedule & { name: string, label: string, tMax: number, parameters: Parameters }} ChosenSchedule
 */

/**
 * A scheduler and the log-SNRs of its steps.
 * @typedef {{ label: string, logSnrs: number[] }} ChosenScheduler
 */

/**
 * What the reader chose.
 * @typedef {object} Choice
 * @property {ChosenSchedule} schedule
 * @property {ChosenSchedule | null} other the schedule to compare with
 * @property {ChosenScheduler | null} scheduler whose steps are marked
 * @property {AxisName} axisName
 * @property {Axis} axis
 * @property {number} size of the image, in pixels
 * @property {number} factor the side of the averaged squares
 * @property {number} levels how many
 * @property {number} t
 */

/** The controls that choose one option of a list; the model has the index of the option. */
const SELECTIONS = ["schedule", "compare", "scheduler", "num_steps", "axis", "size", "factor"];

/**
 * The name of the trait that holds a parameter of a schedule, "Cosine_s" for instance.
 * @param {string} schedule
 * @param {string} parameter
 */
function parameterTrait(schedule, parameter) {
  return `${schedule}_${parameter}`;
}

/**
 * The option that the reader selected, null for none.
 * @param {Model} model
 * @param {string} control one of SELECTIONS
 */
function selectedOption(model, control) {
  return model.get("options")[control][model.get(`${control}_index`)];
}

/**
 * A schedule with the parameters on its sliders, or with its defaults.
 * @param {Model} model
 * @param {string} name
 * @param {"sliders" | "defaults"} source of the parameters
 * @returns {ChosenSchedule}
 */
function readSchedule(model, name, source) {
  const { label, t_max, parameters: defaults } = model.get("schedules")[name];
  const parameters = { ...defaults };
  if (source === "sliders") {
    for (const key of Object.keys(parameters)) parameters[key] = model.get(parameterTrait(name, key));
  }
  return { name, label, tMax: t_max, parameters, ...createSchedule(name, parameters) };
}

/**
 * A scheduler with the log-SNRs of its steps; JSON has null for -Infinity.
 * @param {Model} model
 * @param {string} name
 * @returns {ChosenScheduler}
 */
function readScheduler(model, name) {
  const { label, log_snrs } = model.get("schedulers")[name];
  const logSnrs = log_snrs[selectedOption(model, "num_steps")];
  return { label, logSnrs: logSnrs.map((/** @type {number | null} */ z) => z ?? -Infinity) };
}

/**
 * What the reader chose, out of the model.
 * @param {Model} model
 * @returns {Choice}
 */
export function readChoice(model) {
  const schedule = readSchedule(model, selectedOption(model, "schedule"), "sliders");
  const other = selectedOption(model, "compare");
  const scheduler = selectedOption(model, "scheduler");
  const axisName = selectedOption(model, "axis");
  const [factor, levels] = [selectedOption(model, "factor"), model.get("levels")];
  return {
    schedule,
    other: other && readSchedule(model, other, "defaults"),
    scheduler: scheduler && readScheduler(model, scheduler),
    axisName,
    axis: axisName === "time" ? timeAxis(schedule.tMax) : logSnrAxis(schedule, levels, factor),
    size: selectedOption(model, "size"),
    factor,
    levels,
    t: model.get("t"),
  };
}

/**
 * The traits that hold what the reader chose.
 * @param {Model} model
 */
export function choiceTraits(model) {
  /** @type {[string, { parameters: Parameters }][]} */
  const schedules = Object.entries(model.get("schedules"));
  return [
    ...SELECTIONS.map((control) => `${control}_index`),
    ...["levels", "t", "progress"],
    ...schedules.flatMap(([name, { parameters }]) => {
      return Object.keys(parameters).map((key) => parameterTrait(name, key));
    }),
  ];
}

/** @param {number} t */
const roundTime = (t) => Number(t.toPrecision(6));

/**
 * After a change of the schedule: keep the noise level, and so change the time.
 * @param {Model} model
 * @param {Choice} before
 */
function keepNoiseLevel(model, before) {
  const { schedule } = readChoice(model);
  model.set("t_max", schedule.tMax);
  model.set("t", roundTime(Math.min(schedule.time(before.schedule.logSnr(before.t)), schedule.tMax)));
}

/**
 * After a move of the slider over the chart: take the time at its position on the axis.
 * @param {Model} model
 */
function followProgress(model) {
  model.set("t", roundTime(readChoice(model).axis.time(model.get("progress"))));
}

/**
 * After a change of the image size or the factor: show no more levels than there are, and all if all were shown.
 * @param {Model} model
 * @param {Choice} before
 */
function limitLevels(model, before) {
  const { size, factor, levels } = readChoice(model);
  const maximum = countLevels(size, factor);
  const showedAll = levels === countLevels(before.size, before.factor);
  model.set("levels_max", maximum);
  model.set("levels", showedAll ? maximum : Math.min(levels, maximum));
}

/** @type {Record<string, (model: Model, before: Choice) => void>} */
const CONSEQUENCES = {
  schedule_index: keepNoiseLevel,
  progress: followProgress,
  size_index: limitLevels,
  factor_index: limitLevels,
};

/**
 * Keep the traits of the model consistent: the time with its place on the axis, the levels with the image size.
 * @param {Model} model
 */
export function keepConsistent(model) {
  let before = readChoice(model);
  let isUpdating = false;
  for (const trait of choiceTraits(model)) {
    model.on(`change:${trait}`, () => {
      if (isUpdating) return;
      isUpdating = true;
      CONSEQUENCES[trait]?.(model, before);
      const { schedule, axis, t } = readChoice(model);
      model.set("t", clamp(t, 0, schedule.tMax));
      model.set("progress", axis.position(model.get("t")));
      before = readChoice(model);
      isUpdating = false;
    });
  }
}
