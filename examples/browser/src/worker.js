// Runs ONNX Runtime Web beside the page, which stays responsive.

import * as ort from "onnxruntime-web/wasm";

let session = null;

async function load({ bytes }) {
  await session?.release();
  session = null;
  session = await ort.InferenceSession.create(new Uint8Array(bytes));
}

async function run({ pixels, dims }) {
  const name = session.inputNames[0];
  const tensor = new ort.Tensor(session.inputMetadata[0].type, pixels, dims);
  const outputs = await session.run({ [name]: tensor });
  return Object.fromEntries(Object.entries(outputs).map(([key, { data }]) => [key, data]));
}

// One message after the other: a model is not replaced while it runs.
let last = Promise.resolve();

self.onmessage = ({ data: { id, task, ...values } }) => {
  last = last
    .then(() => ({ load, run })[task](values))
    .then((result) => self.postMessage({ id, result }))
    .catch((error) => self.postMessage({ id, error: error.message ?? String(error) }));
};
