#!/usr/bin/env node
// A control plane as the published bundler plugins expect it: one user, any application, one edge.
// Prints {"ready":true,"port":N}, then one JSON line per event, on stdout.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { ControlPlane, checkSettings } from "./lib/control.mjs";

const BODY_LIMIT_BYTES = 64 * 1024 * 1024;

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    edge: { type: "string" },
    secret: { type: "string" },
    publish: { type: "string", default: "old" },
    "publish-path": { type: "string", default: "/upload?type=envs" },
    "env-vars": { type: "string", default: "{}" },
    "vars-as": { type: "string", default: "variables" },
    environments: { type: "string", default: "production" },
    delimiter: { type: "string", default: "-" },
    username: { type: "string", default: "ada" },
    // Seconds since 1970 keep ids rising across restarts of this process.
    "first-build": { type: "string", default: String(Math.floor(Date.now() / 1000)) },
    "end-with-stdin": { type: "boolean", default: false },
  },
});

function fail(message) {
  console.error(`control-plane: ${message}`);
  process.exit(2);
}

if (!options.edge || !options.secret) fail("--edge URL and --secret SECRET are needed");

const settings = {
  edge: new URL(options.edge).origin,
  secret: options.secret,
  delimiter: options.delimiter,
  environments: options.environments.split(","),
  mode: options.publish,
  publishPath: options["publish-path"],
  envVars: JSON.parse(options["env-vars"]),
  varsAs: options["vars-as"],
  user: { name: options.username, uuid: "7d9f4a2e-1111-4222-8333-9b2c3d4e5f60" },
  firstBuild: Number(options["first-build"]),
};
const problem = checkSettings(settings);
if (problem) fail(problem);

const emit = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const plane = new ControlPlane(settings, emit);

async function readJson(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > BODY_LIMIT_BYTES) throw new Error("body too large");
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}

async function answer(request, origin) {
  const { pathname } = new URL(request.url, origin);
  const [, route, ...rest] = pathname.split("/").map(decodeURIComponent);
  switch (`${request.method} ${route}`) {
    case "GET application-config":
      return plane.applicationConfig(rest[0], origin);
    case "GET build-id":
      return plane.buildId();
    case "GET resolve":
      return plane.resolve(rest[0], rest[1]);
    case "POST build-stats":
      return plane.buildStats(await readJson(request));
    case "POST logs":
      return plane.logs(await readJson(request));
    case "POST publish-again":
      return plane.publishAgain(await readJson(request));
    default:
      emit({ event: "unknown-request", method: request.method, url: request.url });
      return [404, { message: `no route ${request.method} ${pathname}` }];
  }
}

const server = createServer(async (request, response) => {
  const origin = `http://localhost:${server.address().port}`;
  const [status, body] = await answer(request, origin).catch((error) => {
    emit({ event: "failure", url: request.url, message: String(error.stack ?? error) });
    return [500, { message: String(error) }];
  });
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(JSON.stringify(body));
});

server.on("error", (error) => fail(error.message));
server.listen(Number(options.port), "127.0.0.1", () => {
  emit({ ready: true, port: server.address().port });
});

const end = () => process.exit(0);
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, end);
// A test that is killed cannot stop its children, but its pipes close.
process.stdout.on("error", end);
if (options["end-with-stdin"]) process.stdin.on("end", end).resume();
