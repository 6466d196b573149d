// The results page: what a member opened stays open when newer numbers come.
(() => {
  "use strict";

  const opened = () => new Map(
    [...document.querySelectorAll("#results details")].map((each) => [nameOf(each), each.open]),
  );
  const nameOf = (details) =>
    details.id || `${details.closest("section")?.getAttribute("aria-labelledby")} ${details.querySelector("summary").textContent}`;
  let before = new Map();

  document.addEventListener("htmx:beforeSwap", () => { before = opened(); });
  document.addEventListener("htmx:afterSwap", () => {
    for (const each of document.querySelectorAll("#results details")) {
      const was = before.get(nameOf(each));
      if (was !== undefined) each.open = was;
    }
  });

  // A definition closes when one looks elsewhere.
  document.addEventListener("click", (event) => {
    for (const each of document.querySelectorAll("details.definition[open]")) {
      if (!each.contains(event.target)) each.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const each of document.querySelectorAll("details.definition[open]")) {
      each.open = false;
      if (each.contains(document.activeElement)) each.querySelector("summary").focus();
    }
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) print();
  });
})();
