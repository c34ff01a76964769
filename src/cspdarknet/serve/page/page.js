// The page: sends photos to the server, and shows what it answers.

import { color, counts, draw, fillTable, select, summary, toCSV, toJSON } from "./results.js";

const PATHS = {
  detection: "v1/detect",
  classification: "v1/predict",
  regression: "v1/regress",
};
const AT_ONCE = 3; // requests
const CAMERA = { video: { facingMode: "environment", width: { ideal: 1280 } } };
const element = (id) => document.getElementById(id);

let models = [], model = null, key = "";
let entries = []; // {image, file, picture, result, card, items}
let stream = null, liveResult = null;
const queue = [];
let running = 0;
const choice = { threshold: 0, overlap: 1, hidden: new Set() };

// Requests.

async function request(path, options = {}) {
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  for (;;) {
    const answer = await fetch(path, { ...options, headers });
    if (answer.ok) return answer.json();
    const { detail } = await answer.json().catch(() => ({ detail: answer.statusText }));
    if (answer.status === 401) element("key-form").hidden = false;
    if (answer.status !== 429) throw new Error(detail);
    const seconds = Number(answer.headers.get("Retry-After")) || 1;
    await new Promise((done) => setTimeout(done, 1000 * seconds));
  }
}

async function predict(blob) {
  const query = new URLSearchParams({ model: model.name });
  // Everything that the model has, of which the sliders choose.
  if (model.task === "detection") {
    query.set("score_threshold", Math.min(...[model.lowest_score_threshold].flat()));
  }
  const type = blob.type.startsWith("image/") ? blob.type : "application/octet-stream";
  const options = { method: "POST", body: blob, headers: { "Content-Type": type } };
  return (await request(`${PATHS[model.task]}?${query}`, options)).results[0];
}

// Photos.

function add(files) {
  for (const file of files) {
    const card = element("card").content.cloneNode(true).firstElementChild;
    card.querySelector("h2").textContent = file.name;
    element("results").append(card);
    const entry = { image: file.name, file, picture: null, result: null, card, items: [] };
    entries.push(entry);
    queue.push(entry);
    show(entry);
  }
  next();
}

function next() {
  while (running < AT_ONCE && queue.length) {
    running += 1;
    run(queue.shift()).finally(() => { running -= 1; next(); });
  }
  const waiting = running + queue.length;
  report(waiting ? `${waiting} of ${entries.length} photos are being looked at` : "");
}

async function run(entry) {
  entry.result = null;
  entry.picture ??= await createImageBitmap(entry.file).catch(() => null);
  try {
    entry.result = await predict(entry.file);
  } catch (error) {
    entry.result = { error: error.message };
  }
  refresh();
}

function show(entry) {
  const { card, picture, result } = entry;
  const canvas = card.querySelector("canvas"), text = card.querySelector(".summary");
  entry.items = result ? select(result, choice) : [];
  text.textContent = result ? summary(result, entry.items) : "waiting";
  text.classList.toggle("problem", Boolean(result?.error));
  canvas.hidden = Boolean(result?.error) && !picture;
  draw(canvas, picture, result ?? {}, entry.items);
  canvas.setAttribute("aria-label", `${entry.image}: ${text.textContent}`);
  card.querySelector("details").hidden = !entry.items.length;
  fillTable(card.querySelector("table"), result ?? {}, entry.items);
}

function refresh() {
  entries.forEach(show);
  element("controls").hidden = !entries.some(({ result }) => result && !result.error) && !stream;
  showLegend();
  showLive();
}

function showLegend() {
  const all = { ...choice, hidden: new Set() };
  const results = [...entries.map(({ result }) => result), liveResult].filter(Boolean);
  const found = counts(model.task === "detection" ? results.flatMap((r) => select(r, all)) : []);
  const names = [...new Set([...found.keys(), ...choice.hidden])].sort();
  const legend = element("legend"), focused = document.activeElement?.dataset?.name;
  legend.replaceChildren(...names.map((name) => {
    const button = document.createElement("button"), swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = color(model.class_names.indexOf(name));
    button.type = "button";
    button.dataset.name = name;
    button.setAttribute("aria-pressed", String(!choice.hidden.has(name)));
    button.append(swatch, `${found.get(name) ?? 0} ${name}`);
    button.addEventListener("click", () => {
      if (!choice.hidden.delete(name)) choice.hidden.add(name);
      refresh();
    });
    return button;
  }));
  legend.hidden = !names.length;
  [...legend.children].find((button) => button.dataset.name === focused)?.focus();
}

