import { rspack } from "@rspack/core";
import { withZephyr } from "zephyr-rspack-plugin";
import { reportDeploy } from "./report-deploy.mjs";

const config = {
  context: import.meta.dirname,
  mode: "production",
  entry: { main: "./src/index.js" },
  output: {
    clean: true,
    publicPath: "auto",
    uniqueName: "rspack_remote",
    filename: "js/[name].[contenthash:8].js",
    assetModuleFilename: "img/[name].[contenthash:8][ext]",
  },
  module: { rules: [{ test: /\.svg$/, type: "asset/resource" }] },
  plugins: [
    new rspack.container.ModuleFederationPlugin({
      name: "rspack_remote",
      filename: "remoteEntry.js",
      manifest: true,
      exposes: { "./Button": "./src/Button.js" },
    }),
    new rspack.CopyRspackPlugin({ patterns: [{ from: "public" }] }),
    new rspack.HtmlRspackPlugin({ template: "./src/index.html", excludeChunks: ["rspack_remote"] }),
  ],
};

export default withZephyr({ hooks: { onDeployComplete: reportDeploy } })(config);
