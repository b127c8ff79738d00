"""A trace as one offline HTML file."""

from __future__ import annotations

from html import escape
from string import Template
from typing import TYPE_CHECKING

from plotly.offline import get_plotlyjs

from eigencore.report.trace_figures import heat_map, metrics_over_steps, signals_over_steps
from eigencore.tracing.signals import SIGNAL_DESCRIPTIONS

if TYPE_CHECKING:
    from eigencore.tracing import Trace

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 0 auto; padding: 1rem; color: #222; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; } dd { margin: 0; overflow-wrap: anywhere; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #ccc; border-radius: 4px; padding: .8rem; }
.prompt { color: #767676; } mark { background: #fbdcc0; } .onset { border-left: 3px solid #e76f51; }
p.note { color: #555; font-size: .9rem; }
</style>
<script>$plotly</script>
</head>
<body>
<h1>$title</h1>
<dl>$facts</dl>
<h2>Text</h2>
<p class="note">$loop_sentence</p>
<div class="text" id="text"><span class="prompt">$prompt</span>$text</div>
<h2>Layers and heads, mean over steps</h2>
<div id="heat-map">$heat_map</div>
<h2>Steps, mean over heads</h2>
<p class="note">Spectral metrics are of the eigenvalues of the whole attention matrix so far, and drift with its size;
row metrics are of the newest row alone.</p>
<div id="over-steps">$over_steps</div>
<h2>Next-token distribution and text</h2>
<dl>$signal_facts</dl>
<div id="signals">$signals</div>
</body>
</html>
""")


def trace_page(trace: Trace) -> str:
    """The whole page as text: no request leaves it, and nothing in the model's text becomes markup."""
    figures = {
        "heat_map": heat_map(trace),
        "over_steps": metrics_over_steps(trace),
        "signals": signals_over_steps(trace),
    }
    parts = {
        name: figure.to_html(full_html=False, include_plotlyjs=False, config={"responsive": True, "displaylogo": False})
        for name, figure in figures.items()
    }
    return _PAGE.substitute(
        title=escape(f"Trace of {trace.model['name']}"),
        plotly=get_plotlyjs(),
        facts=_definitions(_facts(trace)),
        loop_sentence=escape(_loop_sentence(trace)),
        prompt=escape("".join(trace.prompt_tokens)),
        text=_marked_text(trace),
        signal_facts=_definitions(SIGNAL_DESCRIPTIONS),
        **parts,
    )


def _facts(trace: Trace) -> dict[str, str]:
    model, settings = trace.model, trace.settings
    overridden = ", ".join(f"{k} = {v}" for k, v in settings["overridden"].items()) or "nothing"
    return {
        "model": f"{model['name']} ({model['model_type']}, {model['num_parameters']:,} parameters)",
        "attention": f"{model['num_hidden_layers']} layers x {model['num_attention_heads']} heads",
        "computed": f"{model['dtype']} on {model['device']}, {model['attn_implementation']}",
        "tokens": f"{len(trace.prompt_tokens)} of the prompt, {trace.num_steps} generated",
        "seed": str(settings["seed"]),
        "overridden": f"{overridden} of the model's generation_config",
        "versions": ", ".join(f"{name} {version}" for name, version in trace.versions.items()),
    }


def _definitions(facts: dict[str, str]) -> str:
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())


def _loop_sentence(trace: Trace) -> str:
    if trace.loop is None:
        return "The text does not end in a loop."
    loop = trace.loop
    return (
        f"The text ends in a loop of {loop.period} tokens: the first copy starts at step {loop.first_copy_step}, "
        f"the second at step {loop.onset_step}; {loop.copies} complete copies."
    )


def _marked_text(trace: Trace) -> str:
    if trace.loop is None:
        return escape(trace.text)
    first, onset = trace.loop.first_copy_step, trace.loop.onset_step
    before, once, again = (
        "".join(part) for part in (trace.tokens[:first], trace.tokens[first:onset], trace.tokens[onset:])
    )
    return f'{escape(before)}<mark id="loop">{escape(once)}<span class="onset">{escape(again)}</span></mark>'
