import { revision } from "./revision.js";

const show = (id, content) => document.querySelector(`#${id}`).replaceChildren(content);

show("host", `host is alive, revision ${revision}`);
show("greeting", `greeting: ${process.env.ZE_PUBLIC_GREETING}`);
try {
  const { createButton } = await import("rspack_remote/Button");
  show("remote", createButton());
} catch (error) {
  show("remote", `remote failed: ${error}`);
}
