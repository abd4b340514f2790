import { createRequire } from "node:module";
import { defineConfig } from "vite";
import { reportDeploy } from "./report-deploy.mjs";

// The plugin's ES module build demands the optional @module-federation/vite; this one does not.
const { withZephyr } = createRequire(import.meta.url)("vite-plugin-zephyr");

export default defineConfig({
  base: "/shop/",
  plugins: [withZephyr({ hooks: { onDeployComplete: reportDeploy } })],
});