function report(text, isProblem = false) {
  element("status").textContent = text;
  element("status").classList.toggle("problem", isProblem);
}

// The camera.

const video = document.createElement("video");
video.muted = video.playsInline = true;
const frame = document.createElement("canvas");

async function startCamera() {
  try {
    stream = await navigator.mediaDevices.getUserMedia(CAMERA);
  } catch (error) {
    report(`The camera cannot be used: ${error.message}`, true);
    return;
  }
  video.srcObject = stream;
  await video.play();
  element("live").hidden = false;
  refresh();
  while (stream) await look();
}

async function look() {
  frame.width = video.videoWidth;
  frame.height = video.videoHeight;
  frame.getContext("2d").drawImage(video, 0, 0);
  try {
    liveResult = await predict(await photo());
    if (stream) refresh();
  } catch (error) {
    stopCamera();
    report(error.message, true);
  }
}

const photo = () => new Promise((done) => frame.toBlob(done, "image/jpeg", 0.9));

function showLive() {
  if (!stream || !liveResult) return;
  const items = select(liveResult, choice), canvas = element("live-canvas");
  draw(canvas, frame, liveResult, items);
  canvas.setAttribute("aria-label", `Camera: ${summary(liveResult, items)}`);
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = liveResult = null;
  element("live").hidden = true;
  refresh();
}

async function keep() {
  const name = `camera ${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.jpg`;
  add([new File([await photo()], name, { type: "image/jpeg" })]);
}

// Sliders, downloads, models.

function useModel(name) {
  model = models.find((m) => m.name === name);
  choice.hidden.clear();
  const isDetector = model.task === "detection";
  // The thresholds of a model may differ between its classes, until the slider is moved.
  choice.threshold = isDetector ? model.score_threshold : 0;
  element("score").min = isDetector ? Math.min(...[model.lowest_score_threshold].flat()) : 0;
  element("score").value = Math.min(...[choice.threshold].flat());
  element("overlap-field").hidden = !isDetector;
  element("score-field").hidden = model.task === "regression";
  showSliders();
  liveResult = null;
  queue.push(...entries.filter((entry) => !queue.includes(entry)));
  next();
}

function showSliders() {
  const isOwn = Array.isArray(choice.threshold);
  element("score-value").textContent = isOwn ? "the model's" : percentText(choice.threshold);
  element("overlap-value").textContent = percentText(choice.overlap);
}

const percentText = (x) => `${Math.round(100 * x)} %`;

function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const finished = () => entries.filter(({ result }) => result && !result.error);

async function loadModels() {
  models = (await request("v1/models")).models.filter((m) => PATHS[m.task]);
  if (!models.length) throw new Error("This server has no detector, classifier or regressor.");
  element("model").replaceChildren(...models.map((m) => new Option(m.name)));
  useModel(models[0].name);
}

const start = () => loadModels().catch((error) => report(error.message, true));
const on = (id, event, listener) => element(id).addEventListener(event, listener);

function listen() {
  for (const id of ["files", "capture"]) {
    on(id, "change", ({ target }) => { add(target.files); target.value = ""; });
  }
  on("drop", "dragleave", () => element("drop").classList.remove("over"));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    element("drop").classList.add("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    element("drop").classList.remove("over");
    add(event.dataTransfer.files);
  });
  on("camera", "click", startCamera);
  on("stop", "click", stopCamera);
  on("keep", "click", keep);
  on("model", "change", ({ target }) => useModel(target.value));
  on("score", "input", ({ target }) => {
    choice.threshold = Number(target.value);
    showSliders();
    refresh();
  });
  on("overlap", "input", ({ target }) => {
    choice.overlap = Number(target.value);
    showSliders();
    refresh();
  });
  on("json", "click", () =>
    download("results.json", "application/json", toJSON(model.name, finished())));
  on("csv", "click", () =>
    download("results.csv", "text/csv", toCSV(finished(), model.task)));
  on("clear", "click", () => {
    entries = [];
    queue.length = 0;
    element("results").replaceChildren();
    refresh();
  });
  on("key-form", "submit", (event) => {
    event.preventDefault();
    key = element("key").value;
    element("key-form").hidden = true;
    start();
  });
  // Browsers give the camera only to pages of this machine or over HTTPS.
  const hasCamera = Boolean(navigator.mediaDevices?.getUserMedia);
  element("camera").hidden = !hasCamera;
  element("capture-field").hidden = hasCamera;
}

listen();
start();
