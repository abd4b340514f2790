import("./Button.js").then(({ createButton }) => {
  document.querySelector("#root").replaceChildren(createButton());
});
