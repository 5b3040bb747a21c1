"use strict";
// The rows of a chart for the chosen cell, unfolded from the page's one shared data set.
function chartRows(name, chosen, cells, series, growths) {
  const STARTUP = ["import_s", "spawn_s", "build_s", "first_step_s"];
  const MARKERS = 10, MOST_SCENARIOS = 40, MOST_POINTS = 2000;
  const mates = cells.filter((cell) => cell.scenario === chosen.scenario);
  const recorded = mates.filter((cell) => series[cell.id]).map((cell) => ({ variant: cell.variant, ...series[cell.id] }));
  const finite = (value) => (typeof value === "number" ? value : null);
  const known = (value) => typeof value === "number";
  const marked = (i, length) => i % Math.ceil(length / MARKERS) === 0;
  const si = (value) => (value >= 1 ? value.toPrecision(3) + " s" : value >= 1e-3 ? (value * 1e3).toPrecision(3) + " ms" : (value * 1e6).toPrecision(3) + " µs");
  const ruling = (found) => (found.find(({ variant }) => variant === chosen.variant) || found[0] || {}).variant;

  // Residuals come in hundredths of a decade; "0" is drawn below all others, "inf" above.
  function differences(stage) {
    const curves = recorded.filter((cell) => (cell.stages || {})[stage]);
    const allowed = ({ t, more }, i) => (more ? (known(more[i]) ? t + more[i] : more[i]) : t);
    const values = curves.flatMap(({ stages }) => stages[stage].d.flatMap((value, i) => [value, allowed(stages[stage], i)])).filter(known);
    const drawn = { 0: Math.min(...values, 0) / 100 - 0.5, inf: Math.max(...values, -1800) / 100 + 1 };
    const said = { 0: "exactly 0", inf: "infinite" };
    const place = (value) => (typeof value === "string" ? drawn[value] : value === null ? null : value / 100);
    return curves.flatMap(({ variant, steps, stages }) => {
      const { d, over } = stages[stage];
      return steps.map((step, i) => ({
        variant, step, shown: place(d[i]), tolerance: place(finite(allowed(stages[stage], i))),
        exact: said[d[i]] || (10 ** place(d[i])).toExponential(1), ruler: variant === ruling(curves),
        first: i === over && variant === chosen.variant, label: "first over: step " + step, late: i > steps.length / 2,
        marked: marked(i, steps.length) || i === over,
      }));
    });
  }

  function bits() {
    const { steps, stages } = series[chosen.id] || {};
    return Object.entries(stages || {}).flatMap(([stage, curve]) =>
      steps.map((step, i) => ({ stage, step, shown: finite(curve.b[i]) })));
  }

  function losses() {
    return recorded.flatMap(({ variant, steps, loss }) => (loss || []).map((value, i) => (
      { variant, step: steps[i], shown: finite(value), exact: String(value), marked: marked(i, loss.length) })));
  }

  function fits() {
    const curves = recorded.filter(({ fit }) => fit);
    return curves.flatMap(({ variant, fit: { of, p, ...own } }) => {
      const { x, y } = of ? series[of].fit : own;
      return x.map((at, i) => ({ variant, step: at, shown: finite(p[i]), tolerance: finite(y[i]), ruler: variant === ruling(curves) }));
    });
  }

  function phases() {
    return mates.flatMap(({ variant, phases: measured, mark }) => STARTUP.map((stage, i) => (
      { variant, stage: stage.slice(0, -2).replace("_", " "), step: i, shown: finite(measured[stage]), earned: mark === "pass" }
    ))).filter(({ shown }) => shown !== null).map((row) => ({ ...row, exact: si(row.shown) }));
  }

  function memory() {
    return mates.filter((cell) => known(cell.peak_bytes)).flatMap(({ variant, peak_bytes: peak, baseline_bytes: base, mark }) =>
      [["process", base || 0], ["model and training", Math.max(0, peak - (base || 0))]].map(([stage, bytes], i) => (
        { variant, stage, step: i, shown: bytes / 1e6, exact: (bytes / 1e6).toFixed(0) + " MB", earned: mark === "pass" })));
  }

  // Start and steady steps, up to ten times the last break-even; and the break-even points themselves.
  function totals() {
    const lanes = mates.filter((cell) => cell.timing && cell.mark !== "fail" && cell.mark !== "error");
    if (lanes.length < 2) return [];
    const at = (cell, n) => cell.timing.start_s + n * cell.step_s;
    const even = lanes.filter(({ timing }) => timing.break_even && timing.break_even[1] >= 1);
    const last = Math.max(1000, ...even.map(({ timing }) => timing.break_even[1] * 10));
    const counts = Array.from({ length: 41 }, (_, i) => last ** (i / 40));
    const line = (cell) => counts.map((n) => ({ variant: cell.variant, step: n, shown: at(cell, n), first: false }));
    const said = ({ timing: { break_even: [low, step, high], reference } }) => "with " + reference + " after " + Math.ceil(step)
      + " steps [" + (low === null ? "?" : Math.floor(low)) + ", " + (high === null ? "never" : Math.ceil(high)) + "]";
    return lanes.flatMap(line).concat(even.map((cell) => (
      { variant: cell.variant, step: cell.timing.break_even[1], shown: at(cell, cell.timing.break_even[1]), first: true, exact: said(cell) })));
  }

  function limits() {
    return mates.filter((cell) => cell.limit_s && cell.step_s && cell.mark !== "fail").map((cell) => (
      { variant: cell.variant, shown: cell.step_s / cell.limit_s, tolerance: 1, exact: si(cell.step_s) + ", " + si(cell.limit_s) }));
  }

  // As summary/speeds.py says it: 22x faster is 1/22 of the reference's time.
  function times({ ratio, ratio_low, ratio_high, reference, speed }) {
    const three = (value) => (known(value) ? String(Number(value.toPrecision(3))) : "∞");
    if (speed === "not resolved") return "cannot tell from " + reference + " [" + three(ratio_low) + "× to " + three(ratio_high) + "× its time]";
    const [low, middle, high] = speed === "faster" ? [1 / ratio_high, 1 / ratio, 1 / ratio_low] : [ratio_low, ratio, ratio_high];
    return three(middle) + "× " + speed + " than " + reference + " [" + three(low) + ", " + three(high) + "]";
  }

  function ratios() {
    const timed = cells.filter((cell) => cell.timing && cell.timing.ratio);
    const rows = [...new Set(timed.map((cell) => cell.scenario))].slice(0, MOST_SCENARIOS);
    return timed.filter((cell) => rows.includes(cell.scenario)).map(({ scenario, variant, mark, timing }) => ({
      scenario, variant, shown: timing.ratio, low: timing.ratio_low, high: timing.ratio_high, earned: mark === "pass",
      exact: times(timing) + (timing.unstable ? ", not to be relied on" : ""),
    }));
  }

  function pareto() {
    return cells.filter((cell) => cell.step_s && (cell.mark === "pass" || cell.mark === "expected") && known(cell.bits)).slice(0, MOST_POINTS).map((cell) => (
      { scenario: cell.scenario, variant: cell.variant, step: cell.step_s, shown: cell.bits, exact: si(cell.step_s) }
    )).sort((a, b) => (a.scenario === chosen.scenario) - (b.scenario === chosen.scenario));
  }

  // Measured times, and two ends of the fitted line: least squares goes through the mean of the logarithms.
  function growth(axis) {
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const work = (size) => (axis === "wires" ? size * Math.log(2) : Math.log(size));
    return growths.filter((found) => found.axis.replace(" ", "-") === axis).flatMap(({ group, variant, sizes, step_s: times, exponent, told }) => {
      const at = (size) => Math.exp(mean(times.map(Math.log)) + exponent * (work(size) - mean(sizes.map(work))));
      const exact = told ? "exponent " + exponent.toFixed(2) : "exponent: cannot tell";
      const line = (told ? [sizes[0], sizes[sizes.length - 1]] : []).map((size) => ({ scenario: group, variant, step: size, shown: at(size), first: false }));
      return line.concat(sizes.map((size, i) => ({ scenario: group, variant, step: size, shown: times[i], first: true, exact: si(times[i]) + ", " + exact })));
    });
  }

  if (name.startsWith("growth-")) return growth(name.slice(7));
  const others = { bits, curve: losses, fit: fits, phases, memory, total: totals, limit: limits, ratios, pareto };
  return others[name] ? others[name]() : differences(name);
}

// The whole decades that hold every row of a logarithmic chart.
function decades(rows) {
  const values = rows.flatMap(({ shown, tolerance }) => [shown, tolerance]).filter((value) => typeof value === "number");
  const lo = Math.floor(Math.min(...values, Infinity)), hi = Math.ceil(Math.max(...values, -Infinity) + 0.01);
  return values.length ? { lo: Math.min(lo, hi - 2), hi } : { lo: -16, hi: -14 };
}
