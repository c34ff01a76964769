// Builds the page into dist/; with --serve, also serves it at http://127.0.0.1:8000.

import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { context } from "esbuild";

const RUNTIME = "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm";

process.chdir(import.meta.dirname);
mkdirSync("models", { recursive: true });
const models = readdirSync("models").filter((name) => name.endsWith(".onnx"));
if (!existsSync(RUNTIME)) throw new Error(`${RUNTIME} is missing: run \`npm ci\`.`);

rmSync("dist", { recursive: true, force: true });
mkdirSync("dist/models", { recursive: true });
cpSync("static", "dist", { recursive: true });
copyFileSync(RUNTIME, "dist/ort-wasm-simd-threaded.wasm");
for (const name of models) copyFileSync(`models/${name}`, `dist/models/${name}`);

const build = await context({
  entryPoints: ["src/main.js", "src/worker.js"],
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  define: { MODELS: JSON.stringify(models) },
  logLevel: "warning",
});
await build.rebuild();
if (process.argv.includes("--serve")) {
  const { port } = await build.serve({ servedir: "dist", host: "127.0.0.1", port: 8000 });
  console.log(`Serving at http://127.0.0.1:${port} (Ctrl-C ends)`);
} else {
  await build.dispose();
}
