// Elements are made one by one, and texts become text nodes: no string is ever parsed as markup.

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function button(label, onClick, attributes = {}) {
  return element("button", { type: "button", click: onClick, ...attributes }, label);
}

/** A link within the page that also does something. */
function pageLink(label, target, onClick = () => {}) {
  return element("a", { href: `#${target}`, click: onClick }, label);
}

function gradientLegend() {
  const low = element("span", { class: "scale-end" });
  const high = element("span", { class: "scale-end" });
  const caption = element("span", { class: "scale-label" });
  const bar = element("span", { class: "scale-bar", "aria-hidden": "true" });
  const node = element("span", { class: "scale" }, caption, low, bar, high);
  return {
    node,
    show(text, ends, stops) {
      caption.textContent = text;
      [low.textContent, high.textContent] = ends;
      bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    },
  };
}

const tooltip = (() => {
  const node = element("div", { class: "tooltip", "aria-hidden": "true", hidden: true });
  return {
    node,
    show(lines, anchor) {
      node.replaceChildren(...lines.map((line) => element("div", {}, line)));
      node.hidden = false;
      const box = node.getBoundingClientRect();
      const left = Math.min(Math.max(4, anchor.left), document.documentElement.clientWidth - box.width - 4);
      const below = anchor.bottom + 6 + box.height < window.innerHeight;
      node.style.left = `${left}px`;
      node.style.top = `${below ? anchor.bottom + 6 : anchor.top - box.height - 6}px`;
    },
    hide() {
      node.hidden = true;
    },
  };
})();
