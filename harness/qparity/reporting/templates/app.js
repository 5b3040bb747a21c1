"use strict";
// Links the server-rendered matrix to the charts: choose a cell by click, keyboard or deep link; theme; downloads.
(() => {
  const root = document.documentElement;
  const $ = (id) => document.getElementById(id);
  const read = (id) => JSON.parse($(id).textContent);
  const run = read("run-data"), series = read("series-data"), specs = read("spec-data"), palette = read("palette-data"), choices = read("choice-data");
  const cells = new Map(run.cells.map((cell) => [cell.id, cell]));
  const links = [...document.querySelectorAll("#matrix a[data-cell]")];
  const LONGEST_PRINTED = 60; // rows of a table that is unfolded for paper
  const lines = new Map(links.map((link) => [link.dataset.cell, link.title]));
  const views = {};
  const rows = (name) => (chosen ? chartRows(name, chosen, run.cells, series, run.growths) : []);
  const differing = ["loss", "forward", "gradient", "update"];
  const anchors = new Map(links.map((link) => [link.getAttribute("href"), link.dataset.cell]));
  const causeOf = new Map([...document.querySelectorAll(".cause")].flatMap((cause) =>
    [...cause.querySelectorAll("a")].map((link) => [anchors.get(link.getAttribute("href")), cause])));
  let chosen = null;
  root.classList.add("js");

  // Charts

  const dark = () => root.dataset.theme === "dark";

  function theme() {
    const ink = dark() ? "#e6e6e6" : "#1b1f24", faint = dark() ? "#3a3f46" : "#d8dde3";
    const axis = { labelColor: ink, titleColor: ink, gridColor: faint, domainColor: faint, tickColor: faint };
    return {
      background: "transparent", font: "system-ui, sans-serif", view: { stroke: null }, axis: axis,
      legend: { labelColor: ink, titleColor: ink, symbolFillColor: ink, symbolStrokeColor: ink }, range: { category: dark() ? palette.dark : palette.light },
    };
  }

  function signals(name, found) {
    const scale = differing.includes(name) ? decades(found) : { lo: 0, hi: 0 };
    const { labelColor: ink, gridColor: faint } = theme().axis;
    return { chosen: chosen ? chosen.variant : "", scenario: chosen ? chosen.scenario : "", alarm: dark() ? "#ff9d5c" : "#a84300", ink, faint, ...scale };
  }

  function mark(name, found) {
    const figure = $("chart-" + name).parentElement;
    figure.classList.toggle("empty", found.length === 0);
    figure.classList.toggle("over", found.some(({ first, label }) => first && label));
  }

  async function drawOne([name, spec]) {
    const found = rows(name), values = signals(name, found);
    mark(name, found);
    const params = spec.params.map((param) => ({ ...param, value: values[param.name] }));
    const full = { ...spec, params, datasets: { rows: found }, config: theme() };
    if (name === "ratios") full.height = 40 + 24 * new Set(found.map(({ scenario }) => scenario)).size;
    const actions = { export: true, source: false, compiled: false, editor: false };
    const options = { renderer: "svg", logLevel: 1, actions, tooltip: { theme: dark() ? "dark" : "light" } };
    if (views[name]) views[name].finalize();
    views[name] = (await window.vegaEmbed($("chart-" + name), full, options)).view;
  }

  async function draw() {
    const there = Object.entries(specs).filter(([name]) => $("chart-" + name));
    const drawn = await Promise.allSettled(there.map(drawOne));
    drawn.filter(({ reason }) => reason).forEach(({ reason }) => console.error(reason)); // the others still stand
    root.dataset.ready = "true";
  }

  function refresh() {
    return Promise.all(Object.entries(views).filter(([name]) => name !== "ratios" && !name.startsWith("growth-")).map(([name, view]) => {
      const found = rows(name);
      mark(name, found);
      Object.entries(signals(name, found)).forEach(([signal, value]) => view.signal(signal, value));
      return view.data("rows", found).runAsync();
    }));
  }

  // Which variant for so many steps: the ranges come with the page, the number from its reader

  function total(cell, steps) {
    const seconds = cell.timing.start_s + steps * cell.step_s;
    return seconds < 100 ? seconds.toPrecision(2) + " s" : seconds < 6000 ? (seconds / 60).toFixed(0) + " min" : (seconds / 3600).toFixed(1) + " h";
  }

  function decide() {
    const steps = Math.floor($("steps").valueAsNumber), set = choices[$("which-scenario") ? $("which-scenario").value : 0];
    if (!(steps >= 1)) { $("answer").textContent = "Give a number of steps, 1 or more."; return; }
    const [, said, one] = set.answers.filter(([start]) => start <= steps).pop(), about = document.createElement("b");
    about.textContent = one || said;
    const times = set.scenarios.length > 1 ? [] : run.cells.filter((cell) => cell.scenario === set.scenarios[0] && cell.timing && cell.mark === "pass");
    const estimated = times.sort((a, b) => a.timing.start_s + steps * a.step_s - b.timing.start_s - steps * b.step_s).map((cell) => cell.variant + " " + total(cell, steps));
    $("answer").replaceChildren(about, (one ? " is the fastest of those that are right" : "") + (estimated.length ? "; about " + estimated.join(", ") : "") + ".");
    $("ranges").textContent = $("which-scenario") ? $("which-scenario").selectedOptions[0].textContent + ": " + set.ranges.join("; ") + "." : $("ranges").textContent;
  }

  // Choosing a cell

  function describe(cell) {
    $("chosen-name").textContent = cell.scenario + " · " + cell.variant;
    $("chosen-line").textContent = lines.get(cell.id);
    const facts = {
      expected: cell.expected === "ROUNDING" ? null : cell.expected,
      "largest r": cell.r === null ? null : cell.r.toPrecision(3),
      "right bits": Object.entries(cell.right_bits).map(([stage, bits]) => stage + " " + bits).join(", ") + (Object.keys(cell.right_bits).length ? " of " + cell.digits : ""),
      note: cell.annotations.join("; "), log: cell.log,
      script: cell.mark === "expected" ? "qparity reproduce " + run.run + " " + cell.scenario + "/" + cell.variant : null,
    };
    $("why").hidden = !whyOf(cell);
    $("why").firstChild.href = "#" + (whyOf(cell) || "problems");
    $("again").hidden = !cell.reproduce;
    $("again").querySelector("code").textContent = cell.reproduce || "";
    for (const place of document.querySelectorAll(".chosen-scenario")) place.textContent = cell.scenario;
    $("chosen-facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value).map(([key, value]) => {
      const pair = document.createElement("div");
      pair.append(document.createElement("dt"), document.createElement("dd"));
      [pair.firstChild.textContent, pair.lastChild.textContent] = [key, value];
      return pair;
    }));
  }

  // Where a red cell is explained: by itself, or with others like it.
  function whyOf(cell) {
    if (cell.mark !== "fail" && cell.mark !== "error") return null;
    return ($("why-" + cell.id) || causeOf.get(cell.id) || { id: null }).id;
  }

  function openAt(hash) {
    for (let part = $(hash.slice(1)); part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  }

  function choose(link) {
    chosen = cells.get(link.dataset.cell);
    for (const other of links) {
      other.tabIndex = other === link ? 0 : -1;
      other.toggleAttribute("aria-current", other === link);
    }
    $("detail").dataset.cell = chosen.scenario + "/" + chosen.variant;
    describe(chosen);
    if (root.dataset.ready) refresh();
  }

  const decoded = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
  const linked = () => links.find((link) => decoded(link.getAttribute("href")) === decoded(location.hash));

  function go(link) {
    if (!link) return;
    history.replaceState(null, "", link.getAttribute("href"));
    link.focus();
    choose(link);
  }

  // The cells as they stand on the page, row by row: sorted, and without those that are not shown.
  const shownRows = () => [...body.rows].filter((row) => !row.hidden).map((row) => [...row.querySelectorAll("a")]).filter(({ length }) => length);
  const column = (link) => Number(link.dataset.column);

  function move(rowStep, columnStep) {
    const here = links.find((link) => link.tabIndex === 0), shown = shownRows(), at = shown.findIndex((row) => row.includes(here));
    if (at < 0) return;
    if (!rowStep) {
      const beside = shown[at].filter((link) => (column(link) - column(here)) * columnStep > 0);
      return go(columnStep > 0 ? beside[0] : beside[beside.length - 1]);
    }
    const ahead = rowStep > 0 ? shown.slice(at + 1) : shown.slice(0, at).reverse();
    go(ahead.flat().find((link) => column(link) === column(here)));
  }

  function nextFailure() {
    const shown = shownRows().flat(), here = shown.findIndex((link) => link.tabIndex === 0);
    const order = [...shown.slice(here + 1), ...shown.slice(0, here + 1)];
    go(order.find((link) => !cells.get(link.dataset.cell).as_expected));
  }

  // Searching, sorting, grouping

  const body = document.querySelector("#matrix tbody"), scenarios = [...body.rows], MANY = 60;
  const orders = {
    "": () => 0,
    rank: (a, b) => a.dataset.rank - b.dataset.rank,
    lost: (a, b) => b.dataset.lost - a.dataset.lost,
    name: (a, b) => a.cells[0].textContent.localeCompare(b.cells[0].textContent, undefined, { numeric: true }),
  };

  function heading(label, count) {
    const row = document.createElement("tr"), cell = document.createElement("th");
    row.className = "group";
    Object.assign(cell, { scope: "colgroup", colSpan: 1 + scenarios[0].cells.length, textContent: label + ": " + count + (count === 1 ? " scenario" : " scenarios") });
    row.append(cell);
    return row;
  }

  function arrange() {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean), by = $("group").value;
    for (const row of scenarios) {
      row.hidden = !words.every((word) => row.dataset.text.includes(word)) || ($("only-odd").checked && !row.classList.contains("odd"));
    }
    const sorted = [...scenarios].sort(orders[$("sort").value]), groups = new Map();
    for (const row of sorted) groups.set(row.dataset[by], [...(groups.get(row.dataset[by]) || []), row]);
    body.replaceChildren(...[...groups].flatMap(([label, rows]) => {
      const count = rows.filter((row) => !row.hidden).length;
      return by && count ? [heading(label, count), ...rows] : rows;
    }));
    const count = scenarios.filter((row) => !row.hidden).length;
    $("shown").textContent = count < scenarios.length ? count + " of " + scenarios.length + " scenarios" : "";
    $("matrix").classList.toggle("dense", $("dense").checked);
    $("split").classList.toggle("dense", $("dense").checked);
  }

  function toggleTheme() {
    root.dataset.theme = dark() ? "light" : "dark";
    draw();
  }

  function download() {
    const blob = new Blob([$("run-data").textContent], { type: "application/json" });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: "qparity-" + run.run + ".json" });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  async function copy(event) {
    const code = event.target.parentElement.querySelector("code, pre"), range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    const done = document.execCommand("copy"); // also without the permission that navigator.clipboard asks for
    event.target.textContent = done ? "copied" : "press Ctrl-C";
    setTimeout(() => { event.target.textContent = "copy"; }, 1500);
  }

  const keys = { n: nextFailure, d: toggleTheme };
  const arrows = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    if (keys[event.key]) keys[event.key]();
    if (arrows[event.key] && document.activeElement.closest("#matrix")) {
      event.preventDefault();
      move(...arrows[event.key]);
    }
  });
  for (const link of links) link.addEventListener("click", (event) => { event.preventDefault(); go(link); });
  window.addEventListener("hashchange", () => { const link = linked(); if (link) choose(link); else openAt(decoded(location.hash)); });
  window.addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("#speed details")) part.open = part.open || part.querySelectorAll("tr").length <= LONGEST_PRINTED; });
  $("tools").addEventListener("input", arrange);
  $("tools").addEventListener("submit", (event) => event.preventDefault());
  for (const link of links) link.title = link.closest("tr").cells[0].textContent + " · " + cells.get(link.dataset.cell).variant + ": " + link.title;
  $("theme").addEventListener("click", toggleTheme);
  if ($("choose")) {
    $("choose").addEventListener("input", decide);
    $("choose").addEventListener("submit", (event) => event.preventDefault());
    decide();
  }
  for (const button of document.querySelectorAll("button[data-copy]")) button.addEventListener("click", copy);
  $("json").addEventListener("click", download);

  root.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const odd = (link) => !cells.get(link.dataset.cell).as_expected, told = (link) => cells.get(link.dataset.cell).mark === "expected";
  const start = linked() || links.find(odd) || links.find(told) || links[0];
  $("dense").checked = scenarios.length > MANY;
  arrange();
  if (start) choose(start);
  draw();
})();
