"use strict";
// The page asks for numbers and draws them, clips with clips.js. What is on display is in the address, so that a link
// restores it.
const SECTIONS = { found: "Found", missed: "Missed", mistaken: "False alarms" };
const $ = id => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const names = new Intl.Collator("en", { numeric: true });
let all = null;  // the answer to api/overview
let order = [];  // the classes in the list
let listed = ""; // what the list was made for
let asked = 0;   // answers to earlier questions are dropped

// The address: class and clip on display, runs, order and filter of the list.
const state = () => {
  const query = new URLSearchParams(location.search);
  const [run, against] = ["run", "against"].map((key, i) => {
    const r = Number(query.get(key) ?? all.first[i]);
    return Number.isInteger(r) && r >= 0 && r < all.runs.length ? r : all.first[i];
  });
  return {
    name: query.get("class"), clip: query.get("clip"), run, against,
    sort: query.get("sort") ?? (all.runs.length > 1 ? "difference" : "AP"), up: query.get("up") === "1", find: query.get("find") ?? "",
  };
};

function address(changes) {
  const query = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(key); else query.set(key, value);
  }
  const text = query.toString();
  return text ? `?${text}` : location.pathname;
}

function go(changes) {
  history.pushState(null, "", address(changes));
  show();
}

function relist(changes) {
  history.replaceState(null, "", address(changes));
  list(state());
}

