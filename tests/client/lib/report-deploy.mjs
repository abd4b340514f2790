// Copied beside the configuration of each application.
import { writeFileSync } from "node:fs";

/** The plugin's onDeployComplete hook: leaves what it says where build.mjs looks for it. */
export function reportDeploy({ url, snapshotId, snapshot }) {
  const report = { url, snapshotId, snapshot };
  writeFileSync(process.env.DEPLOY_REPORT, JSON.stringify(report));
}
