// Asks the edge what it says of itself, and shows it.

const show = (fact, text) => {
  document.querySelector(`[data-fact="${fact}"]`).textContent = text;
};

show("host", location.host);

try {
  const page = await fetch("/", { method: "HEAD" });
  show("version", page.headers.get("x-favonius-deployment") ?? "not told");
  const style = await fetch("/assets/style.css");
  const coding = style.headers.get("content-encoding") ?? "not compressed";
  show("coding", `${(await style.arrayBuffer()).byteLength} bytes, ${coding}`);
} catch {
  show("version", "the edge did not answer");
  show("coding", "the edge did not answer");
}
