"""What results show in a notebook."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import eigencore as ec
from eigencore.metrics.notebook import histogram, sparkline
from tests.synthetic_trace import synthetic_trace

SVG = "{http://www.w3.org/2000/svg}"


def test_spectral_metrics_show_a_row_and_a_histogram_for_each_metric():
    a = np.random.default_rng(0).dirichlet(np.ones(12), size=(3, 4, 12))
    a[1, 2, 0] = np.nan
    metrics = ec.batch_metrics(a, spectrum="singular")
    table = ET.fromstring(metrics._repr_html_())
    assert table.findtext("caption") == "<SpectralMetrics of singular spectra: shape (3, 4), 11 metrics, 1 failed>"
    names = [row.findtext("td") for row in table.iter("tr") if row.find("td") is not None]
    assert names == [name for name in metrics.metric_names if name != "phi_proximity"]
    assert len(list(table.iter(f"{SVG}svg"))) == len(names)
    mean = next(row for row in table.iter("tr") if row.findtext("td") == "effective_rank").findall("td")[1].text
    assert mean == f"{np.nanmean(metrics.effective_rank):.4g}"


def test_a_trace_shows_its_metrics_over_steps_and_its_loop():
    trace = synthetic_trace()
    table = ET.fromstring(trace._repr_html_())
    assert "synthetic <model> & co" in table.findtext("caption")
    assert len(list(table.iter(f"{SVG}svg"))) == len(list(table.iter(f"{SVG}rect"))) == 8
    assert not list(ET.fromstring(synthetic_trace(loop=False)._repr_html_()).iter(f"{SVG}rect"))


@pytest.mark.parametrize(
    ("values", "points"), [([1, 2, 3], 3), ([1, np.nan, 3, np.inf, 4], 3), ([2.0], 1), ([5, 5], 2), ([np.nan], 0)]
)
def test_a_sparkline_goes_through_the_values_that_are_finite(values, points):
    path = ET.fromstring(sparkline(np.array(values, float))).find(f"{SVG}path")
    drawn = "" if path is None else path.get("d")
    assert drawn.count("M") + drawn.count("L") == points
    assert "nan" not in drawn


def test_a_sparkline_rises_with_its_values():
    path = ET.fromstring(sparkline(np.array([1.0, 5.0, 3.0]))).find(f"{SVG}path").get("d")
    heights = [float(point.split("h")[0].split()[1]) for point in path.replace("M", "L").split("L")[1:]]
    assert heights[1] < heights[2] < heights[0]  # SVG counts downwards


def test_a_histogram_has_bars_whose_heights_are_the_counts():
    svg = ET.fromstring(histogram(np.array([[0.0, 0.0], [0.0, 1.0], [np.nan, np.inf]])))
    heights = [float(bar.get("height")) for bar in svg.iter(f"{SVG}rect")]
    assert len(heights) == 2
    assert heights[0] == pytest.approx(3 * heights[1], rel=0.05)
    assert not list(ET.fromstring(histogram(np.full(3, np.nan))))


@pytest.mark.parametrize(
    "values",
    [np.array([1.0, np.nextafter(1.0, 2.0)]), np.array([-1.7e308, 1.7e308, 0.0]), np.array([0.0, 5e-324]), np.zeros(4)],
)
def test_figures_of_values_that_hardly_or_hugely_differ(values):
    for figure in (histogram(values), sparkline(values)):
        assert "nan" not in figure
        assert list(ET.fromstring(figure))


def test_a_batch_of_permutations_shows_itself():
    permutations = np.eye(6)[np.array([np.random.default_rng(i).permutation(6) for i in range(5)])]
    for spectrum in ("eigen", "singular"):
        assert ec.batch_metrics(permutations, spectrum=spectrum)._repr_html_()
