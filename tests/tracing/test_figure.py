"""trace.plot against the numbers of the trace."""

import numpy as np
import pytest

from eigencore.errors import InputError, UnknownMetricError
from tests.synthetic_trace import HEADS, LAYERS, synthetic_trace


@pytest.fixture(scope="module")
def trace():
    return synthetic_trace()


def test_plot_draws_the_mean_over_heads_of_each_layer(trace):
    figure = trace.plot("condition_number")
    values = trace.metrics["condition_number"]
    assert [line.name for line in figure.data] == [f"layer {i}" for i in range(LAYERS)]
    for layer, line in enumerate(figure.data):
        expected = np.ma.masked_invalid(values[:, layer]).mean(-1).filled(np.nan)
        np.testing.assert_array_equal(line.x, np.arange(0, trace.num_steps, trace.settings["every"]))
        np.testing.assert_allclose(line.y, expected[line.x])
    assert "condition_number" in figure.layout.title.text
    assert "<model>" not in figure.layout.title.text


def test_plot_of_one_layer_has_the_range_over_its_heads(trace):
    band, line = trace.plot("singular.stable_rank", layer=1).data
    values = trace.singular_metrics["stable_rank"][:, 1]
    assert values.shape[1] == HEADS
    measured = np.arange(0, trace.num_steps, 2)
    np.testing.assert_array_equal(band.x, np.concatenate((measured, measured[::-1])))
    np.testing.assert_allclose(band.y, np.concatenate((values.max(-1)[::2], values.min(-1)[::2][::-1])))
    assert line.name == "layer 1"


def test_plot_shades_the_loop(trace):
    shade, onset = trace.plot().layout.shapes
    assert (shade.x0, shade.x1) == (trace.loop.first_copy_step, trace.num_steps - 1)
    assert onset.x0 == trace.loop.onset_step
    assert not synthetic_trace(loop=False).plot().layout.shapes


def test_plot_draws_a_signal_and_escapes_the_tokens(trace):
    (line,) = trace.plot("margin").data
    np.testing.assert_array_equal(line.y, trace.signals["margin"])
    assert not any("<" in text for text in line.customdata)


def test_plot_names_what_is_not_there(trace):
    with pytest.raises(UnknownMetricError, match=r"'entropy'.*spectral_entropy.*margin"):
        trace.plot("entropy")
    with pytest.raises(InputError, match="layer 2 is not among the 2 layers"):
        trace.plot("self_weight", layer=2)
    with pytest.raises(InputError, match="layer '1'"):
        trace.plot("self_weight", layer="1")
    with pytest.raises(InputError, match="layer=0"):
        trace.plot("margin", layer=0)
