// A text field of values becomes a combobox with chips: templates/components/picker.html. The text
// field stays, hidden, and holds what is posted, one value a line. The server answers options and
// chips; what is known of a value is never guessed here.
//
// By keyboard, after the combobox pattern of WAI-ARIA with a list: arrows open the list and go
// through it, Enter takes an option, Escape closes the list and then empties the field, Backspace in
// an empty field takes the last value away. Leaving the field takes what is marked.
(() => {
  "use strict";

  // Ids are pasted as a list between commas, too; names may hold a comma.
  const BETWEEN = { product: /[\n,;]/ };
  const begun = new WeakSet();

  function begin(root) {
    if (begun.has(root)) return;
    begun.add(root);
    const part = (name) => root.querySelector(`[data-picker-${name}]`);
    const [text, box, chips, search, list, status] = ["text", "box", "chips", "search", "list", "status"].map(part);
    const isMany = root.hasAttribute("data-picker-many");
    const between = isMany ? (BETWEEN[root.dataset.picker] ?? /\n/) : /\n/;
    const hint = search.placeholder;
    // What the options answer; null while an answer is on its way.
    let answered = null;
    let active = -1;
    // Whether the list is to open with the answer, and whether its best is to be taken then.
    let isWanted = false;
    let takesFirst = false;

    // ----------------------------------------------------------- values

    const split = (written) => [...new Set(written.split(between).map((each) => each.trim()).filter(Boolean))];
    const values = () => split(text.value);

    function write(all) {
      text.value = all.join("\n");
      // Whoever watches the form sees a change, as if it had been typed.
      text.dispatchEvent(new Event("input", { bubbles: true }));
      tidy();
    }

    // What isn't chosen any more has no chip, also where an answer was late.
    function tidy() {
      const all = values();
      for (const chip of [...chips.children]) if (!all.includes(chip.dataset.value)) chip.remove();
      search.placeholder = !all.length ? hint : isMany ? "Add another" : "Choose another";
    }

    const draw = () => chips.dispatchEvent(new CustomEvent("picker-changed"));
    chips.addEventListener("htmx:afterSwap", tidy);

    function add(...found) {
      const before = values();
      const all = isMany ? [...new Set([...before, ...found])] : found.slice(-1);
      search.value = "";
      close();
      if (all.join("\n") === before.join("\n")) return;
      write(all);
      draw();
    }

    function remove(value) {
      const chip = [...chips.children].find((each) => each.dataset.value === value);
      status.textContent = `${chip?.querySelector("[data-picker-name]").textContent ?? value} removed`;
      write(values().filter((each) => each !== value));
    }

    // ----------------------------------------------------------- the list

    const typed = () => search.value.trim().replace(/\s+/g, " ");
    const options = () => [...list.querySelectorAll("[role=option]:not([aria-disabled])")];
    const isOpen = () => !list.hidden;

    function open() {
      list.hidden = false;
      search.setAttribute("aria-expanded", "true");
    }

    function close() {
      list.hidden = true;
      isWanted = takesFirst = false;
      search.setAttribute("aria-expanded", "false");
      mark(-1);
    }

    function mark(place) {
      active = place;
      for (const [index, option] of options().entries()) {
        option.setAttribute("aria-selected", String(index === place));
        if (index === place) option.scrollIntoView({ block: "nearest" });
      }
      if (place < 0) search.removeAttribute("aria-activedescendant");
      else search.setAttribute("aria-activedescendant", options()[place].id);
    }

    function ask() {
      isWanted = true;
      answered = null;
      search.dispatchEvent(new CustomEvent("picker-open"));
    }

    function step(by) {
      if (!isOpen()) return ask();
      const n = options().length;
      if (n) mark(active < 0 && by < 0 ? n - 1 : (active + by + n) % n);
    }

    list.addEventListener("htmx:afterSwap", (event) => {
      answered = event.detail.requestConfig.formData.get("q").trim().replace(/\s+/g, " ");
      if (!isWanted || document.activeElement !== search || answered !== typed()) return;
      for (const [index, option] of options().entries()) option.id = `${list.id}-${index}`;
      open();
      mark(answered && options().length ? 0 : -1);
      const n = options().length;
      status.textContent = n ? `${n} suggestion${n === 1 ? "" : "s"}` : list.textContent.trim();
      if (takesFirst) take();
    });

    // The marked option, or as it was typed where the list isn't of what stands in the field.
    function take() {
      const option = answered === typed() && isOpen() ? options()[active] : undefined;
      if (option) add(option.dataset.value);
      else if (typed()) add(typed());
    }

    // ----------------------------------------------------------- the field

    search.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") step(event.key === "ArrowDown" ? 1 : -1);
      else if (event.key === "Enter") {
        // Faster than the answer: the best of what comes is taken.
        if (typed() && isWanted && answered !== typed()) takesFirst = true;
        else take();
      } else if (event.key === "Escape") {
        if (isOpen() || isWanted) close();
        else search.value = "";
      } else if (event.key === "Backspace" && !search.value && values().length) remove(values().at(-1));
      else return;
      event.preventDefault();
    });

    search.addEventListener("paste", (event) => {
      const pasted = split(event.clipboardData.getData("text"));
      if (!isMany || pasted.length < 2) return;
      event.preventDefault();
      add(...pasted);
    });

    search.addEventListener("click", () => isOpen() || ask());
    search.addEventListener("blur", () => {
      take();
      close();
    });

    search.addEventListener("input", () => {
      isWanted = true;
      answered = null;
    });
    // What is being typed is nobody's business yet.
    for (const kind of ["input", "change"]) search.addEventListener(kind, (event) => event.stopPropagation());

    // A press would take the focus, and with it the list.
    list.addEventListener("mousedown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]:not([aria-disabled])");
      if (option) add(option.dataset.value);
    });

    chips.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      remove(button.closest("[data-value]").dataset.value);
      search.focus();
    });

    box.addEventListener("click", (event) => {
      if (event.target === box || event.target === chips) search.focus();
    });

    for (const label of [...text.labels]) label.htmlFor = search.id;
    if (text.ariaInvalid) search.ariaInvalid = text.ariaInvalid;
    text.hidden = true;
    box.hidden = false;
    tidy();
    if (values().length) draw();
  }

  // htmx says so of the page itself and of every part that is put into it.
  document.addEventListener("htmx:load", (event) => {
    if (event.target.matches("[data-picker]")) begin(event.target);
    for (const root of event.target.querySelectorAll("[data-picker]")) begin(root);
  });
})();
