/* Vitrine in the shop: <vitrine-recommendations placement="home-for-you" limit="8"> */
(() => {
  if (window.vitrine) return
  const doc = document;
  const script = doc.currentScript;
  const lang = doc.documentElement.lang || undefined;
  const config = { endpoint: script ? new URL(script.src).origin : "" };
  const warn = (...words) => console.warn("vitrine:", ...words);
  // Nothing may break the merchant's page.
  const safe = (work) => (...args) => {
    try {
      return work(...args);
    } catch (error) {
      warn(error);
    }
  };

  // What can't be stored is kept for this page.
  const memory = {};
  const read = (name) => {
    try {
      return memory[name] ?? JSON.parse(localStorage["vitrine." + name] || null);
    } catch {}
  };
  const write = (name, value) => {
    memory[name] = value;
    try {
      localStorage.removeItem("vitrine." + name);
      if (value && denied() && name !== "consent") return;
      if (value) localStorage["vitrine." + name] = JSON.stringify(value);
      delete memory[name];
    } catch {}
  };

  /* ---- ?vitrine_qa=TOKEN or off: this tab sees one variant, without events ---- */
  let qa = new URLSearchParams(location.search).get("vitrine_qa");
  try {
    if (qa) sessionStorage["vitrine.qa"] = qa;
    qa = sessionStorage["vitrine.qa"];
  } catch {}
  if (qa === "off") qa = undefined;

  /* ---- who: nobody without consent ---- */
  let made = 0;
  const uuid = () => { // version 7: ids sort by time
    const time = Date.now().toString(16).padStart(12, 0);
    const bytes = crypto.getRandomValues(new Uint8Array(9));
    const chance = Array.from(bytes, (byte) => (byte + 256).toString(16).slice(1)).join("");
    return (time + ((made++ & 4095) | 28672).toString(16) + chance.slice(3)).replace(/(.{8})(.{4})(.{4})(.{3})/, "$1-$2-$3-8$4-");
  };
  // The shopper's choice, else the page's.
  const consent = () => read("consent") || config.consent || "unknown";
  const denied = () => consent() === "denied";
  const person = () => {
    if (denied()) return { consent: "denied" };
    const of = config.shopperId || read("shopper") || uuid();
    if (!config.shopperId) write("shopper", of);
    let session = read("session");
    const at = Date.now();
    if (session?.of !== of || at - session.at > 18e5) session = { id: uuid() };
    write("session", { id: session.id, of, at });
    return { consent: consent(), shopper_id: of, session_id: session.id };
  };

  /* ---- events: queued until the server has answered 202 ---- */
  // The key in a plain text body: no preflight, and for beacons.
  const post = (path, data, more) =>
    fetch(config.endpoint + "/v1/" + path, { method: "POST", credentials: "omit", body: JSON.stringify({ key: config.key, ...data }), ...more });
  const size = (value) => new Blob([JSON.stringify(value)]).size;
  // A key for each: other tabs would overwrite a list.
  const names = (all) => Object.keys(all).filter((name) => /^(vitrine\.)?e\./.test(name));
  const queued = () => {
    let kept = [];
    try {
      kept = names(localStorage).map((name) => name.slice(8));
    } catch {}
    return [...kept, ...names(memory)].sort().map(read).filter((event) => Date.now() - event?.occurred_at < 6048e5);
  };
  const drop = (events) => events.forEach((event) => write("e." + event.event_id));
  const paused = () => read("until") - Date.now() > 0;
  let sending, timer, told, failures = 0;

  const batch = () => {
    let room = 6e4;
    const events = queued().slice(0, qa ? 0 : 50).filter((event) => (room -= size(event) + 1) > 200);
    return { key: config.key, sent_at: Date.now(), events };
  };
  const soon = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(flush, ms);
  };
  const send = async () => {
    for (let data; config.key && (data = batch()).events.length; ) {
      if (paused()) return soon(read("until") - Date.now());
      const answer = await post("events", data, { keepalive: true }).catch(() => 0);
      if (answer.status !== 202) {
        const asked = answer && answer.headers.get("Retry-After") * 1000;
        const ms = asked || Math.min(3e5, 2 ** failures++ * 1000) * (0.5 + Math.random() / 2);
        write("until", Date.now() + ms);
        return soon(ms);
      }
      failures = 0;
      write("until");
      drop(data.events);
      const { rejected } = await answer.json();
      rejected?.forEach((reason) => warn("event rejected", reason, data.events[reason.index]));
    }
  };
  const flush = () => (sending ||= send().catch(warn).finally(() => (sending = 0)));
  // No answer: its events stay queued, and count once.
  const beacon = safe(() => {
    const data = batch();
    const last = data.events.at(-1)?.event_id;
    if (sending || !config.key || paused() || !last || told === last) return;
    told = last;
    navigator.sendBeacon(config.endpoint + "/v1/events", JSON.stringify(data));
  });

  const track = (type, details = {}) => {
    if (qa) return;
    const { product_id } = details.items?.length === 1 ? details.items[0] : details;
    const event = {
      event_id: uuid(),
      type,
      ...person(),
      occurred_at: Date.now(),
      page: location.pathname.slice(0, 300),
      recommendation_id: read("led")?.find(([id]) => id === product_id)?.[1], // the click that led here
      currency: config.currency,
      ...details,
    };
    if (!type || size(event) > 32e3) return warn("event refused", type);
    write("e." + event.event_id, event);
    drop(queued().slice(0, -500));
    if (/^(add|remove|purchase|hide|rate)/.test(type)) {
      Promise.resolve(sending).then(flush).then(() => refresh("[live]"));
    } else soon(300); // of one moment, one request
  };

  /* ---- recommendations: one request for all elements of the page ---- */
  const TAG = "vitrine-recommendations";
  const waiting = new Set();
  let scheduled;
  const schedule = () => {
    if (scheduled || !config.key || doc.readyState === "loading") return;
    scheduled = true;
    queueMicrotask(() => {
      scheduled = false;
      ask().catch(warn);
    });
  };
  const refresh = (which = "") => doc.querySelectorAll(TAG + which).forEach((element) => element.refresh());

  const ask = async () => {
    const elements = [...waiting].filter((element) => element.isConnected);
    elements.sort((a, b) => (a.compareDocumentPosition(b) & 2) - 1); // as they stand on the page
    waiting.clear();
    if (!elements.length) return;
    const given = (name) => elements.map((element) => element.getAttribute(name)).filter(Boolean);
    const ids = (name) => [...new Set(given(name).join().match(/[^,\s]+/g))];
    const slug = (element) => element.getAttribute("placement");
    let answers = [];
    try {
      const answer = await post("recommendations", {
        ...person(),
        page: { product_ids: ids("product-id"), category: given("category")[0], q: given("q")[0] },
        cart: given("cart").length ? ids("cart") : undefined,
        exclude: ids("exclude"),
        placements: elements.map((element) => ({ slug: slug(element), limit: +element.getAttribute("limit") || undefined })),
        order: "position",
        qa,
        locale: lang,
        device: innerWidth < 640 ? "mobile" : "desktop",
      }, { signal: AbortSignal.timeout(6000) });
      const found = await answer.json();
      answers = found.recommendations || warn(found.error) || [];
    } catch (error) {
      warn(error);
    }
    elements.forEach(safe((element) => {
      // A placement may stand on a page twice.
      const answer = answers.find((answer) => answer.placement === slug(element));
      answers = answers.filter((other) => other !== answer);
      element.show(answer || { items: [] });
    }));
  };

  /* ---- the element ---- */
  const CSS = `
:host{--s:var(--vitrine-card-size,11.5rem);--r:var(--vitrine-radius,.75rem);--t:var(--vitrine-tile,#8882);display:block}
:host([hidden]),:host([state=empty]),:host([state=empty]) section{display:none}
header{display:flex;align-items:center;gap:.5rem;height:2.5rem;margin-bottom:.75rem}
h2{flex:1;display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2;margin:0;padding:.1em 0;overflow:hidden;font-size:1.25rem;line-height:1}
button{width:2.5rem;height:2.5rem;border:1px solid var(--vitrine-line,#8886);border-radius:50%;background:none;color:inherit;font-size:1.25rem;cursor:pointer}
button[aria-disabled=true]{opacity:.35}
ul{display:flex;gap:var(--vitrine-gap,1rem);margin:-4px;padding:4px;list-style:none;overflow-x:auto;scroll-snap-type:x proximity;scroll-padding:4px;scrollbar-width:none;scroll-behavior:smooth}
li{flex:none;width:var(--s);scroll-snap-align:start}
.card{display:block;color:inherit;text-decoration:none;border-radius:var(--r)}
.picture{display:grid;place-items:center;height:var(--s);margin:0;overflow:hidden;border-radius:var(--r);background:var(--t);font-size:2.25rem}
img{width:100%;height:100%;object-fit:cover}
.title,.price{display:block;height:2.6em;margin:.625rem 0 .25rem;overflow:hidden;font-size:.9375rem;line-height:1.3}
.title{display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2}
.price{height:1.3em;margin:0}
s{margin:0 .5em;opacity:.7}
.sale{color:var(--vitrine-sale,inherit)}
a:hover .title{text-decoration:underline}
:focus-visible{outline:2px solid var(--vitrine-focus,Highlight);outline-offset:2px}
[aria-busy] .title{background:var(--t);border-radius:var(--r)}
@media(hover:none){button{display:none}}
@media(prefers-reduced-motion){ul{scroll-behavior:auto}}`;
  let sheet;

  const make = (tag, name, properties, ...children) => {
    const node = Object.assign(doc.createElement(tag), properties);
    node.className = name;
    node.setAttribute("part", name);
    node.append(...children);
    return node;
  };
  // Never javascript: and the like.
  const link = safe((address) => {
    const { protocol, href } = new URL(address, doc.baseURI);
    return address && /^https?:/.test(protocol) ? href : "";
  });
  const money = safe((amount, currency) =>
    new Intl.NumberFormat(lang, { style: "currency", currency }).format(amount));
  // Without a picture: initials on a colour of their own.
  const draw = (picture, title) => {
    const hue = [...title].reduce((sum, letter) => (sum * 31 + letter.codePointAt()) % 360, 0);
    picture.style.background = `hsl(${hue} 40% 50%/.2)`;
    picture.textContent = title.split(/\s+/, 2).map((word) => [...word][0]).join("");
  };

  class Recommendations extends HTMLElement {
    static observedAttributes = ["placement", "limit", "product-id", "cart", "category", "q", "exclude"];

    connectedCallback() {
      safe(() => {
        if (!this.list) this.build();
        this.refresh();
      })();
    }

    disconnectedCallback() {
      this.unwatch();
    }

    attributeChangedCallback() {
      if (this.list) this.refresh();
    }

    refresh() {
      waiting.add(this);
      schedule();
    }

    build() {
      const button = (name, text, sign) => make("button", name, {
        type: "button",
        hidden: true,
        ariaLabel: this.getAttribute(name + "-label") || name + " products",
        textContent: text,
        onclick: () => this.turn(sign),
      });
      const root = this.attachShadow({ mode: "open" });
      root.adoptedStyleSheets = [sheet];
      this.heading = make("h2", "heading", { id: "h", textContent: this.getAttribute("heading") });
      this.buttons = [button("previous", "‹", -1), button("next", "›", 1)];
      const blank = () => make("li", "item", {}, make("p", "picture"), make("p", "title"), make("p", "price"));
      this.list = make("ul", "list", { onscroll: () => this.edges(), role: "list" }, ...Array.from({ length: 6 }, blank));
      const header = make("header", "header", {}, this.heading, ...this.buttons);
      this.section = make("section", "section", { ariaBusy: true }, header, this.list);
      this.section.setAttribute("aria-labelledby", "h");
      root.append(this.section);
      new ResizeObserver(() => this.edges()).observe(this.list);
    }

    // Without products there is no box.
    show(answer) {
      const { items, experiment } = answer;
      const products = items.map((item) => item.product_id).join();
      this.unwatch();
      this.answer = answer;
      this.section.ariaBusy = null;
      if (experiment?.qa) this.dataset.qa = experiment.key + "/" + experiment.variant;
      this.setAttribute("state", products ? "ready" : "empty");
      if (products !== this.products) {
        this.products = products;
        this.heading.textContent = this.getAttribute("heading") || answer.title;
        this.list.replaceChildren(...items.map((item) => this.card(item)));
        if (!this.list.querySelector("a")) this.list.tabIndex = 0;
        this.list.scrollLeft = 0;
      }
      this.edges();
      if (products) this.watch();
      this.dispatchEvent(new CustomEvent("vitrine-answer", { bubbles: true, detail: answer }));
    }

    card(item) {
      const { title, price, list_price, currency } = item;
      const picture = make("span", "picture");
      const src = link(item.image_url);
      const onerror = () => draw(picture, title);
      if (src) picture.append(make("img", "image", { loading: "lazy", alt: "", onerror, src }));
      else onerror();
      const sale = +list_price > +price;
      const paid = make("span", "price", {}, make("b", sale ? "sale" : "amount", {}, (price && money(price, currency)) || ""));
      if (sale) paid.append(make("s", "list-price", {}, money(list_price, currency)));
      const href = link(item.url);
      const onclick = safe(() => this.click(item));
      const card = make(href ? "a" : "span", "card", { onclick, onauxclick: onclick }, picture, make("span", "title", {}, title), paid);
      if (href) card.href = href;
      return make("li", "item", {}, card);
    }

    report(type, details, properties) {
      const { recommendation_id, placement } = this.answer;
      track(type, { recommendation_id, ...details, properties: { placement, ...properties } });
    }

    click({ product_id, position }) {
      this.report("recommendation_click", { items: [{ product_id }] }, { position });
      write("led", [[product_id, this.answer.recommendation_id], ...(read("led") || [])].slice(0, 50));
    }

    // Seen: half of it for a second, once per answer.
    watch() {
      this.eye = new IntersectionObserver((entries) => {
        clearTimeout(this.seen);
        if (entries.pop().intersectionRatio < 0.5) return;
        this.seen = setTimeout(safe(() => {
          this.unwatch();
          if (doc.hidden) this.watch();
          else this.report("recommendation_view");
        }), 1000);
      }, { threshold: [0, 0.5] });
      this.eye.observe(this);
    }

    unwatch() {
      clearTimeout(this.seen);
      this.eye?.disconnect();
    }

    turn(sign) {
      const left = sign * this.list.clientWidth * (getComputedStyle(this).direction === "rtl" ? -0.8 : 0.8);
      this.list.scrollBy({ left });
    }

    edges() {
      const { scrollLeft, scrollWidth, clientWidth } = this.list;
      const rest = scrollWidth - clientWidth;
      const at = Math.abs(scrollLeft);
      this.buttons.forEach((button, i) => {
        button.hidden = rest < 8 || !this.products;
        button.ariaDisabled = i ? at > rest - 4 : at < 4;
      });
    }
  }

  /* ---- the public face ---- */
  const api = {
    track,
    refresh,
    flush,
    init(options) {
      Object.assign(config, options);
      config.endpoint = config.endpoint.replace(/\/$/, "");
      schedule();
      soon(0);
    },
    // null: somebody else, as after logging out.
    identify(id) {
      config.shopperId = 0;
      write("led");
      write("shopper", id && id + "");
      refresh();
    },
    consent(level) {
      if (level === "denied") {
        drop(queued());
        ["shopper", "session", "led"].forEach((name) => write(name));
      }
      write("consent", level);
      refresh();
    },
  };
  for (const name in api) api[name] = safe(api[name]);
  window.vitrine = api;

  safe(() => {
    (sheet = new CSSStyleSheet()).replaceSync(CSS);
    addEventListener("pagehide", beacon);
    addEventListener("online", () => soon(0));
    doc.addEventListener("visibilitychange", () => (doc.hidden ? beacon() : soon(0)));
    doc.addEventListener("DOMContentLoaded", schedule);
    customElements.define(TAG, Recommendations);
    if (script?.dataset.key) api.init(script.dataset);
  })();
})();