async function ask(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

const AP = (run, k) => all.runs[run].AP[k];
const difference = (s, k) => AP(s.run, k) === null || AP(s.against, k) === null ? null : AP(s.run, k) - AP(s.against, k);

// The list of classes.
function columns(s) {
  const found = [
    ["name", "Class", k => all.classes[k], k => all.classes[k]],
    ["clips", all.of === "training clips" ? "Train" : "Eval", k => all.counts[k], k => number.format(all.counts[k])],
    ["AP", "AP", k => AP(s.run, k), k => text(AP(s.run, k), 3)],
  ];
  if (s.run !== s.against) found.push(["difference", "Gain", k => difference(s, k), k => text(difference(s, k), 3, true)]);
  return found;
}

function list(s) {
  const made = JSON.stringify([s.run, s.against, s.sort, s.up, s.find]);
  if (made !== listed) fill(s);
  listed = made;
  document.querySelector("#classes tr[aria-current]")?.removeAttribute("aria-current");
  const current = $("classes").tBodies[0].rows[order.findIndex(k => all.classes[k] === s.name)];
  if (!current) return;
  current.setAttribute("aria-current", "true");
  const box = document.querySelector("#list .rows");
  if (current.offsetTop < box.scrollTop + 40 || current.offsetTop + 40 > box.scrollTop + box.clientHeight) {
    box.scrollTop = current.offsetTop - box.clientHeight / 2;
  }
}

function fill(s) {
  const shown = columns(s);
  const by = shown.find(column => column[0] === s.sort) ?? shown[2];
  const sign = s.up ? -1 : 1;
  const wanted = s.find.trim().toLowerCase();
  order = all.classes.map((_, k) => k).filter(k => all.classes[k].toLowerCase().includes(wanted));
  order.sort((a, b) => {
    const [x, y] = [by[2](a), by[2](b)];
    if (by[0] === "name") return sign * names.compare(x, y);
    if (x === null || y === null) return (x === null) - (y === null) || names.compare(all.classes[a], all.classes[b]);
    return sign * (y - x) || names.compare(all.classes[a], all.classes[b]);
  });
  const heads = shown.map(([key, title]) => {
    const button = element("button", title, { type: "button" });
    const rising = key === "name" ? !s.up : s.up;
    button.addEventListener("click", () => relist({ sort: key, up: by[0] === key && !s.up ? "1" : null }));
    return element("th", button, { scope: "col", "aria-sort": by[0] === key ? (rising ? "ascending" : "descending") : null });
  });
  $("classes").tHead.rows[0].replaceChildren(...heads);
  const rest = address({ class: null, clip: null });
  const others = rest.startsWith("?") ? `${rest}&` : "?";
  $("classes").tBodies[0].replaceChildren(...order.map(k => {
    const link = element("a", all.classes[k], { href: `${others}${new URLSearchParams({ class: all.classes[k] })}` });
    return element("tr", [element("td", link), ...shown.slice(1).map(column => element("td", column[3](k)))]);
  }));
  $("shown").value = `${order.length} of ${all.classes.length} classes.`;
}

function card(clip, { more = true } = {}) {
  const links = listen(clip);
  if (more && all.runs.length > clip.runs.length) {
    links.push(element("a", `Under all ${all.runs.length} runs`, { href: address({ clip: clip.row }) }));
  }
  return clipCard(clip, links, clip.runs.length > 1 ? clip.runs.map(found => all.runs[found.run].name) : []);
}

function scores(k) {
  const heads = ["Run", "AP", "mAP"].map(title => element("th", title, { scope: "col" }));
  const rows = all.runs.map((run, r) => ({ run, r })).sort((a, b) => (b.run.AP[k] ?? -1) - (a.run.AP[k] ?? -1));
  const cells = rows.map(({ run, r }) => element("tr", [
    element("td", element("a", run.name, { href: address({ run: r }) })), element("td", text(run.AP[k])), element("td", text(run.mAP)),
  ]));
  const table = element("table", [element("thead", element("tr", heads)), element("tbody", cells)], { class: "scores" });
  return element("div", table, { class: "wide", tabindex: 0, role: "region", "aria-label": "Scores of the runs" });
}

// What stands beside the list.
async function classDetail(s, k) {
  const shown = [...new Set([s.run, s.against])];
  const view = await ask(`api/class/${k}?${shown.map(r => `run=${r}`).join("&")}`);
  const about = `${number.format(all.eval[k])} eval clips` + (all.of === "training clips" ? `, ${number.format(all.counts[k])} training clips.` : ".");
  const rule = ` Found: ${all.runs[s.run].name} gives it F of ${all.least} or more, among the ${all.among} likeliest classes of the clip.`;
  const parts = [element("h2", all.classes[k]), element("p", about + rule), scores(k), legend(all.truth)];
  for (const [key, title] of Object.entries(SECTIONS)) {
    const why = { found: "clips of the class, highest F first", missed: "clips of the class that are not found, lowest F first", mistaken: "clips without the label, highest F first" }[key];
    parts.push(element("h3", `${title}: ${why}`));
    const clips = view.sections[key];
    parts.push(...(clips.length ? clips.map(clip => card(clip)) : [element("p", "No such clips.")]));
  }
  return parts;
}

async function clipDetail(s, k) {
  const clip = await ask(`api/clip/${encodeURIComponent(s.clip)}${k < 0 ? "" : `?class=${k}`}`);
  const back = k < 0 ? element("a", "Overview", { href: "?" }) : element("a", `Back to ${all.classes[k]}`, { href: address({ clip: null }) });
  return [element("h2", `${clip.id} under ${all.runs.length} run${all.runs.length > 1 ? "s" : ""}`), element("p", back), legend(all.truth), card(clip, { more: false })];
}

function overviewDetail(s) {
  const both = s.run !== s.against;
  const [run, other] = [all.runs[s.run], all.runs[s.against]];
  const title = both ? `AP of ${run.name} minus ${other.name}` : `AP of each class, ${run.name}`;
  const place = element("div", [], { class: "plot", role: "img", "aria-label": `${title}, against the number of clips of the class; the list of classes has the same numbers` });
  setTimeout(() => plot(place, s, both), 0);
  return [element("h2", title), element("p", "Select a class to see its clips."), place];
}

function plot(place, s, both) {
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const shown = all.classes.map((_, k) => k).filter(k => all.counts[k] > 0 && (both ? difference(s, k) : AP(s.run, k)) !== null);
  const values = shown.map(k => both ? difference(s, k) : AP(s.run, k));
  const axis = { gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--soft") };
  const data = [{
    type: "scatter", mode: "markers", x: shown.map(k => all.counts[k]), y: values, text: shown.map(k => all.classes[k]), customdata: shown,
    marker: { size: 8, opacity: .6, color: css("--accent") }, hovertemplate: `<b>%{text}</b><br>%{x:,} ${all.of}<br>${both ? "gain %{y:+.4f}" : "AP %{y:.4f}"}<extra></extra>`,
  }];
  const layout = {
    height: 460, margin: { l: 60, r: 12, t: 12, b: 50 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", dragmode: false,
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: css("--ink") },
    xaxis: { ...axis, type: "log", title: { text: `${all.of} of the class` }, tickformat: "~s" },
    yaxis: { ...axis, title: { text: both ? "gain in AP" : "average precision" } },
  };
  Plotly.newPlot(place, data, layout, { responsive: true, displayModeBar: false });
  place.on("plotly_click", event => go({ class: all.classes[event.points[0].customdata], clip: null }));
}

function controls(s) {
  $("about").textContent = `${all.runs[s.run].name}: mAP ${text(all.runs[s.run].mAP)}; ${number.format(all.clips)} clips`;
  $("choose").hidden = all.runs.length < 2;
  for (const [id, value] of [["run", s.run], ["against", s.against]]) {
    if (!$(id).options.length) $(id).append(...all.runs.map((run, r) => element("option", `${run.name} (${text(run.mAP, 3)})`, { value: r })));
    $(id).value = value;
  }
  if (document.activeElement !== $("find")) $("find").value = s.find;
}

async function show() {
  const turn = ++asked;
  const s = state();
  controls(s);
  list(s);
  const detail = $("detail");
  const busy = setTimeout(() => { if (turn === asked && !detail.querySelector(".loading")) detail.prepend(element("p", "Loading…", { class: "loading" })); }, 60);
  detail.setAttribute("aria-busy", "true");
  const k = all.classes.indexOf(s.name);
  let parts;
  try {
    if (s.clip !== null) parts = await clipDetail(s, k);
    else if (s.name !== null && k >= 0) parts = await classDetail(s, k);
    else if (s.name !== null) parts = [element("p", `There is no class ${s.name}. Find one in the list.`, { id: "error" })];
    else parts = overviewDetail(s);
  } catch (error) {
    parts = [element("p", `The answer did not come (${error.message}). Is audiobag-explore still running?`, { class: "error" })];
  }
  clearTimeout(busy);
  if (turn !== asked) return;
  document.title = s.name ? `${s.name} – audiobag explore` : "audiobag explore";
  detail.replaceChildren(...parts);
  detail.setAttribute("aria-busy", "false");
}

function step(by) {
  if (!order.length) return;
  const at = order.findIndex(k => all.classes[k] === state().name);
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), order.length - 1);
  go({ class: all.classes[order[next]], clip: null });
}

