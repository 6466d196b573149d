// Draws the figures that the page brings along, in the colours of the theme.
(() => {
  "use strict";

  // A custom property may hold light-dark(…): only an element that uses it knows the colour.
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);

  function resolved(value) {
    if (typeof value === "string" && value.startsWith("var(")) {
      if (value.startsWith("var(--font")) {
        return getComputedStyle(document.documentElement).getPropertyValue(value.slice(4, -1)).trim();
      }
      probe.style.color = value;
      return getComputedStyle(probe).color;
    }
    if (Array.isArray(value)) return value.map(resolved);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolved(inner)]));
    }
    return value;
  }

  function draw(element) {
    const figure = JSON.parse(document.getElementById(element.dataset.chart).textContent);
    const { data, layout } = resolved(figure);
    Plotly.react(element, data, layout, { displayModeBar: false, responsive: true });
  }

  // Drawn when they come near the screen: a phone shows the figures above first.
  const seen = new Set();
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting) drawFirst(target);
      }
    },
    { rootMargin: "300px" },
  );

  function drawFirst(chart) {
    watcher.unobserve(chart);
    seen.add(chart);
    draw(chart);
  }

  function watch(root) {
    for (const chart of seen) if (!chart.isConnected) seen.delete(chart);
    for (const chart of root.querySelectorAll("[data-chart]")) if (!seen.has(chart)) watcher.observe(chart);
  }

  watch(document);
  document.addEventListener("htmx:load", (event) => watch(event.target));
  document.addEventListener("vitrine:theme", () => seen.forEach(draw));
  addEventListener("beforeprint", () => {
    for (const chart of document.querySelectorAll("[data-chart]")) if (!seen.has(chart)) drawFirst(chart);
  });
})();
