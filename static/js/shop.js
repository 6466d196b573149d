/* The demo shop's own script: reports what the page says to Vitrine, and adds to the cart in place.
 * Without it every form still works; with it there is no page load for a small thing. */
(() => {
  document.documentElement.classList.add("scripted");
  const report = (events) => {
    for (const { type, ...details } of events) window.vitrine?.track(type, details);
  };
  report(JSON.parse(document.getElementById("shop-events").textContent));

  const toast = document.querySelector("[data-toast]");
  let hiding;
  const say = (text, link) => {
    toast.textContent = text;
    if (link) toast.append(Object.assign(document.createElement("a"), link));
    toast.dataset.on = "";
    clearTimeout(hiding);
    hiding = setTimeout(() => delete toast.dataset.on, 5000);
  };

  const showCart = (added, form) => {
    const count = document.querySelector("[data-cart-count]");
    count.textContent = added.n_pieces;
    count.hidden = !added.n_pieces;
    const note = document.querySelector("[data-in-cart]");
    if (note && form.matches(".buy")) {
      note.hidden = false;
      note.querySelector("[data-n-of-product]").textContent = added.n_of_product;
    }
    // What lies in the cart is not recommended: asked again once the event has arrived.
    window.vitrine?.flush().then(() => {
      for (const row of document.querySelectorAll("vitrine-recommendations[live]")) {
        row.setAttribute("cart", added.product_ids.join());
      }
    });
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-add]");
    if (!form) return;
    event.preventDefault();
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new FormData(form),
        headers: { Accept: "application/json" },
      });
      if (!answer.ok) throw new Error(answer.status);
      const added = await answer.json();
      report(added.events);
      if (added.n_added) say(`Added: ${added.title}`, { href: "/shop/cart/", textContent: "Cart" });
      else say("More than that doesn’t fit into the cart.");
      showCart(added, form);
    } catch {
      form.submit(); // the plain way tells what went wrong
    }
  });

  document.addEventListener("change", (event) => {
    event.target.closest("form[data-sort], form[data-quantity]")?.requestSubmit();
  });

  // The panel of the demo bar closes as a menu does.
  const panel = document.querySelector(".demo__pick");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !panel?.open) return;
    panel.open = false;
    panel.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    if (panel?.open && !panel.contains(event.target)) panel.open = false;
  });
})();
