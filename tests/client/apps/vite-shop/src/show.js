export function show(id, text) {
  document.querySelector(`#${id}`).textContent = text;
}
