#!/usr/bin/env node
// Opens a page in a headless chromium, takes steps on it, and prints one JSON object as the last
// line on stdout: what the page shows and what went over the wire. Exit code 0: all steps done.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    "map-host": { type: "string", default: "127.0.0.1" },
    "wait-text": { type: "string" },
    "wait-selector": { type: "string" },
    steps: { type: "string", default: "[]" },
    screenshot: { type: "string" },
    timeout: { type: "string", default: "30" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
  },
});

if (!options.url) {
  console.error("browse: --url URL is needed");
  process.exit(2);
}

const steps = [{ goto: options.url }];
if (options["wait-text"]) steps.push({ waitText: options["wait-text"] });
if (options["wait-selector"]) steps.push({ waitSelector: options["wait-selector"] });
steps.push(...JSON.parse(options.steps));

const ARGUMENTS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--no-proxy-server",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Version hostnames such as ada-1-shop-web-acme-localhost are in no DNS.
  `--host-resolver-rules=MAP * ${options["map-host"]}`,
];

const deadline = Date.now() + Number(options.timeout) * 1000;
const timeout = () => Math.max(1, deadline - Date.now());

const seen = { console: [], pageErrors: [], failedRequests: [], responses: [], results: [] };

function watch(page) {
  const answered = new Set();
  page.on("console", (message) => seen.console.push({ type: message.type(), text: message.text() }));
  page.on("pageerror", (error) => seen.pageErrors.push(String(error)));
  page.on("response", (response) => {
    answered.add(response.request());
    const headers = response.headers();
    seen.responses.push({
      url: response.url(),
      method: response.request().method(),
      status: response.status(),
      contentType: headers["content-type"] ?? null,
      headers,
    });
  });
  page.on("requestfailed", (request) => {
    // Chromium calls a HEAD aborted even when its answer came; a GET broken in mid-body did fail.
    if (request.method() === "HEAD" && answered.has(request)) return;
    const error = request.failure()?.errorText ?? null;
    seen.failedRequests.push({ url: request.url(), method: request.method(), error });
  });
}

/** Tells the caller that the page stands where it wants it, and goes on after a line on stdin. */
async function pause(name) {
  console.log(JSON.stringify({ paused: name }));
  const lines = createInterface({ input: process.stdin });
  try {
    await new Promise((resolve, reject) => {
      lines.once("line", resolve);
      lines.once("close", () => reject(new Error(`stdin ended in pause ${name}`)));
      setTimeout(() => reject(new Error(`no line on stdin in pause ${name}`)), timeout()).unref();
    });
  } finally {
    lines.close();
  }
}

const ACTIONS = {
  goto: (page, url) => page.goto(url, { timeout: timeout() }),
  reload: (page) => page.reload({ timeout: timeout() }),
  click: (page, selector) => page.click(selector, { timeout: timeout() }),
  waitSelector: (page, selector) => page.waitForSelector(selector, { timeout: timeout() }),
  waitText: (page, text) =>
    page.waitForFunction((wanted) => document.body?.innerText.includes(wanted), text, {
      timeout: timeout(),
    }),
  evaluate: async (page, script) => seen.results.push(await page.evaluate(script)),
  pause: (_page, name) => pause(name),
};

async function take(page, step) {
  const [[action, argument]] = Object.entries(step);
  if (!ACTIONS[action]) throw new Error(`no step ${action}; there are ${Object.keys(ACTIONS)}`);
  await ACTIONS[action](page, argument);
}

/** What the page shows now; a page in the middle of a navigation shows nothing. */
async function contents(page) {
  const read = () => ({ title: document.title, text: document.body?.innerText ?? "" });
  const shown = await page.evaluate(read).catch(() => ({ title: "", text: "" }));
  return { url: page.url(), ...shown };
}

const home = await mkdtemp(join(tmpdir(), "favonius-browse-"));
let browser;
try {
  browser = await chromium.launch({
    executablePath: options.chromium,
    args: ARGUMENTS,
    chromiumSandbox: false,
    env: { PATH: process.env.PATH, LANG: "C.UTF-8", HOME: home, TMPDIR: home },
    timeout: timeout(),
  });
  const page = await browser.newPage();
  watch(page);
  let failure = null;
  for (const step of steps) {
    failure = await take(page, step).then(() => null, (error) => ({ step, message: error.message }));
    if (failure) break;
  }
  if (options.screenshot) await page.screenshot({ path: options.screenshot, fullPage: true });
  console.log(JSON.stringify({ ok: !failure, failure, ...(await contents(page)), ...seen }));
  process.exitCode = failure ? 1 : 0;
} catch (error) {
  // The browser itself did not start or died: same shape, nothing shown.
  const failure = { step: null, message: String(error.message ?? error) };
  console.log(JSON.stringify({ ok: false, failure, url: "", title: "", text: "", ...seen }));
  process.exitCode = 1;
} finally {
  await browser?.close();
  await rm(home, { recursive: true, force: true });
}
