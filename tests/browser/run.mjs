// `make browser`: looks for what the tests need, installs what npm can, says
// plainly what a human has to install, and runs them one file after the other.

import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(process.env.CARGO_TARGET_DIR ?? "target");
const out = join(target, "browser");
const binary = resolve(process.env.HOOKFAN_BINARY ?? join(target, "debug/hookfan"));
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";

const missing = [
  Number(process.versions.node.split(".")[0]) < 20 && "Node 20 or newer (this is " + process.version + ")",
  !existsSync(chromium) && `Chromium at ${chromium}: apt-get install -y chromium, or CHROMIUM=/path/to/it`,
  !existsSync(binary) && `the binary at ${binary}: cargo build --locked`,
].filter(Boolean);
if (missing.length) {
  console.error(`The browser tests need:\n${missing.map((one) => `  - ${one}`).join("\n")}`);
  process.exit(2);
}

mkdirSync(out, { recursive: true });
const lock = readFileSync(join(here, "package-lock.json"), "utf8");
const stamp = join(out, "installed.json");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
  for (const file of ["package.json", "package-lock.json"]) copyFileSync(join(here, file), join(out, file));
  try {
    execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: out,
      stdio: "inherit",
    });
  } catch {
    console.error(
      "npm ci failed: playwright-core and axe-core come from the npm registry, once; nothing else is downloaded.",
    );
    process.exit(2);
  }
  writeFileSync(stamp, lock);
}

const asked = process.argv.slice(2);
if (asked.length === 0) rmSync(join(out, "screenshots"), { recursive: true, force: true });
const files = readdirSync(here)
  .filter((name) => name.endsWith(".test.mjs") && (asked.length === 0 || asked.some((word) => name.includes(word))))
  .sort();
const env = { ...process.env, HOOKFAN_BINARY: binary, CARGO_TARGET_DIR: target, CHROMIUM: chromium };
const { status } = spawnSync(
  process.execPath,
  ["--test", "--test-concurrency=1", "--test-reporter=spec", ...files.map((name) => join(here, name))],
  { stdio: "inherit", env },
);
console.log(`Screenshots: ${join(out, "screenshots")}`);
process.exit(status ?? 1);