document.addEventListener("keydown", event => {
  if (!all || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") { event.preventDefault(); event.target.blur(); go({ class: null, clip: null, find: null }); }
  else if (event.key === "/" && !typing) { event.preventDefault(); $("find").focus(); $("find").select(); }
  else if (event.key === "j" && !typing) step(1);
  else if (event.key === "k" && !typing) step(-1);
  else if (event.target === $("find") && ["ArrowDown", "ArrowUp", "Enter"].includes(event.key)) { event.preventDefault(); step(event.key === "ArrowUp" ? -1 : event.key === "Enter" ? 0 : 1); }
});
document.addEventListener("click", event => {  // links within the page load nothing
  const link = event.target.closest("a");
  if (!link || link.target || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const to = new URL(link.href);
  if (to.origin !== location.origin) return;
  event.preventDefault();
  history.pushState(null, "", to.search || location.pathname);
  show();
});
addEventListener("popstate", show);
$("find").addEventListener("input", () => relist({ find: $("find").value }));
$("run").addEventListener("change", event => go({ run: event.target.value }));
$("against").addEventListener("change", event => go({ against: event.target.value }));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (all) show(); });

ask("api/overview").then(found => { all = found; show(); }, error => { $("about").textContent = `The classes cannot be loaded (${error.message}).`; });
