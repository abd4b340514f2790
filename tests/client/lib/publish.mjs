import { createHash } from "node:crypto";

/** How a publish may look on the wire. `none` leaves the version hostname alone. */
export const MODES = ["old", "new", "flat", "none"];

/** How variables of an environment travel in the newer bodies. */
export const VARS_AS = ["variables", "manifest"];

const REQUEST_TIMEOUT_MS = 40_000;

const label = (text) => text.toLowerCase().replace(/[^a-z0-9-]/g, "-");

/** Hostnames and URLs under which a deployment is published: its version, one tag, all environments. */
export function targetsOf(deployment, settings) {
  const edge = new URL(settings.edge);
  const app = deployment.applicationUid.replaceAll(".", "-");
  const target = (name) => {
    const hostname = `${name}${settings.delimiter}${edge.hostname}`;
    return { url: `${edge.protocol}//${hostname}${edge.port && `:${edge.port}`}`, hostname };
  };
  const version = new URL(deployment.versionUrl);
  return {
    version: { url: deployment.versionUrl, hostname: version.hostname },
    tags: [target(`t-${label(deployment.branch)}-${app}`)],
    envs: settings.environments.map((env) => target(`e-${label(env)}-${app}`)),
  };
}

function manifestWith(deployment, vars) {
  const content = {
    version: "1.0.0",
    timestamp: new Date().toISOString(),
    dependencies: deployment.dependencies,
    zeVars: { ...deployment.vars, ...vars },
  };
  // Of the content alone, unlike an uploaded file's hash; control planes do so.
  const hash = createHash("sha256").update(JSON.stringify(content)).digest("hex");
  return { content, hash };
}

function oldBody(deployment, targets, settings, token) {
  const app = deployment.applicationUid;
  return {
    app_version: { application_uid: app, snapshot_id: deployment.snapshotId },
    urls: [...targets.tags, ...targets.envs].map((target) => target.hostname),
    url_ids: [
      `t_${deployment.branch}.${app}`,
      ...settings.environments.map((env) => `e_${env}.${app}`),
    ],
    jwt: token,
  };
}

/** The newer body; `flat` is its variant with one list of targets and little else. */
function newBody(deployment, targets, settings, token) {
  const environmentVariables = {};
  const envs = targets.envs.map((target, index) => {
    const vars = settings.envVars[settings.environments[index]];
    if (!vars) return target;
    if (settings.varsAs === "manifest") {
      return { ...target, zephyrManifestFile: manifestWith(deployment, vars) };
    }
    environmentVariables[target.hostname] = vars;
    return target;
  });
  const ids = { application_uid: deployment.applicationUid, snapshot_id: deployment.snapshotId };
  const vars = Object.keys(environmentVariables).length > 0 && { environmentVariables };
  if (settings.mode === "flat") {
    return { ...ids, targets: [targets.version, ...targets.tags, ...envs], ...vars };
  }
  return {
    EDGE_URL: settings.edge,
    ...ids,
    app_version: { snapshot_id: deployment.snapshotId },
    user_uuid: settings.user.uuid,
    username: settings.user.name,
    can_write: true,
    targets: { version: targets.version, tags: targets.tags, envs, cnames: [] },
    ...vars,
    jwt: token,
  };
}

/** Publishes a deployment at the edge and says what came back; never throws for a refusal. */
export async function publish(deployment, settings, token) {
  const targets = targetsOf(deployment, settings);
  const make = settings.mode === "old" ? oldBody : newBody;
  const sent = make(deployment, targets, settings, token);
  const result = { mode: settings.mode, targets };
  try {
    const response = await fetch(new URL(settings.publishPath, settings.edge), {
      method: "POST",
      headers: { "content-type": "application/json; charset=utf-8", can_write_jwt: token },
      body: JSON.stringify(sent),
      redirect: "error",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const text = await response.text();
    return { ...result, ok: response.ok, status: response.status, body: jsonOrText(text) };
  } catch (error) {
    return { ...result, ok: false, status: 0, body: String(error.cause ?? error) };
  }
}

function jsonOrText(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
