// What the reader has chosen. Views are told once per frame which of it has changed.

function openStore(state) {
  const views = [];
  let changed = new Set();
  let asked = false;

  function draw() {
    asked = false;
    const now = changed;
    changed = new Set();
    for (const view of views) view(state, now);
  }

  return {
    state,
    set(choice) {
      for (const [key, value] of Object.entries(choice)) {
        if (state[key] === value) continue;
        state[key] = value;
        changed.add(key);
      }
      if (changed.size > 0 && !asked) {
        asked = true;
        requestAnimationFrame(draw);
      }
    },
    /** As if all had changed: at the start, and when theme or size did. */
    drawAll() {
      for (const key of Object.keys(state)) changed.add(key);
      changed.add("all");
      draw();
    },
    onChange(keys, view) {
      views.push((now, change) => {
        if (change.has("all") || keys.some((key) => change.has(key))) view(now, change);
      });
    },
  };
}
