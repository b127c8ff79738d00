// One step: heat map, most probable next tokens, output signals, row metrics.

function stepView(run, context) {
  const { store, guide } = context;
  const title = element(context.heading, { class: "step-title" });
  const note = element("p", { class: "note" });
  const bars = element("ol", { class: "next-tokens" });
  const barsNote = element("p", { class: "note" });
  const signals = element("dl", { class: "signals" });
  const rows = element("table", { class: "numbers" });
  const map = heatMap(run, context);
  const panel = element("section", { class: "step-view", "aria-label": `One step of ${run.name}` },
    element("div", { class: "step-head" }, title, note),
    element("div", { class: "step-parts" },
      map.node,
      element("div", { class: "step-numbers" },
        element("p", { class: "chart-title" }, "Most probable next tokens"), bars, barsNote,
        element("p", { class: "chart-title" }, "Output"), signals,
        element("p", { class: "chart-title" }, "Newest row of attention"), rows)));

  store.onChange(["step", "preview"], (state) => {
    const step = run.clip(context.stepShown());
    panel.dataset.step = step;
    title.replaceChildren(`Step ${step} `, element("bdi", { class: "quoted" }, `“${showToken(run.tokens[step] ?? "")}”`));
    panel.classList.toggle("previewed", step !== run.clip(state.step));
    const size = run.promptTokens.length + step;
    const preview = step === run.clip(state.step) ? "" : " Preview; click or press Enter to stay.";
    note.textContent = `Attention matrices of ${size} × ${size}.${preview}`;
    showBars(run, step, bars, barsNote);
    signals.replaceChildren(...[...guide.values()].filter((entry) => entry.name in run.signals).flatMap((entry) => [
      element("dt", {}, entry.label),
      element("dd", {}, withUnit(showNumber(run.signals[entry.name][step]), entry.unit)),
    ]));
  });

  store.onChange(["step", "preview", "layer", "head"], (state) => {
    const chosen = run.chosen(state);
    const entries = [...guide.values()].filter((entry) => entry.group === "row" && entry.name in run.metrics);
    const at = entries.length > 0 ? run.place(entries[0].name, run.clip(context.stepShown())) : null;
    rows.replaceChildren(
      element("caption", {}, captionOf(chosen, at)),
      element("thead", {}, element("tr", {}, ...["", ...columnsFor(chosen)].map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...entries.map((entry) => rowOf(entry, chosen, at.i))));
    rows.dataset.step = at === null ? "" : at.step;
  });

  function captionOf(chosen, at) {
    const over = chosen.layer === null ? "over all heads" : chosen.head === null ? `over the heads of layer ${chosen.layer}`
      : `layer ${chosen.layer}, head ${chosen.head}`;
    return at === null || run.every("row_entropy") === 1 ? over : `${over}, of step ${at.step}`;
  }

  function columnsFor({ head }) {
    return head === null ? ["mean", "min", "max"] : ["value"];
  }

  function rowOf(entry, { layer, head }, i) {
    const values = run.valuesAt(entry.name, i, layer, head);
    const { least, most } = leastAndMost(values);
    const shown = [finiteMean(values), least, most].slice(0, columnsFor({ head }).length).map((x) => element("td", {}, showNumber(x, run.resolution(entry.name))));
    return element("tr", { "data-metric": entry.name }, element("th", { scope: "row" }, labelWithUnit(entry)), ...shown);
  }

  // The panel sticks beside a long text, and the cell around it says how far down.
  return { node: element("div", { class: "step-cell" }, panel) };
}

function showBars(run, step, bars, note) {
  const chosen = run.chosenRanks[step];
  const probabilities = run.topProbabilities[step] ?? [];
  bars.replaceChildren(...probabilities.map((p, rank) => {
    const bar = element("span", { class: "bar" });
    bar.style.width = `${100 * p}%`;
    return element("li", { class: rank === chosen ? "chosen" : null },
      element("bdi", { class: "bar-token" }, showToken(run.texts[run.topTokens[step][rank]])),
      element("span", { class: "bar-room", "aria-hidden": "true" }, bar),
      element("span", { class: "bar-value" }, showPercent(p)),
      rank === chosen ? element("span", { class: "unseen" }, " (the token written)") : null);
  }));
  note.textContent = chosen === null ? `The token written, “${showToken(run.tokens[step])}”, is not among them.` : "▸ the token written";
}
