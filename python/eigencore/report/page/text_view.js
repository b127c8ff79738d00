// The text: one option of a list box per generated token, coloured by the metric.

function textView(run, context) {
  const { store, guide, ranges } = context;
  const tokens = run.tokens.map((token, step) => tokenElement(run, token, step));
  const list = element("span", { class: "generated", role: "listbox", tabindex: "0", "aria-label": "Generated tokens",
    "aria-orientation": "horizontal" }, ...inLoop(run, tokens));
  const prompt = element("span", { class: "prompt", title: "the prompt" }, ...withNewlines(run.promptTokens.join("")));
  const text = element("div", { class: "trace-text", id: run.id("text"), dir: "auto", tabindex: "-1" }, prompt, list);
  const note = element("p", { class: "note" });
  textCursor(run, list, tokens, context);

  store.onChange(["metric", "layer", "head"], ({ metric, layer, head }) => {
    const chosen = run.chosen({ layer, head });
    text.dataset.metric = metric;
    colourTokens(tokens, (step) => (run.has(metric) ? run.valueAt(metric, step, chosen) : NaN), ranges.text(metric, layer, head));
    note.textContent = captionOf(run, guide.get(metric), chosen);
  });

  let pinned = null;
  store.onChange(["step"], ({ step }) => {
    pinned?.setAttribute("aria-selected", "false");
    pinned = tokens[run.clip(step)] ?? null;
    pinned?.setAttribute("aria-selected", "true");
    if (pinned !== null) keepInSight(text, pinned);
  });
  return { node: element("div", { class: "text-view" }, text, note) };
}

function colourTokens(tokens, valueOf, range) {
  const colours = palette();
  tokens.forEach((token, step) => {
    const share = shareOf(valueOf(step), range);
    const missing = Number.isNaN(share);
    token.classList.toggle("missing", missing);
    token.style.background = missing ? "" : colours.background(share);
    token.style.color = missing ? "" : colours.ink(share);
  });
}

function captionOf(run, entry, chosen) {
  if (!run.has(entry.name)) return `This run has no ${entry.label.toLowerCase()}.`;
  const of = entry.group === "output" ? "" : `, ${headsMeant(chosen)}`;
  const every = run.every(entry.name);
  const held = every > 1 ? ` It is at hand at every ${ordinal(every)} step; the tokens between carry the last value.` : "";
  return `Colour: ${labelWithUnit(entry)}${of}, at the step that wrote the token.${held}`;
}

/** Scrolls the box of a text that has its own scroll bar, and never the page. */
function keepInSight(box, token) {
  if (box.scrollHeight <= box.clientHeight) return;
  const [outer, inner] = [box.getBoundingClientRect(), token.getBoundingClientRect()];
  if (inner.top < outer.top || inner.bottom > outer.bottom) box.scrollTop += inner.top - outer.top - outer.height / 2;
}

function tokenElement(run, token, step) {
  return element("span", {
    class: token === "" ? "token empty" : "token", role: "option", id: run.id(`token-${step}`), "data-step": step,
    "aria-selected": "false", "aria-label": token.trim() === "" ? showToken(token).replaceAll(" ", "space ") : null,
  }, ...withNewlines(token));
}

/** Each line break gets a mark of its own, drawn by the style sheet, so that the text stays what it is. */
function withNewlines(text) {
  return text.split(/(\n)/).filter((part) => part !== "").map((part) =>
    (part === "\n" ? element("span", { class: "newline" }, part) : part));
}

function inLoop(run, tokens) {
  if (run.loop === null) return tokens;
  const { first_copy_step: first, onset_step: onset, period } = run.loop;
  tokens.forEach((token, step) => {
    if (step >= onset && (step - onset) % period === 0) token.classList.add("copy-start");
  });
  const part = (name, label, inside) =>
    element("span", { class: `loop ${name}`, role: "group", "aria-label": `loop, ${label}`, "data-label": label, tabindex: "-1",
      id: run.id(name) }, ...inside);
  return [
    ...tokens.slice(0, first),
    part("loop-first", "first copy", tokens.slice(first, onset)),
    part("loop-repeats", "repeats", tokens.slice(onset)),
  ];
}
