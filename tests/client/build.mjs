#!/usr/bin/env node
// Builds a sample application with the published plugin, which deploys it. The build's own output
// goes to stderr; the last line on stdout is one JSON object. Exit code 0: deployed.
import { mkdir, mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs, stripVTControlCharacters } from "node:util";
import { prepare } from "./lib/workspace.mjs";
import { run } from "./lib/run.mjs";

const { values: options } = parseArgs({
  options: {
    app: { type: "string" },
    control: { type: "string" },
    workdir: { type: "string" },
    mutate: { type: "string", default: "0" },
    home: { type: "string" },
    env: { type: "string", multiple: true, default: [] },
    timeout: { type: "string", default: "180" },
  },
});

/** What the plugin prints when, and only when, files, snapshot and build-stats all went through. */
const DEPLOYED = "Deployed to Zephyr's edge in";
const LOG_LIMIT = 64 * 1024;
const DETAILS_LIMIT = 8 * 1024;

function fail(message) {
  console.error(`build: ${message}`);
  process.exit(2);
}

if (!options.app || !options.control || !options.workdir) {
  fail("--app NAME, --control URL and --workdir DIR are needed");
}

/** Nothing of the caller's environment but what finding programs takes. */
function environment(home, scratch) {
  const env = {
    PATH: process.env.PATH,
    LANG: "C.UTF-8",
    TMPDIR: scratch,
    HOME: home,
    NO_COLOR: "1",
    GIT_CONFIG_NOSYSTEM: "1",
    ZE_API: options.control,
    ZE_API_GATE: options.control,
    ZE_SECRET_TOKEN: "token-of-the-fake-control-plane",
    // Without it a failed deployment is a successful build.
    ZE_FAIL_BUILD: "true",
    // The plugin asks the npm registry whether it is outdated; tests stay on this machine.
    HTTPS_PROXY: "http://127.0.0.1:9",
    NO_PROXY: "localhost,.localhost,127.0.0.1",
    // The only place where the plugin names the files that it really uploaded.
    ZEPHYR_LOG_TO_FILE: "true",
    ZEPHYR_LOG_PATH: join(scratch, "logs"),
    DEPLOY_REPORT: join(scratch, "deploy.json"),
  };
  for (const pair of options.env) {
    const at = pair.indexOf("=");
    if (at < 1) fail(`--env takes NAME=VALUE, not ${pair}`);
    env[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return env;
}

async function uploadedFiles(logDir) {
  const names = await readdir(logDir, { recursive: true }).catch(() => []);
  const found = [];
  for (const name of names.filter((one) => one.endsWith("debug-upload.log"))) {
    const lines = (await readFile(join(logDir, name), "utf8")).split("\n").filter(Boolean);
    for (const line of lines) {
      const match = /^file (.+) uploaded in \d+ms/.exec(JSON.parse(line).message);
      if (match) found.push(match[1]);
    }
  }
  return found.sort();
}

/** What the plugin wrote of its errors, with the answers that it got; it prints only the place. */
async function errorDetails(scratch) {
  const names = (await readdir(scratch)).filter((name) => /^ze\d+\.json$/.test(name));
  const texts = await Promise.all(names.map((name) => readFile(join(scratch, name), "utf8")));
  return texts.map((text) => text.slice(0, DETAILS_LIMIT));
}

const scratch = await mkdtemp(join(tmpdir(), "favonius-build-"));
try {
  const home = resolve(options.home ?? join(scratch, "home"));
  await mkdir(home, { recursive: true });
  const env = environment(home, scratch);
  const workdir = resolve(options.workdir);
  const command = await prepare(options.app, workdir, options.mutate, env);

  const started = Date.now();
  const built = await run(command, { cwd: workdir, env, timeoutSeconds: Number(options.timeout) });
  const log = stripVTControlCharacters(built.output);
  const report = await readFile(env.DEPLOY_REPORT, "utf8").then(JSON.parse, () => undefined);
  const ok = built.code === 0 && log.includes(DEPLOYED) && report !== undefined;
  const result = {
    ok,
    versionUrl: report?.url,
    snapshotId: report?.snapshotId,
    applicationUid: report?.snapshot.application_uid,
    uploadedFiles: await uploadedFiles(env.ZEPHYR_LOG_PATH),
    assets: report?.snapshot.assets,
    outputDir: join(workdir, "dist"),
    exitCode: built.code,
    timedOut: built.timedOut,
    milliseconds: Date.now() - started,
    errorDetails: await errorDetails(scratch),
    log: log.slice(-LOG_LIMIT),
  };
  console.log(JSON.stringify(result));
  process.exitCode = ok ? 0 : 1;
} catch (error) {
  console.error(`build: ${error.message}`);
  process.exitCode = 2;
} finally {
  await rm(scratch, { recursive: true, force: true });
}
