// Metrics and signals over the steps.

const LINE_BUTTONS = { displaylogo: false, responsive: false, modeBarButtons: [["toImage"]], doubleClick: "reset" };

/** One thin line per layer, the chosen heads as a bold line with the range between least and most. */
function metricChart(run, context) {
  const { store, guide, ranges } = context;
  const title = element("p", { class: "chart-title" });
  const legend = gradientLegend();
  const note = element("p", { class: "note" });
  const chart = stepChart(run, context, "metric-chart");
  const tokens = run.tokens.map((token) => forPlotly(showToken(token)));

  store.onChange(["headMetric", "layer", "head"], ({ headMetric, layer, head }) => {
    const entry = guide.get(headMetric);
    chart.node.dataset.metric = headMetric;
    chart.node.hidden = !run.has(headMetric);
    title.textContent = chart.node.hidden ? `This run has no ${entry.label.toLowerCase()}.` : labelWithUnit(entry);
    legend.node.hidden = chart.node.hidden;
    note.hidden = chart.node.hidden;
    if (chart.node.hidden) return;
    const colours = palette();
    const chosen = run.chosen({ layer, head });
    const names = tokensAt(tokens, run.series(headMetric, chosen.layer, chosen.head).steps);
    const lines = [
      ...layerLines(run, headMetric, names, colours),
      ...boldLine(run, headMetric, chosen, names, colours),
    ];
    note.textContent = `Bold: ${headsMeant(chosen)}${chosen.head === null ? ", shaded from the lowest head to the highest" : ""}. `
      + "Thin: each layer, mean over its heads. A click pins the step; dragging zooms, a double click returns.";
    const stops = Array.from({ length: run.layers }, (_, i) => colours.layer(i, run.layers));
    legend.show("Layers", ["0", String(run.layers - 1)], stops.length > 1 ? stops : [stops[0], stops[0]]);
    const y = { range: ranges.lines(headMetric, layer, head), title: { text: entry.unit, standoff: 8 } };
    chart.draw(lines, { yaxis: y }, chartHeight(chart.width()));
  });
  return { node: element("div", { class: "chart" },
    element("div", { class: "chart-head" }, title, legend.node), chart.node, note) };
}

function layerLines(run, metric, tokens, colours) {
  return Array.from({ length: run.layers }, (_, layer) => {
    const { steps, mean } = run.series(metric, layer, null);
    return { x: steps, y: mean.map(finiteOrNull), mode: mean.length > 1 ? "lines" : "markers", showlegend: false,
      name: `layer ${layer}`, line: { color: colours.layer(layer, run.layers), width: 0.9 }, opacity: 0.6, customdata: tokens,
      hovertemplate: `layer ${layer}: %{y:.4g}<br>step %{x} “%{customdata}”<extra></extra>` };
  });
}

