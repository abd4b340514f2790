import iconUrl from "./icon.svg";
import { revision } from "./revision.js";

/** A button with an icon, which is a file of the remote as well. */
export function createButton() {
  const button = document.createElement("button");
  button.id = "remote-button";
  // In a host's page this is a JSON import from another origin, through the host's import map.
  button.textContent = `${process.env.ZE_PUBLIC_LABEL} button, revision ${revision}`;
  const icon = new Image();
  icon.addEventListener("load", () => {
    button.dataset.icon = `${icon.naturalWidth} wide`;
  });
  icon.src = iconUrl;
  button.append(icon);
  button.addEventListener("click", async () => {
    const { thank } = await import("./thanks.js");
    button.textContent = thank();
  });
  return button;
}
