// Selection, drawing and tables of results. Nothing here talks to the server.

const MAX_SIDE = 1600; // of a drawn picture, in pixels

export const color = (classId) => `hsl(${(classId * 137.5) % 360} 75% 32%)`;
const percent = (x) => `${Math.round(100 * x)} %`;
const thresholdOf = (threshold, classId) =>
  Array.isArray(threshold) ? threshold[classId] : threshold;

function iou(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const area = (c) => (c[2] - c[0]) * (c[3] - c[1]);
  return (width * height) / (area(a) + area(b) - width * height);
}

/** The detections or classes of one image that pass the choice: {threshold, overlap, hidden}. */
export function select(result, choice) {
  if (result.targets) {
    return Object.entries(result.targets).map(([target, value]) => ({ target, value }));
  }
  if (result.classes) {
    return result.classes.filter((c) => c.probability >= choice.threshold);
  }
  const kept = [];
  for (const d of result.detections ?? []) { // the highest confidence comes first
    if (choice.hidden.has(d.class_name)) continue;
    if (d.confidence < thresholdOf(choice.threshold, d.class_id)) continue;
    const isCovered = (k) => k.class_id === d.class_id && iou(k.xyxy, d.xyxy) > choice.overlap;
    if (!kept.some(isCovered)) kept.push(d);
  }
  return kept;
}

export function counts(items) {
  const byName = new Map();
  for (const { class_name } of items) byName.set(class_name, (byName.get(class_name) ?? 0) + 1);
  return byName;
}

export function summary(result, items) {
  if (result.error) return result.error;
  if (result.classes) {
    return items.map((c) => `${c.class_name} ${percent(c.probability)}`).join(", ")
      || "no class above the minimum";
  }
  if (result.targets) return items.map((n) => `${n.target} ${n.value.toPrecision(4)}`).join(", ");
  return [...counts(items)].map(([name, count]) => `${count} ${name}`).join(", ") || "no objects";
}

/** Draw an image with its boxes; a gray area where the browser cannot show the image. */
export function draw(canvas, picture, result, items) {
  const width = result.width ?? picture?.width ?? 4, height = result.height ?? picture?.height ?? 3;
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  if (picture) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  if (!result.detections) return;
  const unit = canvas.width / (canvas.clientWidth || canvas.width); // a pixel of the screen
  context.lineWidth = 2 * unit;
  context.font = `${12 * unit}px system-ui, sans-serif`;
  for (const d of items.slice().reverse()) drawBox(context, d, scale, unit);
}

function drawBox(context, d, scale, unit) {
  const [left, top, right, bottom] = d.xyxy.map((x) => x * scale);
  context.strokeStyle = context.fillStyle = color(d.class_id);
  context.strokeRect(left, top, right - left, bottom - top);
  const text = `${d.class_name} ${percent(d.confidence)}`;
  const width = context.measureText(text).width + 6 * unit;
  if (width > 2 * (right - left)) return; // small boxes have their color only
  const x = Math.max(0, Math.min(left, context.canvas.width - width));
  const y = Math.max(0, top - 16 * unit);
  context.fillRect(x, y, width, 16 * unit);
  context.fillStyle = "white";
  context.fillText(text, x + 3 * unit, y + 12 * unit);
}

// Columns of the tables of each task, and the values of an item in them.
const COLUMNS = {
  classification: ["class", "probability"],
  regression: ["target", "value"],
  detection: ["class", "confidence", "left", "top", "right", "bottom"],
};
const VALUES = {
  classification: (item) => [item.class_name, item.probability],
  regression: (item) => [item.target, item.value],
  detection: (item) => [item.class_name, item.confidence, ...item.xyxy],
};
const taskOf = (result) =>
  result.targets ? "regression" : result.classes ? "classification" : "detection";
const DIGITS = { classification: [3], regression: [3], detection: [3, 1, 1, 1, 1] };

export function fillTable(table, result, items) {
  const task = taskOf(result), head = COLUMNS[task];
  const rows = items.map((item) => {
    const [name, ...numbers] = VALUES[task](item);
    return [name, ...numbers.map((x, i) => x.toFixed(DIGITS[task][i]))];
  });
  table.replaceChildren(row(head, "th"), ...rows.map((cells) => row(cells, "td")));
}

function row(cells, kind) {
  const line = document.createElement("tr");
  for (const text of cells) {
    const cell = document.createElement(kind);
    if (kind === "th") cell.scope = "col";
    cell.textContent = text;
    line.append(cell);
  }
  return line;
}

const quoted = (value) => {
  const text = String(value);
  // A spreadsheet would run a text that begins like a formula.
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n']/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

/** CSV with a row for each detection, class or number; entries are {image, result, items}. */
export function toCSV(entries, task) {
  const head = ["image", ...COLUMNS[task]];
  const ofTask = entries.filter(({ result }) => taskOf(result) === task);
  const rows = ofTask.flatMap(({ image, items }) =>
    items.map((item) => [image, ...VALUES[task](item)]));
  return [head, ...rows].map((cells) => cells.map(quoted).join(",")).join("\n") + "\n";
}

export function toJSON(model, entries) {
  const images = entries.map(({ image, result, items }) => {
    if (result.targets) return { image, targets: result.targets };
    if (result.classes) return { image, classes: items };
    return { image, width: result.width, height: result.height, detections: items };
  });
  return JSON.stringify({ model, images }, null, 2) + "\n";
}
