import { show } from "./show.js";

// Loaded at once but kept in a chunk of its own, which no mutation changes.
export async function drawChart() {
  const { bars } = await import("./bars.js");
  show("chart", `chart of ${bars.length} bars`);
}
