// A model in the browser: from an image to detections or classes.

import { readMetadata } from "./metadata.js";

const MAX_SIDE = 2048; // of the pixels that a detector gets; larger images are shrunk
const TASKS = ["detection", "classification"];

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const waiting = new Map(); // {resolve, reject} by the id of a message
let count = 0;

worker.onmessage = ({ data: { id, result, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) resolve(result);
  else reject(new Error(error));
};
worker.onerror = (event) => {
  for (const { reject } of waiting.values()) reject(new Error(event.message || "no worker"));
  waiting.clear();
};

function ask(task, values, transfer) {
  const id = count++;
  worker.postMessage({ id, task, ...values }, transfer);
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

/** Load the bytes of an exported file (an ArrayBuffer), and return its metadata. */
export async function loadModel(bytes) {
  const info = readMetadata(new Uint8Array(bytes));
  check(info);
  await ask("load", { bytes }, [bytes]);
  return info;
}

function check(info) {
  if (!TASKS.includes(info.task)) {
    throw new Error(`The model must be a detector or a classifier, and is for ${info.task}.`);
  }
  if (info.task === "detection" && (info.raw_outputs || !info.letterbox)) {
    throw new Error("A detector must be exported with `--letterbox`, and without `--raw`.");
  }
  if ((info.channels ?? 3) !== 3 || info.data_format !== "channels_last") {
    throw new Error("The model must take RGB images with channels last.");
  }
}

/** Predict an ImageBitmap: {width, height, detections} or {width, height, classes}. */
export async function predict(info, image) {
  const isDetector = info.task === "detection";
  const { pixels, width, height } = isDetector ? whole(image) : center(image, info);
  const values = info.inputs === "uint8" ? pixels : Float32Array.from(pixels);
  const dims = [1, height, width, 3];
  const outputs = await ask("run", { pixels: values, dims }, [values.buffer]);
  const result = { width: image.width, height: image.height };
  if (!isDetector) return { ...result, classes: classes(info, outputs) };
  const scale = [image.width / width, image.height / height];
  return { ...result, detections: detections(info, outputs, scale) };
}

const className = (info, id) => info.class_names?.[id] ?? `class ${id}`;

function detections(info, { boxes, classes, confidence, num_detections }, [x, y]) {
  return Array.from({ length: Number(num_detections[0]) }, (_, i) => ({
    class_id: Number(classes[i]),
    class_name: className(info, Number(classes[i])),
    confidence: confidence[i],
    xyxy: [...boxes.subarray(4 * i, 4 * i + 4)].map((side, axis) => side * (axis % 2 ? y : x)),
  }));
}

function classes(info, { probabilities }) {
  return [...probabilities]
    .map((probability, id) => ({ class_id: id, class_name: className(info, id), probability }))
    .sort((a, b) => b.probability - a.probability);
}

function whole(image) {
  const scale = Math.min(1, MAX_SIDE / Math.max(image.width, image.height));
  const width = Math.max(1, Math.round(image.width * scale));
  const height = Math.max(1, Math.round(image.height * scale));
  return rgb(image, [0, 0, image.width, image.height], width, height);
}

/** The center of an image, shrunk by the browser: close to the preprocessing in Python. */
function center(image, { image_size: size, crop: part = 1 }) {
  const [height, width] = [size ?? 224].flat().length === 2 ? size : [size ?? 224, size ?? 224];
  const scale = part * Math.min(image.width / width, image.height / height);
  const crop = [width * scale, height * scale];
  const left = (image.width - crop[0]) / 2, top = (image.height - crop[1]) / 2;
  return rgb(image, [left, top, ...crop], width, height);
}

function rgb(image, crop, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // where the image is transparent
  context.fillRect(0, 0, width, height);
  context.drawImage(image, ...crop, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    pixels[to++] = data[from];
    pixels[to++] = data[from + 1];
    pixels[to++] = data[from + 2];
  }
  return { pixels, width, height };
}
