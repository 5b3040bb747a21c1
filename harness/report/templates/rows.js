"use strict";
// The rows of one chart for the chosen cell: its scenario's series, unfolded from the page's one shared data set.
function chartRows(name, chosen, cells, series) {
  const STARTUP = ["import_s", "spawn_s", "build_s", "first_step_s"];
  const MARKERS = 10;
  const mates = cells.filter((cell) => cell.scenario === chosen.scenario);
  const recorded = mates.filter((cell) => series[cell.id]).map((cell) => ({ variant: cell.variant, ...series[cell.id] }));
  const finite = (value) => (typeof value === "number" ? value : null);
  const marked = (i, length) => i % Math.ceil(length / MARKERS) === 0;

  // Residuals come in hundredths of a decade; "0" is drawn below all others, "inf" above.
  function differences(stage) {
    const known = recorded.filter((cell) => (cell.stages || {})[stage]);
    const values = known.flatMap(({ stages }) => stages[stage].d.concat(stages[stage].t)).filter((value) => finite(value) !== null);
    const drawn = { 0: Math.min(...values, 0) / 100 - 0.5, inf: Math.max(...values, -1800) / 100 + 1 };
    const said = { 0: "exactly 0", inf: "infinite" };
    const place = (value) => (typeof value === "string" ? drawn[value] : value === null ? null : value / 100);
    return known.flatMap(({ variant, steps, stages }) => {
      const { d, t, over } = stages[stage];
      const tolerance = (i) => finite(Array.isArray(t) ? t[i] : t);
      return steps.map((step, i) => ({
        variant, step, shown: place(d[i]), tolerance: place(tolerance(i)),
        exact: said[d[i]] || (10 ** place(d[i])).toExponential(1),
        first: i === over, label: "first over tolerance: step " + step,
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
    return recorded.flatMap(({ variant, fit }) => ((fit || {}).x || []).map((x, i) => (
      { variant, step: x, shown: finite(fit.p[i]), tolerance: finite(fit.y[i]) })));
  }

  function phases() {
    return mates.flatMap(({ variant, phases: measured, mark }) => STARTUP.map((stage, i) => (
      { variant, stage: stage.slice(0, -2).replace("_", " "), step: i, shown: finite(measured[stage]), first: mark === "pass" }
    ))).filter(({ shown }) => shown !== null).map((row) => ({ ...row, exact: row.shown.toPrecision(3) + " s" }));
  }

  const others = { bits, curve: losses, fit: fits, phases };
  return others[name] ? others[name]() : differences(name);
}
