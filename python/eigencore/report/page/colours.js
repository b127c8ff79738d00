// One scale of colours: the stronger against the page, the higher, in the light as in the dark.

const SCALE = ["#dff3e4", "#8bdab2", "#40b7ad", "#348fa7", "#37659e", "#413d7b", "#2e1e3b"].map((hex) =>
  [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));

const dark = window.matchMedia("(prefers-color-scheme: dark)");
let printing = false;

function palette() {
  const inTheDark = dark.matches && !printing;
  const scale = inTheDark ? [...SCALE].reverse() : SCALE;
  // Behind text only so much of the scale that one ink, black or white, is legible on all of it.
  const quiet = inTheDark ? 0.4 : 0.55;
  const style = getComputedStyle(document.documentElement);
  const named = (name) => style.getPropertyValue(`--${name}`).trim();
  const at = (share) => {
    const place = Math.max(0, Math.min(1, share)) * (scale.length - 1);
    const i = Math.min(Math.floor(place), scale.length - 2);
    return scale[i].map((part, channel) => Math.round(part + (scale[i + 1][channel] - part) * (place - i)));
  };
  const css = (rgb) => `rgb(${rgb.join(",")})`;
  return {
    stops: scale.map(css),
    forPlotly: scale.map((rgb, i) => [i / (scale.length - 1), css(rgb)]),
    textStops: [0, 0.25, 0.5, 0.75, 1].map((share) => css(at(quiet * share))),
    background: (share) => css(at(quiet * share)),
    ink: (share) => (luminance(at(quiet * share)) > 0.179 ? "#000" : "#fff"),
    /** Of a layer's line: the end of the scale that fades into the page is left out. */
    layer: (layer, layers) => css(at(0.25 + (0.7 * layer) / Math.max(layers - 1, 1))),
    text: named("text"),
    muted: named("muted"),
    rule: named("rule"),
    page: named("page"),
    missing: named("missing"),
    accent: named("accent"),
    band: named("band"),
    loop: named("loop"),
    loopShade: named("loop-shade"),
  };
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((part) => {
    const c = part / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Where a value stands in a range, 0 to 1; NaN for what is no number. */
function shareOf(x, { low, high }) {
  if (Number.isNaN(x)) return NaN;
  if (!Number.isFinite(x)) return x > 0 ? 1 : 0;
  return high > low ? Math.max(0, Math.min(1, (x - low) / (high - low))) : 0.5;
}
