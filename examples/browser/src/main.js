// The page: a model, a photo or the camera, and what the model sees.

import { draw, select, summary } from "./draw.js";
import { loadModel, predict } from "./model.js";

const CAMERA = { video: { facingMode: "environment", width: { ideal: 1280 } } };
const START = { detection: 0.5, classification: 0.1 }; // of the slider
const element = (id) => document.getElementById(id);
const on = (id, event, listener) => element(id).addEventListener(event, listener);

let info = null; // of the model, once it is loaded
let wanted = null; // the bytes of the model, or the image, that was chosen last
let shown = null; // {image, name, result}
let stream = null; // of the camera

function report(text, isProblem = false) {
  element("status").textContent = text;
  element("status").classList.toggle("problem", isProblem);
}

// The model.

async function useModel(bytes, title) {
  report(`Loading ${title}`);
  stopCamera();
  info = null;
  wanted = bytes;
  element("input").hidden = element("result").hidden = true;
  const loaded = await loadModel(bytes);
  if (wanted !== bytes) return; // another model was chosen meanwhile
  info = loaded;
  const isDetector = info.task === "detection";
  const lowest = isDetector ? Math.min(...[info.score_threshold ?? 0].flat()) : 0;
  element("score").min = lowest;
  element("score").value = Math.max(lowest, START[info.task]);
  element("input").hidden = false;
  report("");
  if (shown) await look(shown.image, shown.name);
}

async function fetchModel(file) {
  const answer = await fetch(`models/${encodeURIComponent(file)}`);
  if (!answer.ok) throw new Error(`${file} cannot be loaded: ${answer.statusText}`);
  await useModel(await answer.arrayBuffer(), file);
}

// Photos.

async function open(file) {
  stopCamera();
  // Without conversion of colors, as in Python.
  const image = await createImageBitmap(file, { colorSpaceConversion: "none" }).catch(() => {
    throw new Error(`${file.name} must be an image that this browser can open.`);
  });
  report(`Looking at ${file.name}`);
  await look(image, file.name);
  report("");
}

async function look(image, name) {
  const model = info;
  wanted = image;
  const result = await predict(model, image);
  if (model !== info || wanted !== image) return; // something else was chosen meanwhile
  if (shown && shown.image !== image) shown.image.close();
  shown = { image, name, result };
  show();
}

function show() {
  const threshold = Number(element("score").value), canvas = element("canvas");
  element("score-value").textContent = `${Math.round(100 * threshold)} %`;
  if (!shown) return;
  const { image, name, result } = shown, items = select(result, threshold);
  element("result").hidden = false;
  draw(canvas, image, result, items);
  element("summary").textContent = summary(result, items);
  canvas.setAttribute("aria-label", `${name}: ${element("summary").textContent}`);
}

function download() {
  const threshold = Number(element("score").value), { name, result } = shown;
  const { width, height } = result;
  const key = result.detections ? "detections" : "classes";
  const text = JSON.stringify({ image: name, width, height, [key]: select(result, threshold) });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "result.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// The camera.

const video = document.createElement("video");
video.muted = video.playsInline = true;

async function startCamera() {
  stream = await navigator.mediaDevices.getUserMedia(CAMERA).catch((error) => {
    throw new Error(`The camera cannot be used: ${error.message}`);
  });
  video.srcObject = stream;
  await video.play();
  element("camera").textContent = "Stop the camera";
  report("");
  while (stream) await look(await createImageBitmap(video), "Camera");
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  element("camera").textContent = "Use the camera";
}

// Events. Whatever fails says so on the page.

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    stopCamera();
    report(error.message, true);
  }
}

function listen() {
  on("models", "change", ({ target }) => attempt(() => fetchModel(target.value)));
  on("model-file", "change", ({ target }) => {
    const [file] = target.files;
    element("models").selectedIndex = -1;
    attempt(async () => useModel(await file.arrayBuffer(), file.name));
    target.value = "";
  });
  on("photo", "change", ({ target }) => {
    const [file] = target.files;
    attempt(() => open(file));
    target.value = "";
  });
  on("camera", "click", () => (stream ? stopCamera() : attempt(startCamera)));
  on("score", "input", show);
  on("json", "click", download);
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file && info) attempt(() => open(file));
  });
}

listen();
// Browsers give the camera only to pages of this machine or over HTTPS.
element("camera").hidden = !navigator.mediaDevices?.getUserMedia;
element("models").replaceChildren(...MODELS.map((file) => new Option(file)));
element("models-field").hidden = !MODELS.length;
if (MODELS.length) attempt(() => fetchModel(MODELS[0]));
else report("Choose an ONNX file that cspdarknet exported.");
