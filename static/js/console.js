// Small comforts of the console. Every page works without them.
(() => {
  "use strict";

  // ------------------------------------------------------------- theme: system, light, dark

  const root = document.documentElement;
  const darkSystem = matchMedia("(prefers-color-scheme: dark)");
  const shownTheme = () => root.dataset.theme ?? (darkSystem.matches ? "dark" : "light");

  function announceTheme() {
    const next = shownTheme() === "dark" ? "light" : "dark";
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.querySelector("[data-theme-word]").textContent = next === "dark" ? "Dark" : "Light";
      button.setAttribute("aria-label", `Change to the ${next} theme`);
    }
    document.dispatchEvent(new CustomEvent("vitrine:theme"));
  }

  function toggleTheme() {
    const next = shownTheme() === "dark" ? "light" : "dark";
    const isSystems = next === (darkSystem.matches ? "dark" : "light");
    if (isSystems) delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      if (isSystems) localStorage.removeItem("vitrine-theme");
      else localStorage.setItem("vitrine-theme", next);
    } catch {
      // Storage is closed: the choice holds for this page only.
    }
    announceTheme();
  }

  // ------------------------------------------------------------- ages that stay true

  function ageWords(seconds) {
    if (seconds < 2) return "just now";
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
    return null;
  }

  // The reader's clock may be off by minutes; what counts is how much time passed since loading.
  const ages = new WeakMap();
  function refreshAges() {
    for (const element of document.querySelectorAll("time[data-age]")) {
      if (!ages.has(element)) {
        const match = /^(\d+) (s|min|h) ago$/.exec(element.textContent);
        const unit = match ? { s: 1, min: 60, h: 3600 }[match[2]] : 1;
        if (!match && element.textContent !== "just now") continue;
        ages.set(element, { since: performance.now(), seconds: match ? match[1] * unit : 0 });
      }
      const { since, seconds } = ages.get(element);
      const words = ageWords(seconds + (performance.now() - since) / 1000);
      if (words && element.textContent !== words) element.textContent = words;
    }
  }

  // ------------------------------------------------------------- copying

  async function copy(button) {
    const text = button.closest(".snippet").querySelector("code").textContent;
    const word = button.querySelector("[data-copy-word]");
    try {
      await navigator.clipboard.writeText(text);
      word.textContent = "Copied";
    } catch {
      const selection = getSelection();
      selection.selectAllChildren(button.closest(".snippet").querySelector("code"));
      word.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (word.textContent = "Copy"), 2500);
  }

  // ------------------------------------------------------------- tabs, by click and arrow keys

  function selectTab(tab) {
    for (const other of tab.parentElement.querySelectorAll("[role=tab]")) {
      const selected = other === tab;
      other.setAttribute("aria-selected", String(selected));
      other.tabIndex = selected ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !selected;
    }
  }

  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest?.("[role=tab]");
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!tab || !step) return;
    const tabs = [...tab.parentElement.querySelectorAll("[role=tab]")];
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    selectTab(next);
    next.focus();
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.matches("[data-theme-toggle]")) toggleTheme();
    else if (button.matches("[data-copy]")) copy(button);
    else if (button.matches("[role=tab]")) selectTab(button);
    else if (button.matches("[data-pause]")) {
      const region = document.getElementById(button.getAttribute("aria-controls"));
      const paused = region.toggleAttribute("data-paused");
      button.setAttribute("aria-pressed", String(paused));
      button.querySelector("[data-pause-word]").textContent = paused ? "Go on" : "Pause";
    }
  });

  // ------------------------------------------------------------- polling that knows when to rest

  document.addEventListener("htmx:beforeRequest", (event) => {
    const polled = event.target.closest("[data-poll]");
    if (polled && (document.hidden || polled.closest("[data-paused]"))) event.preventDefault();
  });

  // ------------------------------------------------------------- the focus after a part was exchanged

  // A button that goes with the part it stood in says where the keyboard goes on: at the last such
  // element, or the first field in it.
  document.addEventListener("htmx:afterSettle", (event) => {
    const selector = event.detail.requestConfig?.elt.dataset.thenFocus;
    if (!selector || document.activeElement !== document.body) return;
    const next = [...document.querySelectorAll(selector)].at(-1);
    const fields = "input:not([type=hidden]), select, textarea";
    (next?.matches(fields) ? next : next?.querySelector(fields))?.focus();
  });

  // One box ticks all of a page.
  document.addEventListener("change", (event) => {
    const name = event.target.dataset.checkAll;
    if (!name) return;
    for (const box of document.querySelectorAll(`input[type=checkbox][name="${name}"]`)) box.checked = event.target.checked;
  });

  // Filters apply as soon as they are chosen; the button is for those without this script.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
  });

  // ------------------------------------------------------------- questions before what can't be undone

  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !confirm(question)) event.preventDefault();
  });

  darkSystem.addEventListener("change", announceTheme);
  announceTheme();
  refreshAges();
  setInterval(refreshAges, 1000);
})();
