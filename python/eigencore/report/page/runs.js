// A run with its numbers: decoded once, aggregated when asked for, remembered.

const LEVELS = 65533;

function decodeMetric(packed, cells) {
  const bytes = Uint8Array.from(atob(packed.codes), (character) => character.charCodeAt(0));
  const codes = new DataView(bytes.buffer);
  const values = new Float64Array(bytes.length / 2);
  for (let i = 0; i < values.length; i += 1) {
    const code = codes.getUint16(2 * i, true);
    const share = code / (LEVELS - 1);
    if (code < LEVELS) values[i] = packed.low * (1 - share) + packed.high * share;
    else values[i] = [-Infinity, Infinity, NaN][code - LEVELS];
  }
  return { every: packed.every, count: values.length / cells, values, resolution: (packed.high - packed.low) / LEVELS };
}

function remembering(compute) {
  const known = new Map();
  return (...key) => {
    const name = key.join("|");
    if (!known.has(name)) known.set(name, compute(...key));
    return known.get(name);
  };
}

function openRun(run, index, guide) {
  const { layers, heads } = run;
  const cells = layers * heads;
  const isSignal = (name) => guide.get(name).group === "output";
  const metric = remembering((name) => decodeMetric(run.metrics[name], cells));

  /** The values of the heads meant (null: all of them), at the i-th step kept. */
  function valuesAt(name, i, layer, head) {
    const { values } = metric(name);
    const start = i * cells + (layer === null ? 0 : layer * heads) + (head === null ? 0 : head);
    const size = head !== null ? 1 : layer !== null ? heads : cells;
    return values.subarray(start, start + size);
  }

  /** Mean, least and most over the heads meant, at each step kept. */
  const series = remembering((name, layer, head) => {
    if (isSignal(name)) {
      const values = run.signals[name].map((x) => (x === null ? NaN : x));
      return { every: 1, steps: values.map((_, step) => step), mean: values, least: values, most: values };
    }
    const { every, count } = metric(name);
    const found = { every, steps: [], mean: [], least: [], most: [] };
    for (let i = 0; i < count; i += 1) {
      const values = valuesAt(name, i, layer, head);
      const { least, most } = leastAndMost(values);
      found.steps.push(i * every);
      found.mean.push(finiteMean(values));
      found.least.push(least);
      found.most.push(most);
    }
    return found;
  });

  const meansOverSteps = remembering((name) => {
    const { count, values } = metric(name);
    return Array.from({ length: cells }, (_, cell) =>
      finiteMean(Array.from({ length: count }, (_, i) => values[i * cells + cell])));
  });

  /** Where in the numbers kept a step is found: itself, or the last one before it. */
  function place(name, step) {
    const { every, count } = isSignal(name) ? { every: 1, count: run.tokens.length } : metric(name);
    const i = Math.min(Math.floor(step / every), count - 1);
    return { i, step: i * every };
  }

  return {
    ...run,
    index,
    steps: run.tokens.length,
    id: (part) => `run-${index}-${part}`,
    has: (name) => name in run.metrics || name in run.signals,
    clip: (step) => Math.max(0, Math.min(step, run.tokens.length - 1)),
    resolution: (name) => (isSignal(name) ? 0 : metric(name).resolution),
    every: (name) => (isSignal(name) ? 1 : run.metrics[name].every),
    place,
    series,
    meansOverSteps,
    valuesAt,
    allValues: (name) => metric(name).values,
    /** Which heads the choice means in this run; a layer or head that it does not have means all. */
    chosen({ layer, head }) {
      const inLayer = layer !== null && layer < layers ? layer : null;
      return { layer: inLayer, head: inLayer !== null && head !== null && head < heads ? head : null };
    },
    valueAt(name, step, { layer, head }) {
      return this.series(name, layer, head).mean[place(name, step).i];
    },
  };
}

function headsMeant({ layer, head }) {
  if (layer === null) return "mean over all heads";
  return head === null ? `mean over the heads of layer ${layer}` : `layer ${layer}, head ${head}`;
}

/** Ranges that all runs share, so that equal colours and heights are equal numbers. */
function openRanges(runs) {
  const having = (name) => runs.filter((run) => run.has(name));
  return {
    /** Of single heads over all steps: the middle 99 %, so that one stray value does not take all the colour. */
    heat: remembering((name) => {
      const all = having(name).flatMap((run) => {
        const values = run.allValues(name);
        const jump = Math.ceil(values.length / 40000);
        return Array.from(values).filter((x, i) => i % jump === 0 && Number.isFinite(x));
      });
      if (all.length === 0) return { low: 0, high: 1 };
      const sorted = Float64Array.from(all).sort();
      const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
      const [low, high] = at(0.005) < at(0.995) ? [at(0.005), at(0.995)] : [sorted[0], sorted.at(-1)];
      return { low, high, cutLow: low > sorted[0], cutHigh: high < sorted.at(-1) };
    }),
    text: remembering((name, layer, head) => {
      const means = having(name).flatMap((run) => {
        const chosen = run.chosen({ layer, head });
        return run.series(name, chosen.layer, chosen.head).mean.filter(Number.isFinite);
      });
      const { least, most } = leastAndMost(means);
      return means.length > 0 ? { low: least, high: most } : { low: 0, high: 1 };
    }),
    lines: remembering((name, layer, head) => {
      const ends = having(name).flatMap((run) => {
        const chosen = run.chosen({ layer, head });
        const band = run.series(name, chosen.layer, chosen.head);
        const layers = guideGroupIsOutput(name) ? [] : Array.from({ length: run.layers }, (_, l) => run.series(name, l, null).mean);
        return [band.least, band.most, ...layers].flat().filter(Number.isFinite);
      });
      const { least, most } = leastAndMost(ends);
      if (ends.length === 0) return [0, 1];
      const margin = (most - least || Math.abs(most) || 1) * 0.04;
      return [least - margin, most + margin];
    }),
  };

  function guideGroupIsOutput(name) {
    return having(name).every((run) => name in run.signals);
  }
}
