// The bar that stays in sight: metric, heads, step, and what the colours of the text mean.

function controlBar(runs, data, context) {
  const { store, guide, ranges } = context;
  const legend = gradientLegend();
  store.onChange(["metric", "layer", "head"], ({ metric, layer, head }) => {
    const entry = guide.get(metric);
    const run = runs.find((one) => one.has(metric));
    const ends = showEnds(ranges.text(metric, layer, head), run.resolution(metric));
    legend.show(`Text: ${labelWithUnit(entry)}`, ends, palette().textStops);
  });
  return element("div", { class: "controls", role: "region", "aria-label": "Controls" },
    element("div", { class: "control-row" }, metricMenu(data, context), ...headMenus(runs, context), stepControls(runs, context)),
    legend.node);
}

function metricMenu(data, { store, guide }) {
  const groups = Object.entries(data.groups).map(([name, label]) => {
    const options = [...guide.values()].filter((entry) => entry.group === name);
    return options.length === 0 ? null : element("optgroup", { label },
      ...options.map((entry) => element("option", { value: entry.name }, labelWithUnit(entry))));
  });
  const choose = (event) => {
    const metric = event.target.value;
    store.set(guide.get(metric).group === "output" ? { metric } : { metric, headMetric: metric });
  };
  const select = element("select", { id: "metric", change: choose }, ...groups);
  store.onChange(["metric"], ({ metric }) => {
    select.value = metric;
  });
  return element("label", { class: "control grow" }, element("span", {}, "Metric"), select);
}

function headMenus(runs, { store }) {
  const most = (count) => Math.max(...runs.map(count));
  const menu = (id, label, all, count) => element("select", { id, "aria-label": label },
    element("option", { value: "" }, all), ...Array.from({ length: count }, (_, i) => element("option", { value: i }, `${label} ${i}`)));
  const chosen = (select) => (select.value === "" ? null : Number(select.value));
  const layers = menu("layer", "layer", "all layers", most((run) => run.layers));
  const heads = menu("head", "head", "all heads", most((run) => run.heads));
  layers.addEventListener("change", () => store.set({ layer: chosen(layers), head: layers.value === "" ? null : store.state.head }));
  heads.addEventListener("change", () => store.set({ head: chosen(heads) }));
  const clear = button("Clear", () => store.set({ layer: null, head: null }), { id: "clear", "aria-label": "Clear: all layers and heads" });
  store.onChange(["layer", "head"], ({ layer, head }) => {
    layers.value = layer ?? "";
    heads.value = head ?? "";
    heads.disabled = layer === null;
    clear.disabled = layer === null;
  });
  return [element("div", { class: "control", role: "group", "aria-label": "Layer and head" }, element("span", { "aria-hidden": "true" }, "Heads"),
    layers, heads, clear)];
}

function stepControls(runs, { store }) {
  const longest = runs.reduce((a, b) => (b.steps > a.steps ? b : a));
  const last = Math.max(0, longest.steps - 1);
  const pin = (step) => store.set({ step: Math.max(0, Math.min(last, Math.round(step))) });
  const slider = element("input", { type: "range", id: "step", min: 0, max: last, step: 1, "aria-label": "Step",
    input: (event) => pin(Number(event.target.value)) });
  const number = element("input", { type: "number", id: "step-number", min: 0, max: last, step: 1, "aria-label": "Step, as a number",
    change: (event) => pin(Number(event.target.value) || 0) });
  const back = button("‹", () => pin(store.state.step - 1), { id: "previous", "aria-label": "Previous step" });
  const next = button("›", () => pin(store.state.step + 1), { id: "next", "aria-label": "Next step" });
  store.onChange(["step"], ({ step }) => {
    slider.value = step;
    number.value = step;
    slider.setAttribute("aria-valuetext", `step ${step}, token ${showToken(longest.tokens[step] ?? "")}`);
    back.disabled = step === 0;
    next.disabled = step === last;
  });
  return element("div", { class: "control grow", role: "group", "aria-label": "Step" }, element("span", { "aria-hidden": "true" }, "Step"),
    back, slider, next, number);
}

/** The plain sentences of the metric that is chosen. */
function metricSentence({ store, guide }) {
  const says = element("span", {});
  const saysNot = element("span", { class: "says-not" });
  const label = element("strong", {});
  const aside = element("span", { class: "aside" });
  store.onChange(["metric", "headMetric"], ({ metric, headMetric }) => {
    const entry = guide.get(metric);
    label.textContent = `${labelWithUnit(entry)}. `;
    says.textContent = `${entry.says} `;
    saysNot.textContent = notSaid(entry);
    aside.textContent = entry.group !== "output" ? ""
      : ` It has no layers or heads: the heat map and the lines stay with ${guide.get(headMetric).label.toLowerCase()}.`;
  });
  return element("p", { class: "sentence", "aria-live": "polite" }, label, says, saysNot, aside);
}