function boldLine(run, metric, chosen, tokens, colours) {
  const { steps, mean, least, most } = run.series(metric, chosen.layer, chosen.head);
  const edge = { mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
  const band = [{ ...edge, x: steps, y: least.map(finiteOrNull) },
    { ...edge, x: steps, y: most.map(finiteOrNull), fill: "tonexty", fillcolor: colours.band }];
  const line = { x: steps, y: mean.map(finiteOrNull), mode: lineMode(steps), showlegend: false, name: "chosen",
    line: { color: colours.text, width: 2 }, customdata: tokens,
    hovertemplate: `${headsMeant(chosen)}: %{y:.4g}<br>step %{x} “%{customdata}”<extra></extra>` };
  return chosen.head === null ? [...band, line] : [line];
}

/** Signals that are shares of one. */
const SHARES = new Set(["top1_probability", "repetition_4gram"]);

/** Steps that were measured apart are marked, so that the line between them is not taken for numbers. */
function lineMode(steps) {
  if (steps.length < 2) return "markers";
  return steps[1] - steps[0] > 1 ? "lines+markers" : "lines";
}

/** The output-side signals, one panel each. */
function signalChart(run, context) {
  const { store, guide, ranges } = context;
  const chart = stepChart(run, context, "signal-chart");
  const entries = [...guide.values()].filter((entry) => entry.name in run.signals);
  const tokens = run.tokens.map((token) => forPlotly(showToken(token)));
  const gap = 0.28 / Math.max(entries.length, 1);
  const share = (1 - gap * (entries.length - 1)) / Math.max(entries.length, 1);

  store.onChange([], () => {
    const colours = palette();
    const lines = entries.map((entry, i) => ({
      x: run.tokens.map((_, step) => step), y: run.signals[entry.name], mode: run.steps > 1 ? "lines" : "markers", showlegend: false,
      line: { color: colours.accent, width: 1.4 }, xaxis: "x", yaxis: i === 0 ? "y" : `y${i + 1}`, customdata: tokens,
      hovertemplate: `%{y:.4g} ${entry.unit}<br>step %{x} “%{customdata}”<extra></extra>`,
    }));
    const axes = {};
    entries.forEach((entry, i) => {
      const top = 1 - i * (share + gap);
      axes[i === 0 ? "yaxis" : `yaxis${i + 1}`] = { range: SHARES.has(entry.name) ? [-0.04, 1.04] : ranges.lines(entry.name, null, null), nticks: 4,
        domain: [Math.max(0, top - share), top] };
    });
    const titles = entries.map((entry, i) => ({ text: labelWithUnit(entry), x: 0, xref: "paper", xanchor: "left", yref: "paper",
      y: 1 - i * (share + gap), yanchor: "bottom", showarrow: false, font: { ...FONT, size: 12.5, color: colours.text } }));
    chart.draw(lines, { ...axes, annotations: titles }, 70 + 96 * entries.length, entries.length);
  });
  return { node: element("div", { class: "chart" }, element("p", { class: "chart-title" }, "Output: next token and text"), chart.node) };
}

/** A chart over steps: the loop shaded, the pinned step as a line, a click pins. */
function stepChart(run, context, className) {
  const { store } = context;
  const node = element("div", { class: className, role: "img",
    "aria-label": "Line chart over steps. The step slider and the table of heads give the same numbers." });
  let drawn = false;
  const cursorAt = () => run.clip(store.state.step);

  store.onChange(["step"], (_, change) => {
    if (!drawn || node.hidden || change.has("all")) return;
    Plotly.relayout(node, { "shapes[0].x0": cursorAt(), "shapes[0].x1": cursorAt() });
    node.dataset.step = cursorAt();
  });

  return {
    node,
    width: () => Math.max(200, node.parentElement.clientWidth),
    draw(lines, extra, height, panels = 1) {
      const colours = palette();
      const loop = loopMarks(run, colours, panels, this.width());
      const layout = stepLayout(run, this.width(), height, colours);
      for (const [name, value] of Object.entries(extra)) {
        if (name.startsWith("yaxis")) layout[name] = { ...layout.yaxis, ...value, title: value.title ?? undefined };
      }
      layout.xaxis.anchor = panels > 1 ? `y${panels}` : "y";
      layout.shapes = [cursor(cursorAt(), colours), ...loop.shapes];
      layout.annotations = [...loop.annotations, ...(extra.annotations ?? [])];
      Plotly.react(node, lines, layout, LINE_BUTTONS);
      node.dataset.step = cursorAt();
      if (drawn) return;
      drawn = true;
      node.on("plotly_click", ({ points: [point] }) => store.set({ step: Number(point.x) }));
      node.on("plotly_clickannotation", ({ index }) => {
        if (run.loop !== null && index < loop.annotations.length) context.showLoop(run, index === 0 ? "loop-first" : "loop-repeats");
      });
    },
  };
}

function stepLayout(run, width, height, colours) {
  const axis = { zeroline: false, gridcolor: colours.rule, linecolor: colours.rule, tickfont: { color: colours.muted, size: 11 },
    automargin: false };
  return {
    width,
    height,
    margin: { l: 52, r: 10, t: run.loop === null ? 24 : 44, b: 40 },
    font: { ...FONT, color: colours.muted },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    uirevision: "keep what has been zoomed",
    hovermode: "closest",
    hoverdistance: -1,
    hoverlabel: hoverLabel(colours),
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colours.muted, activecolor: colours.text },
    dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom",
    xaxis: { ...axis, title: { text: "step", standoff: 6 }, range: [-0.5, Math.max(run.steps - 0.5, 0.5)], showgrid: false,
      tickmode: "linear", tick0: 0, dtick: tickStep(run.steps, (width - 60) / 52), tickformat: "d" },
    yaxis: { ...axis, fixedrange: true },
  };
}

function cursor(step, colours) {
  return { type: "line", x0: step, x1: step, y0: 0, y1: 1, yref: "paper", line: { color: colours.accent, width: 1.5 } };
}

function loopMarks(run, colours, panels, width) {
  if (run.loop === null) return { shapes: [], annotations: [] };
  const { first_copy_step: first, onset_step: onset } = run.loop;
  const wide = { yref: "paper", y0: 0, y1: 1 };
  const shapes = [
    { ...wide, type: "rect", x0: first - 0.5, x1: run.steps - 0.5, fillcolor: colours.loopShade, line: { width: 0 }, layer: "below" },
    { ...wide, type: "line", x0: onset, x1: onset, line: { color: colours.loop, width: 1.5, dash: "dot" } },
  ];
  // Two lines of text, since the first copy and the second may start side by side.
  const tight = (x) => (1 - x / run.steps) * (width - 62) < 90;
  const note = (text, x, line) => ({ text, x, yref: "paper", y: 1, yanchor: "bottom", yshift: (panels > 1 ? 14 : 0) + 13 * line,
    showarrow: false, xanchor: tight(x) ? "right" : "left", font: { ...FONT, size: 11, color: colours.loop },
    captureevents: true });
  return { shapes, annotations: [note("loop: first copy", first - 0.5, 1), note("repeats", onset, 0)] };
}

function chartHeight(width) {
  return Math.round(Math.max(250, Math.min(380, width * 0.34)));
}

function tokensAt(tokens, steps) {
  return steps.map((step) => tokens[step]);
}

function finiteOrNull(x) {
  return Number.isFinite(x) ? x : null;
}
