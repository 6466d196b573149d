// The editor of a strategy: shares that always sum to 100 %. Without it the fields are plain numbers,
// and the server brings them to 100.
(() => {
  "use strict";

  const percent = (field) => Math.min(Math.max(Number.parseFloat(field.value.replace(",", ".")) || 0, 0), 100);
  const write = (field, value) => {
    field.value = String(Math.round(value * 10) / 10);
  };

  // Whoever watches the form sees a change of a field, as if it had been typed.
  const announce = (field) => field.dispatchEvent(new Event("input", { bubbles: true }));

  // ------------------------------------------------------------- shares of the sources

  function rowsOf(mix) {
    return [...mix.querySelectorAll("[data-mix-row]")].map((row) => ({
      slider: row.querySelector("[data-mix-slider]"),
      number: row.querySelector("[data-mix-number]"),
    }));
  }

  // What each share was before another took everything, so that it can be given back.
  const remembered = new WeakMap();

  // The others give or take in proportion; tenths of a per cent that rounding leaves go to the largest.
  function balance(mix, changed) {
    const rows = rowsOf(mix);
    remembered.set(changed, percent(changed));
    const others = rows.filter((row) => row.number !== changed && remembered.get(row.number) > 0);
    if (!others.length) write(changed, 100);
    const left = 100 - percent(changed);
    const sum = others.reduce((total, row) => total + remembered.get(row.number), 0);
    let given = 0;
    for (const row of others) {
      const share = Math.round((remembered.get(row.number) / sum) * left * 10) / 10;
      write(row.number, share);
      given += share;
    }
    if (others.length) {
      const largest = others.reduce((a, b) => (percent(b.number) > percent(a.number) ? b : a));
      write(largest.number, percent(largest.number) + left - given);
      if (left) for (const row of others) remembered.set(row.number, percent(row.number));
    }
    for (const row of rows) row.slider.value = percent(row.number);
    tell(mix, rows);
  }

  function tell(mix, rows = rowsOf(mix)) {
    const total = rows.reduce((sum, row) => sum + percent(row.number), 0);
    mix.querySelector("[data-mix-total]").value = `${Math.round(total * 10) / 10} % in all`;
  }

  for (const mix of document.querySelectorAll("[data-mix]")) {
    for (const { slider, number } of rowsOf(mix)) {
      slider.hidden = false;
      remembered.set(number, percent(number));
      slider.addEventListener("input", () => {
        number.value = slider.value;
        balance(mix, number);
        announce(number);
      });
      number.addEventListener("change", () => {
        write(number, percent(number));
        balance(mix, number);
        announce(number);
      });
    }
    tell(mix);
  }

  // ------------------------------------------------------------- a slider beside a number

  for (const slider of document.querySelectorAll("[data-twin]")) {
    const number = document.getElementById(slider.dataset.twin);
    slider.hidden = false;
    slider.addEventListener("input", () => {
      number.value = slider.value;
      announce(number);
    });
    number.addEventListener("input", () => (slider.value = percent(number)));
  }

  // ------------------------------------------------------------- numbers that a choice makes idle

  for (const select of document.querySelectorAll("[data-enables]")) {
    const field = document.getElementById(select.dataset.enables);
    const follow = () => field.toggleAttribute("readonly", select.value === "none");
    select.addEventListener("change", follow);
    follow();
  }
})();
