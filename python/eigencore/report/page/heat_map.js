// Layers x heads of one metric, at a step or over all of them.

const PLAIN = { displayModeBar: false, responsive: false, staticPlot: false };
const FONT = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: 12 };

function heatMap(run, context) {
  const { store, guide, ranges } = context;
  const plot = element("div", { class: "heat-map", role: "img" });
  const legend = gradientLegend();
  const title = element("p", { class: "chart-title" });
  const toggle = modeToggle(run, store);
  const node = element("div", { class: "heat" }, element("div", { class: "heat-head" }, title, toggle), plot, legend.node);
  let drawn = false;

  function draw(state) {
    const metric = state.headMetric;
    const entry = guide.get(metric);
    plot.dataset.metric = metric;
    plot.hidden = !run.has(metric);
    legend.node.hidden = plot.hidden;
    if (plot.hidden) {
      title.textContent = `This run has no ${entry.label.toLowerCase()}.`;
      return;
    }
    const at = run.place(metric, run.clip(context.stepShown()));
    const values = state.overSteps ? run.meansOverSteps(metric) : run.valuesAt(metric, at.i, null, null);
    const range = ranges.heat(metric);
    const colours = palette();
    plot.dataset.step = state.overSteps ? "mean" : at.step;
    title.textContent = `${labelWithUnit(entry)}, ${state.overSteps ? "mean over steps" : `step ${at.step}`}`;
    plot.setAttribute("aria-label",
      `Heat map, layers by heads: ${title.textContent}. The table of heads below has the numbers.`);
    legend.show("", showEnds(range, run.resolution(metric)), colours.stops);
    node.style.flexBasis = `${Math.min(560, Math.max(270, sizeOf(run, Infinity).wanted))}px`;
    const { width, height } = sizeOf(run, Math.max(160, node.clientWidth));
    Plotly.react(plot, [cells(run, values, range, colours, entry)], layout(run, { width, height }, colours, run.chosen(state)), PLAIN);
    if (!drawn) {
      drawn = true;
      plot.on("plotly_click", ({ points: [point] }) => choose(Number(point.y), Number(point.x)));
    }
  }

  function choose(layer, head) {
    const same = store.state.layer === layer && store.state.head === head;
    store.set(same ? { layer: null, head: null } : { layer, head });
  }

  store.onChange(["headMetric", "step", "preview", "layer", "head", "overSteps"], draw);
  return { node };
}

/** "This step" or "mean over steps", for all runs at once. */
function modeToggle(run, store) {
  const name = run.id("heat-mode");
  const radio = (overSteps, label) => {
    const input = element("input", { type: "radio", name, change: () => store.set({ overSteps }) });
    store.onChange(["overSteps"], (state) => {
      input.checked = state.overSteps === overSteps;
    });
    return element("label", {}, input, element("span", {}, label));
  };
  return element("fieldset", { class: "toggle" }, element("legend", { class: "unseen" }, "Heat map of"),
    radio(false, "this step"), radio(true, "mean over steps"));
}

function cells(run, values, range, colours, entry) {
  const rows = (show) => Array.from({ length: run.layers }, (_, layer) =>
    Array.from({ length: run.heads }, (_, head) => show(values[layer * run.heads + head], layer, head)));
  const ends = (x) => (x === Infinity ? range.high : x === -Infinity ? range.low : Number.isNaN(x) ? null : x);
  const infinite = values.some((x) => !Number.isFinite(x) && !Number.isNaN(x));
  return {
    type: "heatmap",
    z: rows(ends),
    zmin: range.low,
    zmax: range.high > range.low ? range.high : range.low + 1,
    colorscale: colours.forPlotly,
    showscale: false,
    xgap: 1,
    ygap: 1,
    text: infinite ? rows((x) => (Number.isFinite(x) || Number.isNaN(x) ? "" : showNumber(x))) : undefined,
    texttemplate: infinite ? "%{text}" : "",
    customdata: rows((x, layer, head) =>
      `layer ${layer}, head ${head}: ${withUnit(showNumber(x, run.resolution(entry.name)), entry.unit)}`),
    hovertemplate: "%{customdata}<extra></extra>",
  };
}

/** Cells stay near square where there are few heads or layers, and small but visible where there are many. */
function sizeOf(run, available) {
  const height = Math.max(7, Math.min(32, 440 / run.layers));
  const wanted = 48 + run.heads * Math.max(8, Math.min(44, height * 2));
  return { wanted, width: Math.min(available, wanted), height: 44 + height * run.layers };
}

function layout(run, size, colours, chosen) {
  const axis = (count, room) => ({ tickmode: "linear", tick0: 0, dtick: tickStep(count, room), ticks: "", zeroline: false,
    showgrid: false, fixedrange: true, tickfont: { color: colours.muted, size: 11 }, range: [-0.5, count - 0.5] });
  const x = { ...axis(run.heads, (size.width - 48) / 18), title: { text: "head", standoff: 4 } };
  const y = { ...axis(run.layers, (size.height - 44) / 13), range: [run.layers - 0.5, -0.5], title: { text: "layer", standoff: 6 } };
  return {
    ...size,
    margin: { l: 44, r: 4, t: 4, b: 40 },
    font: { ...FONT, color: colours.muted },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: colours.missing,
    hoverlabel: hoverLabel(colours),
    dragmode: false,
    xaxis: x,
    yaxis: y,
    shapes: chosen.layer === null ? [] : frames(run, chosen, colours),
  };
}

/** A frame that shows on any colour: one line of ink around one of paper. */
function frames(run, { layer, head }, colours) {
  const [x0, x1] = head === null ? [-0.5, run.heads - 0.5] : [head - 0.5, head + 0.5];
  const box = { type: "rect", x0, x1, y0: layer - 0.5, y1: layer + 0.5 };
  return [{ ...box, line: { color: colours.page, width: 5 } }, { ...box, line: { color: colours.loop, width: 2.5 } }];
}

function tickStep(count, most) {
  const steps = [1, 2, 4, 5, 8, 10, 16, 20, 32, 50, 100, 200, 500, 1000, 2000, 5000];
  return steps.find((step) => count / step <= Math.max(1, most)) ?? 10000;
}

function hoverLabel(colours) {
  return { bgcolor: colours.page, bordercolor: colours.muted, font: { ...FONT, color: colours.text }, align: "left" };
}
