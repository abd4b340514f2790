import { rspack } from "@rspack/core";
import { withZephyr } from "zephyr-rspack-plugin";
import { reportDeploy } from "./report-deploy.mjs";

const federation = {
  name: "rspack_host",
  // The plugin puts the URL here, as the control plane resolves it; see package.json.
  remotes: { rspack_remote: "rspack_remote@latest" },
};

// With this field the plugin adds its runtime plugin, which asks the host for its
// zephyr-manifest.json; without it, code that sends the remote a HEAD first.
if (process.env.HOST_REMOTES === "runtime-plugin") federation.runtimePlugins = [];

const config = {
  context: import.meta.dirname,
  mode: "production",
  entry: { main: "./src/index.js" },
  output: {
    clean: true,
    publicPath: "auto",
    uniqueName: "rspack_host",
    filename: "js/[name].[contenthash:8].js",
  },
  plugins: [
    new rspack.container.ModuleFederationPlugin(federation),
    new rspack.HtmlRspackPlugin({ template: "./src/index.html" }),
  ],
};

export default withZephyr({ hooks: { onDeployComplete: reportDeploy } })(config);
