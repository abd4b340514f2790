const show = (id, text) => {
  document.querySelector(`#${id}`).textContent = text;
};

show("greeting", `greeting: ${import.meta.env.ZE_PUBLIC_GREETING}`);

const { describe } = await import("./lazy.js");
show("lazy", describe(import.meta.env.BASE_URL));

const note = await fetch(`${import.meta.env.BASE_URL}note.txt`);
show("note", note.ok ? (await note.text()).trim() : `note: ${note.status}`);
