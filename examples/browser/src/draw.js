// Drawing of detections, and their summary as text.

const MAX_SIDE = 1600; // of the drawn picture, in pixels
const percent = (x) => `${Math.round(100 * x)} %`;
const color = (classId) => `hsl(${(classId * 137.5) % 360} 75% 32%)`;

/** The detections or classes of a result that reach a threshold. */
export function select({ detections, classes }, threshold) {
  return detections?.filter((d) => d.confidence >= threshold)
    ?? classes.filter((c) => c.probability >= threshold);
}

/** What is in an image, in words: counts of objects, or classes with their probabilities. */
export function summary({ detections }, items) {
  if (!detections) {
    const texts = items.map((c) => `${c.class_name} ${percent(c.probability)}`);
    return texts.join(", ") || "no class above the minimum";
  }
  const counts = new Map();
  for (const d of items) counts.set(d.class_name, (counts.get(d.class_name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(", ") || "no objects";
}

/** Draw an image and the boxes of its detections. */
export function draw(canvas, image, result, items) {
  const scale = Math.min(1, MAX_SIDE / Math.max(image.width, image.height));
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  if (!result.detections) return;
  const unit = canvas.width / (canvas.clientWidth || canvas.width); // a pixel of the screen
  context.lineWidth = 2 * unit;
  context.font = `${12 * unit}px system-ui, sans-serif`;
  for (const d of items.toReversed()) box(context, d, scale, unit); // the highest score on top
}

function box(context, d, scale, unit) {
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
