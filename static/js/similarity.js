// What makes products similar: a slider beside each number, and no button where the page follows by itself.
"use strict";
(() => {
  for (const slider of document.querySelectorAll("[data-similarity] [data-twin]")) {
    const number = document.getElementById(slider.dataset.twin);
    slider.hidden = false;
    slider.addEventListener("input", () => (number.value = slider.value));
    number.addEventListener("input", () => (slider.value = number.value));
  }
  for (const button of document.querySelectorAll("[data-similarity] [data-without-script]")) button.hidden = true;
})();
