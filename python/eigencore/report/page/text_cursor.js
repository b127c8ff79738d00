// Pointing at a token, or moving over the text by keyboard, previews its step; a click or Enter pins it.

function textCursor(run, list, tokens, { store, guide }) {
  let active = null;
  const current = () => active ?? run.clip(store.state.step);
  /** Of a token broken over two lines, the larger part. */
  const boxOf = (step) => [...tokens[step].getClientRects()].reduce((a, b) => (b.width > a.width ? b : a), tokens[step].getClientRects()[0]);

  function preview(step) {
    tooltip.show(aboutToken(run, step, store.state, guide), boxOf(step));
    store.set({ preview: step });
  }

  function leave() {
    tooltip.hide();
    store.set({ preview: null });
  }

  function moveTo(step) {
    tokens[active]?.classList.remove("active");
    active = run.clip(step);
    tokens[active].classList.add("active");
    list.setAttribute("aria-activedescendant", tokens[active].id);
    tokens[active].scrollIntoView({ block: "nearest" });
    preview(active);
  }

  function stepOf(node) {
    const token = node.closest(".token");
    return token ? Number(token.dataset.step) : null;
  }

  list.addEventListener("pointerover", (event) => {
    const step = stepOf(event.target);
    if (step !== null && event.pointerType !== "touch") preview(step);
  });
  list.addEventListener("pointerleave", leave);
  list.addEventListener("click", (event) => {
    const step = stepOf(event.target);
    if (step === null) return;
    active = step;
    store.set({ step });
    tooltip.show(aboutToken(run, step, store.state, guide), boxOf(step));
  });
  list.addEventListener("focus", () => {
    if (list.matches(":focus-visible")) moveTo(current());
  });
  list.addEventListener("blur", () => {
    tokens[active]?.classList.remove("active");
    active = null;
    leave();
  });
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = current();
    const goals = { ArrowLeft: () => at - 1, ArrowRight: () => at + 1, Home: () => 0, End: () => run.steps - 1,
      PageUp: () => at - 10, PageDown: () => at + 10, ArrowUp: () => onOtherLine(at, -1, boxOf, run.steps),
      ArrowDown: () => onOtherLine(at, 1, boxOf, run.steps) };
    if (event.key in goals) moveTo(goals[event.key]());
    else if (event.key === "Enter" || event.key === " ") store.set({ step: at });
    else if (event.key === "Escape") leave();
    else return;
    event.preventDefault();
  });
}

/** Token, step and value, a line each. */
function aboutToken(run, step, state, guide) {
  const lines = [`“${showToken(run.tokens[step])}”`, `step ${step}`];
  if (!run.has(state.metric)) return lines;
  const entry = guide.get(state.metric);
  const value = showNumber(run.valueAt(entry.name, step, run.chosen(state)), run.resolution(entry.name));
  const from = run.place(entry.name, step).step;
  return [...lines, `${entry.label}: ${withUnit(value, entry.unit)}${from === step ? "" : ` (of step ${from})`}`];
}

/** The token nearest to the one at `step` on the line above (-1) or below (1) it. */
function onOtherLine(step, direction, boxOf, steps) {
  const middle = (box) => (box.left + box.right) / 2;
  const here = boxOf(step);
  const away = (box) => Math.abs(middle(box) - middle(here));
  let best = step;
  let line = null;
  for (let i = step + direction; i >= 0 && i < steps; i += direction) {
    const box = boxOf(i);
    if (Math.abs(box.top - here.top) < here.height / 2) continue;
    if (line !== null && Math.abs(box.top - line) > here.height / 2) break;
    if (line === null || away(box) < away(boxOf(best))) best = i;
    line = box.top;
  }
  return best;
}
