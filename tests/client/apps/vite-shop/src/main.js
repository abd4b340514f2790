import "./style.css";
import { show } from "./show.js";
import { drawChart } from "./chart.js";
import logoUrl from "./logo.svg";

show("greeting", `greeting: ${import.meta.env.ZE_PUBLIC_GREETING}`);

const { color } = getComputedStyle(document.querySelector("h1"));
show("style", `heading is ${color}`);

const logo = document.querySelector("#logo");
logo.addEventListener("load", () => show("logo-state", `logo is ${logo.naturalWidth} wide`));
logo.addEventListener("error", () => show("logo-state", "logo is missing"));
logo.src = logoUrl;

drawChart();

document.querySelector("#open-cart").addEventListener("click", async () => {
  const { openCart } = await import("./cart.js");
  show("cart", openCart());
});

const products = await (await fetch("/data/products.json")).json();
show("products", `products: ${products.map((product) => product.name).join(", ")}`);

// The list is written beside the files when the application is copied for a build.
const names = await (await fetch("/data/odd-names.json")).json();
const answers = await Promise.all(names.map(readOddFile));
show("odd-files", `odd files: ${answers.filter(Boolean).length} of ${names.length}`);

async function readOddFile(name) {
  const path = name.split("/").map(encodeURIComponent).join("/");
  const response = await fetch(`/${path}`);
  return response.ok && (await response.text()) === `content of ${name}\n`;
}
