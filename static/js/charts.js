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

  const charts = [...document.querySelectorAll("[data-chart]")];
  // Drawn when they come near the screen: a phone shows the figures above first.
  const seen = new Set();
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        watcher.unobserve(target);
        seen.add(target);
        draw(target);
      }
    },
    { rootMargin: "300px" },
  );
  for (const chart of charts) watcher.observe(chart);
  document.addEventListener("vitrine:theme", () => seen.forEach(draw));
})();
