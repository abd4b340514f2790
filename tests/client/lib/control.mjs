import { MODES, VARS_AS, publish, targetsOf } from "./publish.mjs";
import { mintWriteToken } from "./token.mjs";

/** What is wrong with the publish settings, or undefined. */
export function checkSettings({ mode, varsAs, envVars, environments }) {
  if (!MODES.includes(mode)) return `publish mode ${mode} is none of ${MODES}`;
  if (!VARS_AS.includes(varsAs)) return `vars-as ${varsAs} is none of ${VARS_AS}`;
  if (mode === "old" && Object.keys(envVars).length > 0) {
    return "the old publish body cannot carry variables; use mode new or flat";
  }
  const unknown = Object.keys(envVars).find((env) => !environments.includes(env));
  return unknown && `variables for ${unknown}, which is none of ${environments}`;
}

/** The state behind the endpoints. Every method gives [status, JSON body]. */
export class ControlPlane {
  #settings;
  #emit;
  #nextBuild;
  /** application uid -> its deployments, newest last */
  #deployments = new Map();

  constructor(settings, emit) {
    this.#settings = settings;
    this.#emit = emit;
    this.#nextBuild = settings.firstBuild;
  }

  applicationConfig(uid, origin) {
    const { edge, delimiter, user } = this.#settings;
    const value = {
      application_uid: uid,
      BUILD_ID_ENDPOINT: `${origin}/build-id/${uid}`,
      EDGE_URL: edge,
      DELIMITER: delimiter,
      PLATFORM: "custom",
      email: `${user.name}@example.com`,
      user_uuid: user.uuid,
      username: user.name,
      jwt: this.#token(uid),
    };
    return [200, { value }];
  }

  buildId() {
    const id = this.#nextBuild;
    this.#nextBuild += 1;
    return [200, { [this.#settings.user.uuid]: String(id) }];
  }

  /** The plugin's report of a finished upload; this is what makes a control plane publish. */
  async buildStats(stats) {
    const deployment = {
      applicationUid: stats.id,
      snapshotId: stats.version,
      versionUrl: stats.edge.versionUrl,
      branch: stats.git.branch,
      remote: stats.remote ?? "remoteEntry.js",
      name: stats.name ?? stats.app.name,
      libraryType: stats.library_type ?? "var",
      dependencies: stats.zephyrDependencies ?? {},
      vars: stats.ze_envs ?? {},
      published: false,
    };
    const others = this.#known(stats.id).filter((one) => one.snapshotId !== stats.version);
    this.#deployments.set(stats.id, [...others, deployment]);
    this.#emit({
      event: "build",
      application_uid: deployment.applicationUid,
      snapshot_id: deployment.snapshotId,
      version_url: deployment.versionUrl,
      builder: stats.builder,
      plugin_version: stats.plugin_version,
      worker_version: stats.worker_version,
    });
    const result = await this.#publish(deployment, this.#settings);
    if (!result) return [200, { status: "ok", targets: [] }];
    if (!result.ok) {
      return [502, { status: "error", message: `the edge answered ${result.status} to the publish` }];
    }
    const { tags, envs } = result.targets;
    return [200, { status: "ok", targets: [...tags, ...envs].map((target) => target.url) }];
  }

  /** Where a Module Federation host finds a remote: by environment, tag or snapshot, else the newest. */
  resolve(uid, version) {
    const known = this.#known(uid);
    const deployment = known.find((one) => one.snapshotId === version) ?? known.at(-1);
    if (!deployment) {
      this.#emit({ event: "resolve", application_uid: uid, version, found: false });
      return [404, { message: `${uid} has not been deployed yet` }];
    }
    const url = this.#urlOf(deployment, version);
    this.#emit({ event: "resolve", application_uid: uid, version, found: true, url });
    const value = {
      application_uid: uid,
      name: deployment.name,
      default_url: url,
      remote_entry_url: `${url}/${deployment.remote}`,
      library_type: deployment.libraryType,
    };
    return [200, { value }];
  }

  /** For tests: publishes again, another snapshot or with other variables, without a build. */
  async publishAgain(request) {
    const { application_uid: uid, snapshot_id: id, mode, env_vars, vars_as } = request;
    const known = this.#known(uid);
    const deployment = id ? known.find((one) => one.snapshotId === id) : known.at(-1);
    if (!deployment) return [404, { message: `no such deployment of ${uid}` }];
    const settings = {
      ...this.#settings,
      mode: mode ?? this.#settings.mode,
      envVars: env_vars ?? this.#settings.envVars,
      varsAs: vars_as ?? this.#settings.varsAs,
    };
    const problem = checkSettings(settings);
    if (problem) return [400, { message: problem }];
    return [200, (await this.#publish(deployment, settings)) ?? { mode: settings.mode }];
  }

  logs(entries) {
    for (const entry of [entries].flat()) {
      if (entry.logLevel !== "error") continue;
      const { application_uid, actionType: action, message } = entry;
      this.#emit({ event: "log", level: "error", application_uid, action, message });
    }
    return [200, { status: "ok" }];
  }

  #known(uid) {
    return this.#deployments.get(uid) ?? [];
  }

  #token(uid) {
    return mintWriteToken(this.#settings.secret, this.#settings.user, uid);
  }

  #urlOf(deployment, version) {
    const { version: own, tags, envs } = targetsOf(deployment, this.#settings);
    if (!deployment.published) return own.url;
    const environment = envs[this.#settings.environments.indexOf(version)];
    const tag = version === deployment.branch ? tags[0] : undefined;
    return (environment ?? tag ?? own).url;
  }

  async #publish(deployment, settings) {
    if (settings.mode === "none") return undefined;
    const uid = deployment.applicationUid;
    const result = await publish(deployment, settings, this.#token(uid));
    deployment.published ||= result.ok;
    const ids = { application_uid: uid, snapshot_id: deployment.snapshotId };
    this.#emit({ event: "publish", ...ids, ...result });
    return result;
  }
}
