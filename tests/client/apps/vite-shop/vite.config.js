import { createRequire } from "node:module";
import { defineConfig } from "vite";
import { reportDeploy } from "./report-deploy.mjs";

// The plugin's ES module build demands the optional @module-federation/vite; this one does not.
const { withZephyr } = createRequire(import.meta.url)("vite-plugin-zephyr");

export default defineConfig({
  build: {
    // Every asset becomes a file of its own, however small.
    assetsInlineLimit: 0,
    rollupOptions: { input: ["index.html", "about/index.html"] },
  },
  plugins: [withZephyr({ hooks: { onDeployComplete: reportDeploy } })],
});
