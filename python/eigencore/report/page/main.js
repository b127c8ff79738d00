// Puts the page together.

const DEFAULT_METRICS = ["row_entropy", "spectral_entropy"];

function start() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const guide = new Map(data.guide.map((entry) => [entry.name, entry]));
  const runs = data.runs.map((run, index) => openRun(run, index, guide));
  const ofHeads = data.guide.filter((entry) => entry.group !== "output").map((entry) => entry.name);
  const metric = DEFAULT_METRICS.find((name) => ofHeads.includes(name)) ?? ofHeads[0];
  const store = openStore({ metric, headMetric: metric, layer: null, head: null, step: firstStep(runs), preview: null,
    overSteps: false });
  const context = {
    store,
    guide,
    ranges: openRanges(runs),
    heading: runs.length === 1 ? "h2" : "h3",
    /** The step that the panels show: the one pointed at, or the pinned one. */
    stepShown: () => store.state.preview ?? store.state.step,
    showLoop(run, part) {
      store.set({ step: part === "loop-first" ? run.loop.first_copy_step : run.loop.onset_step });
      const target = document.getElementById(run.id(part));
      const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
      target.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
      target.focus({ preventScroll: true });
    },
  };
  document.getElementById("report").replaceChildren(...pageParts(runs, data, context), tooltip.node, announcer(runs, context));
  watchSurroundings(store);
  store.drawAll();
  document.documentElement.dataset.ready = "true";
}

function firstStep(runs) {
  const loop = runs.find((run) => run.loop !== null)?.loop;
  return loop ? loop.first_copy_step : Math.max(0, Math.max(...runs.map((run) => run.steps)) - 1);
}

function pageParts(runs, data, context) {
  const single = runs.length === 1;
  const title = single ? `Trace of ${runs[0].model}` : `${runs.length} traces compared`;
  const head = single ? [summaryOf(runs[0], context)] : [
    element("p", { class: "note" }, "What differs between the runs. Colours and scales are shared: equal colours are equal numbers."),
    factsTable(runs, { onlyDiffering: true })];
  const columns = element("div", { class: single ? "runs single" : "runs" }, ...runs.map((run) => runParts(run, context, single)));
  return [
    element("header", {}, element("h1", {}, title), ...head),
    controlBar(runs, data, context),
    metricSentence(context),
    columns,
    folded("How to read this page", readingGuide(data, context.guide)),
    folded("Prompt, model and settings", factsTable(runs, { onlyDiffering: false })),
  ];
}

function runParts(run, context, single) {
  const heading = (text, id) => element(context.heading, id ? { id } : {}, text);
  const name = single ? null
    : element("div", { class: "run-head" }, element("h2", {}, element("bdi", {}, run.name)), summaryOf(run, context));
  return element("article", { class: "run", "data-run": run.index, "aria-label": run.name },
    name,
    element("section", { class: "run-text" }, heading("Text"), textView(run, context).node, loopKey(run)),
    stepView(run, context).node,
    element("section", { class: "run-steps", id: run.id("steps"), tabindex: "-1" }, heading("Over the steps"), thinningNote(run),
      metricChart(run, context).node, signalChart(run, context).node),
    element("section", { class: "run-heads" }, heading("Heads"), headsTable(run, context).node));
}

function thinningNote(run) {
  const notes = [];
  if (run.measuredEvery > 1) notes.push(`The spectra were measured at every ${ordinal(run.measuredEvery)} step.`);
  if (run.thinning > 1) {
    const spectra = run.measuredEvery * Math.ceil(run.thinning / run.measuredEvery);
    const shown = spectra === run.thinning
      ? `numbers per head are shown at every ${ordinal(spectra)} step`
      : `of the numbers per head, spectra are shown at every ${ordinal(spectra)} step and rows at every ${ordinal(run.thinning)}`;
    notes.push(`To keep this page small, ${shown}; trace.parquet has all.`);
  }
  return notes.length === 0 ? null : element("p", { class: "note thinning" }, notes.join(" "));
}

/** Says what has been pinned to those who cannot see it. */
function announcer(runs, { store, guide }) {
  const node = element("p", { class: "unseen", role: "status" });
  store.onChange(["step", "layer", "head"], (state, change) => {
    if (change.has("all")) return;
    const entry = guide.get(state.metric);
    const parts = runs.filter((run) => run.has(state.metric)).map((run) => {
      const step = run.clip(state.step);
      const value = run.valueAt(state.metric, step, run.chosen(state));
      return `step ${step}, token ${showToken(run.tokens[step])}, ${entry.label} ${showNumber(value, run.resolution(state.metric))}`;
    });
    node.textContent = `Pinned: ${parts.join("; ")}`;
  });
  return node;
}

/** Theme, size and printing change what is drawn. */
function watchSurroundings(store) {
  const redraw = () => store.drawAll();
  dark.addEventListener("change", redraw);
  const bar = document.querySelector(".controls");
  new ResizeObserver(() => document.documentElement.style.setProperty("--bar-height", `${bar.offsetHeight}px`)).observe(bar);
  let width = document.documentElement.clientWidth;
  let waiting = 0;
  window.addEventListener("resize", () => {
    if (printing || document.documentElement.clientWidth === width) return;
    width = document.documentElement.clientWidth;
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 80);
  });
  let closed = [];
  window.addEventListener("beforeprint", () => {
    printing = true;
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const details of closed) details.open = true;
    document.documentElement.classList.add("printing");
    redraw();
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    for (const details of closed) details.open = false;
    document.documentElement.classList.remove("printing");
    redraw();
  });
}

start();
