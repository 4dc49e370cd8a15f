// @ts-check
// The worker of the live view: it loads the network and samples, and posts each step as it falls.

import { changeMeter, gaussianDenoiser, memoryDenoiser, networkDenoiser, sample } from "./sampler.js";

/**
 * One run of one denoiser. A newer run of the same denoiser ends it.
 * @typedef {object} Run
 * @property {number} run its number
 * @property {"gaussian" | "memory" | "network"} kind
 * @property {Float64Array} noise
 * @property {number[]} logSnrs
 * @property {[number[], number[]]} prompts token ids before and after the switch
 * @property {number} switchAt the log-SNR of the switch
 * @property {number} scale
 */

/** @type {any} */
const worker = self;
/** @type {any} the exact denoisers, the table of training times, and the network once it is loaded */
const loaded = {};
/** @type {Record<string, number>} */
const latest = {};

/**
 * Fetch a file and report how many bytes have come.
 * @param {string} url
 * @param {(bytes: number) => void} report
 */
async function fetchBytes(url, report) {
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error(`the server answered ${response.status}`);
  const parts = [];
  let length = 0;
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    length += part.value.length;
    report(length);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** @param {{ runtime: string, network: string, bytes: number }} urls */
async function loadNetwork({ runtime, network, bytes }) {
  const came = [0, 0];
  const report = (/** @type {number} */ i) => (/** @type {number} */ length) => {
    came[i] = length;
    worker.postMessage({ type: "progress", bytes: came[0] + came[1] });
  };
  const [weights, wasm] = await Promise.all([
    fetchBytes(network, report(0)),
    fetchBytes(`${runtime}ort-wasm-simd-threaded.wasm`, report(1)),
  ]);
  if (weights.length !== bytes) throw new Error(`${weights.length} of ${bytes} bytes came`);
  const ort = await import(`${runtime}ort.wasm.min.mjs`);
  ort.env.wasm.numThreads = 1; // more of them need headers that plain web servers do not send
  ort.env.wasm.wasmPaths = runtime;
  ort.env.wasm.wasmBinary = wasm.buffer;
  const session = await ort.InferenceSession.create(weights, { executionProviders: ["wasm"] });
  loaded.velocities = async (
    /** @type {Float32Array} */ x,
    /** @type {Float32Array} */ time,
    /** @type {BigInt64Array} */ ids,
  ) => {
    const side = Math.sqrt(x.length / 6);
    const { velocity } = await session.run({
      x: new ort.Tensor("float32", x, [2, 3, side, side]),
      time: new ort.Tensor("float32", time, [2]),
      ids: new ort.Tensor("int64", ids, [2, 77]),
    });
    return velocity.data;
  };
}

/** @param {Run} request */
function denoiserOf({ kind, prompts, switchAt, scale }) {
  if (kind !== "network") return loaded[kind];
  const prompt = (/** @type {number} */ z) => prompts[z < switchAt ? 0 : 1];
  return networkDenoiser(loaded.velocities, loaded.table, prompt, scale);
}

/** @param {Run} request */
async function run(request) {
  const { kind, noise, logSnrs } = request;
  latest[kind] = request.run;
  const measure = changeMeter(loaded.data, loaded.side);
  let start = performance.now();
  for await (const step of sample(denoiserOf(request), noise, logSnrs)) {
    const milliseconds = performance.now() - start;
    await new Promise((resolve) => setTimeout(resolve)); // let a newer request in
    if (latest[kind] !== request.run) return;
    worker.postMessage({ type: "step", run: request.run, kind, milliseconds, shares: measure(step), ...step });
    start = performance.now();
  }
}

worker.onmessage = async (/** @type {MessageEvent} */ { data }) => {
  if (data.type === "data") {
    loaded.gaussian = gaussianDenoiser(data.gaussian, data.side);
    loaded.memory = memoryDenoiser(data.images, data.side);
    Object.assign(loaded, { data: data.gaussian, side: data.side, table: data.table });
  } else if (data.type === "load") {
    try {
      await loadNetwork(data);
      worker.postMessage({ type: "loaded" });
    } catch (error) {
      worker.postMessage({ type: "failed", reason: error instanceof Error ? error.message : String(error) });
    }
  } else await run(data);
};
