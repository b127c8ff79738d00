// All heads in one table that sorts by any column; a row chooses its head.

const TABLE_METRICS = ["effective_rank", "singular.effective_rank", "row_entropy", "row_participation", "max_weight", "sink_weight",
  "self_weight", "logit_std"];

function headsTable(run, context) {
  const { store, guide } = context;
  const means = TABLE_METRICS.filter((name) => name in run.metrics);
  let sorting = { column: 0, down: false };
  let rows = [];
  const caption = element("caption", { class: "note" });
  const head = element("tr", { role: "row" });
  const body = element("tbody", { role: "rowgroup" });
  const table = element("table", { class: "numbers heads", role: "grid", "aria-label": `Heads of ${run.name}` }, caption,
    element("thead", { role: "rowgroup" }, head), body);

  function columns({ headMetric, step }) {
    const plain = (label, cell) => ({ label, value: cell, show: String });
    const mean = (name) => {
      const values = run.meansOverSteps(name);
      return { label: guide.get(name).label, unit: guide.get(name).unit, metric: name, value: (i) => values[i],
        show: (x) => showNumber(x, run.resolution(name)) };
    };
    const found = [plain("Layer", (i) => Math.floor(i / run.heads)), plain("Head", (i) => i % run.heads), ...means.map(mean)];
    if (!run.has(headMetric)) return found;
    const at = run.place(headMetric, run.clip(step));
    const values = run.valuesAt(headMetric, at.i, null, null);
    const chosen = { label: `${guide.get(headMetric).label} at step ${at.step}`, unit: guide.get(headMetric).unit, metric: "chosen",
      value: (i) => values[i], show: (x) => showNumber(x, run.resolution(headMetric)) };
    return [...found, chosen];
  }

  function draw(state) {
    const shown = columns(state);
    sorting.column = Math.min(sorting.column, shown.length - 1);
    drawHead(shown);
    rows = sorted(run.layers * run.heads, shown[sorting.column].value, sorting.down).map((i) => rowOf(i, shown));
    body.replaceChildren(...rows.map((row) => row.node));
    markChosen(state);
    caption.textContent = "Means over steps; the last column is of the pinned step. A row chooses its head.";
    table.dataset.step = run.clip(state.step);
  }

  function drawHead(shown) {
    head.replaceChildren(...shown.map((column, i) => {
      const direction = i !== sorting.column ? "none" : sorting.down ? "descending" : "ascending";
      const sort = () => {
        sorting = { column: i, down: i === sorting.column ? !sorting.down : i >= 2 };
        draw(store.state);
        head.children[i].querySelector("button").focus();
      };
      const unit = column.unit ? element("span", { class: "unit" }, ` ${column.unit}`) : null;
      return element("th", { scope: "col", role: "columnheader", "aria-sort": direction, "data-metric": column.metric },
        element("button", { type: "button", click: sort }, column.label, unit));
    }));
  }

  function rowOf(i, shown) {
    const layer = Math.floor(i / run.heads);
    const number = i % run.heads;
    const node = element("tr", { role: "row", tabindex: "-1", "data-layer": layer, "data-head": number },
      ...shown.map((column) => element("td", { role: "gridcell" }, column.show(column.value(i)))));
    return { node, layer, number };
  }

  function markChosen({ layer, head: number }) {
    const chosen = run.chosen({ layer, head: number });
    for (const row of rows) {
      const on = row.layer === chosen.layer && (chosen.head === null || row.number === chosen.head);
      row.node.setAttribute("aria-selected", String(on));
    }
    const first = rows.find((row) => row.node.getAttribute("aria-selected") === "true") ?? rows[0];
    for (const row of rows) row.node.tabIndex = row === first ? 0 : -1;
  }

  function choose(node) {
    const [layer, number] = [Number(node.dataset.layer), Number(node.dataset.head)];
    const same = store.state.layer === layer && store.state.head === number;
    store.set(same ? { layer: null, head: null } : { layer, head: number });
  }

  body.addEventListener("click", (event) => choose(event.target.closest("tr")));
  body.addEventListener("keydown", (event) => {
    const at = rows.findIndex((row) => row.node === event.target);
    const goal = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (at < 0) return;
    if (event.key === "Enter" || event.key === " ") choose(event.target);
    else if (goal !== undefined) focusRow(Math.max(0, Math.min(goal, rows.length - 1)));
    else return;
    event.preventDefault();
  });

  function focusRow(i) {
    for (const row of rows) row.node.tabIndex = -1;
    rows[i].node.tabIndex = 0;
    rows[i].node.focus();
  }

  /** Another step changes the last column alone, unless the rows are in its order. */
  function drawStep(state) {
    const shown = columns(state);
    const last = shown.length - 1;
    if (!run.has(state.headMetric) || sorting.column === last) return draw(state);
    head.children[last].querySelector("button").firstChild.data = shown[last].label;
    for (const { node, layer, number } of rows) {
      node.lastChild.textContent = shown[last].show(shown[last].value(layer * run.heads + number));
    }
    table.dataset.step = run.clip(state.step);
  }

  store.onChange(["headMetric", "step"], (state, change) => {
    if (change.has("all") || change.has("headMetric")) draw(state);
    else drawStep(state);
  });
  store.onChange(["layer", "head"], markChosen);
  return { node: element("div", { class: "scroller" }, table) };
}

/** Indices in the order of their values; what is no number comes last either way. */
function sorted(count, value, down) {
  const compare = (a, b) => (a === b ? 0 : a < b ? -1 : 1);
  return Array.from({ length: count }, (_, i) => i).sort((i, j) => {
    const [a, b] = [value(i), value(j)];
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return (down ? -1 : 1) * compare(a, b) || i - j;
  });
}
