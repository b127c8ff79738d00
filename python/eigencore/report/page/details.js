// What stands still: summaries, facts, the reading guide.

function summaryOf(run, context) {
  const loop = run.loop === null ? ["no loop at the end"] : loopSentence(run, context);
  return element("p", { class: "summary" },
    run.stopReason === "interrupted" ? element("strong", { class: "partial" }, "PARTIAL: interrupted") : null,
    element("span", {}, run.about),
    element("span", {}, `${counted(run.layers, "layer")} × ${counted(run.heads, "head")}`),
    element("span", {}, `${counted(run.promptTokens.length, "prompt token")}, ${run.steps} generated`),
    element("span", { class: "loop-sentence" }, ...loop));
}

function loopSentence(run, context) {
  const { first_copy_step: first, onset_step: onset, period, copies } = run.loop;
  const link = (label, part) => pageLink(label, run.id(part), (event) => {
    event.preventDefault();
    context.showLoop(run, part);
  });
  return [`ends in a loop of ${counted(period, "token")}, ${copies} complete copies: `, link(`first from step ${first}`, "loop-first"), ", ",
    link(`repeats from step ${onset}`, "loop-repeats"), " · ", pageLink("in the charts", run.id("steps"))];
}

function loopKey(run) {
  if (run.loop === null) return null;
  return element("p", { class: "note" }, "Underlined: the loop, ", element("span", { class: "loop" }, "solid"), " its first copy, ",
    element("span", { class: "loop loop-repeats" }, "dashed"), " the repeats, with a bar before each copy. ",
    pageLink("See it over the steps", run.id("steps")), ".");
}

/** Facts of all runs, one column each; with several runs, those that differ are marked, or only they are shown. */
function factsTable(runs, { onlyDiffering }) {
  const keys = new Map(runs.flatMap((run) => run.facts.map(([group, label]) => [`${group}\u0000${label}`, { group, label }])));
  const valueIn = (run, key) => run.facts.find(([group, label]) => group === key.group && label === key.label)?.[2] ?? "–";
  const bodies = new Map();
  for (const key of keys.values()) {
    const values = runs.map((run) => valueIn(run, key));
    const differs = values.some((value) => value !== values[0]);
    if (onlyDiffering && !differs) continue;
    if (!bodies.has(key.group)) bodies.set(key.group, []);
    bodies.get(key.group).push(element("tr", { class: differs ? "differs" : null },
      element("th", { scope: "row" }, differs && !onlyDiffering ? `${key.label} ≠` : key.label),
      ...values.map((value) => element("td", {}, element("bdi", {}, value)))));
  }
  const groups = [...bodies].map(([group, rows]) => element("tbody", {},
    element("tr", {}, element("th", { class: "fact-group", scope: "rowgroup", colspan: runs.length + 1 }, group)), ...rows));
  const names = runs.length === 1 ? null
    : element("thead", {}, element("tr", {}, element("td"), ...runs.map((run) => element("th", { scope: "col" }, element("bdi", {}, run.name)))));
  return element("div", { class: "scroller wide" }, element("table", { class: "facts" }, names, ...groups));
}

function readingGuide(data, guide) {
  const group = ([name, label]) => {
    const entries = [...guide.values()].filter((entry) => entry.group === name);
    if (entries.length === 0) return null;
    return element("section", {}, element("h3", {}, label), element("dl", { class: "guide" }, ...entries.flatMap((entry) => [
      element("dt", {}, labelWithUnit(entry)),
      element("dd", {}, entry.says, " ", element("span", { class: "says-not" }, notSaid(entry))),
    ])));
  };
  return element("div", {}, element("ul", { class: "truths" }, ...data.truths.map((truth) => element("li", {}, truth))),
    ...Object.entries(data.groups).map(group));
}

function notSaid(entry) {
  const first = entry.says_not[0].toLowerCase() + entry.says_not.slice(1);
  return `It does not say: ${first}`;
}

function folded(title, node, open = false) {
  return element("details", { open }, element("summary", {}, element("h2", {}, title)), node);
}
