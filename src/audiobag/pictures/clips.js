"use strict";
// Clips as pictures: what is heard in which second, and a player whose position runs over it. The page of audiobag-explore
// and that of a report draw them with this file.
const ROW = 22;
const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];

function element(tag, content = [], attributes = {}) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
  made.append(...[content].flat());
  return made;
}

const text = (value, digits = 4, sign = false) =>
  value === null || value === undefined || Number.isNaN(value) ? "-" : (sign && value >= 0 ? "+" : "") + value.toFixed(digits);

// Heat maps.
function colour(share) {
  const x = Math.sqrt(Math.min(Math.max(share, 0), 1)) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(x), VIRIDIS.length - 2);
  return `rgb(${VIRIDIS[i].map((c, n) => Math.round(c + (VIRIDIS[i + 1][n] - c) * (x - i))).join(",")})`;
}

function paint(canvas, clip, values, top) {
  const [C, T] = [values.length, clip.frames];
  const wide = Math.max(1, Math.min(30, Math.floor(1200 / T)));
  canvas.width = wide * T;
  canvas.height = ROW * C;
  canvas.style.height = `${ROW * C}px`;
  const context = canvas.getContext("2d");
  for (let c = 0; c < C; c++) {
    for (let t = 0; t < T; t++) {
      context.fillStyle = colour(values[c][t] / top);
      context.fillRect(t * wide, c * ROW, wide, ROW - 1);
      if (clip.truth[c]) {  // where the class is heard
        context.fillStyle = clip.truth[c][t] ? "#ff9f0a" : "rgba(0, 0, 0, .55)";
        context.fillRect(t * wide, (c + 1) * ROW - 6, wide, 5);
      }
    }
  }
}

const seconds = at => `${Number(at.toFixed(2))} s`;
const tip = element("div", [], { id: "tip", role: "tooltip", hidden: "" });
document.body.append(tip);

function panel(clip, [name, [before, after]], values, top) {
  const canvas = element("canvas", [], { role: "img" });
  paint(canvas, clip, values, top);
  const begins = t => seconds(clip.start + t * clip.seconds);
  const best = values.map((row, c) => {
    const t = row.indexOf(Math.max(...row));
    return `${clip.names[c]} ${text(row[t], 2)} at ${begins(t)}`;
  });
  canvas.setAttribute("aria-label", `${name}, highest values: ${best.join("; ")}`);
  canvas.addEventListener("pointermove", event => {
    const box = canvas.getBoundingClientRect();
    const t = Math.min(Math.max(Math.floor((event.clientX - box.left) / box.width * clip.frames), 0), clip.frames - 1);
    const c = Math.min(Math.max(Math.floor((event.clientY - box.top) / ROW), 0), values.length - 1);
    const heard = clip.truth[c] ? (clip.truth[c][t] ? ", heard" : ", not heard") : "";
    tip.textContent = `${clip.names[c]}, ${begins(t)}: ${text(values[c][t])}${heard}`;
    tip.hidden = false;
    tip.style.left = `${Math.max(Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 4), 4)}px`;
    tip.style.top = `${event.clientY + 16}px`;
  });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  const head = element("div", [element("span", before), name, element("span", after)], { class: "head" });
  const ends = [begins(0), begins(clip.frames)].map(at => element("span", at));
  return element("div", [head, element("div", canvas, { class: "stage" }), element("div", ends, { class: "axis", "aria-hidden": "true" })], { class: "panel" });
}

function drawn(clip, found, title) {
  const parts = title ? [element("p", title)] : [];
  if (found.error) return element("div", [...parts, element("p", `No clips are shown: ${found.error}.`, { class: "error" })], { class: "run" });
  const rows = clip.names.map((name, c) => element("li", [
    element("span", `${clip.has[c] ? "✓ " : ""}${name}`, { title: name }), element("span", text(found.F[c], 2)),
  ], { class: clip.has[c] ? "has" : null }));
  const panels = [panel(clip, ["f", ["frame probability ", ""]], found.f, 1)];
  // A measure sums to 1, so its frames are lower where there are more of them.
  const top = Math.min(1, 10 / clip.frames);
  if (found.p) panels.push(panel(clip, ["p", ["measure ", ""]], found.p, top));
  if (found.adds) panels.push(panel(clip, ["f p", ["", ", which sums to F"]], found.f.map((row, c) => row.map((f, t) => f * found.p[c][t])), top));
  const head = element("div", "F", { class: "head" });
  const grid = element("div", [element("div", [head, element("ol", rows)], { class: "names" }), ...panels], { class: "grid" });
  return element("div", [...parts, grid], { class: "run" });
}

// A player whose position runs over the panels of a card.
function player(clip, card) {
  const audio = element("audio", [], { controls: "", preload: "none", src: clip.sound, "aria-label": `Sound of ${clip.id}` });
  const length = clip.frames * clip.seconds;
  let offset = 0;
  audio.addEventListener("loadedmetadata", () => {
    // A file that is longer than the clip is the whole recording.
    offset = audio.duration > clip.start + length - 2 && audio.duration > length + 2 ? clip.start : 0;
    if (offset) audio.currentTime = offset;
  });
  audio.addEventListener("error", () => audio.replaceWith(element("p", `The sound cannot be loaded: ${clip.address}`, { class: "error" })));
  const follow = () => {
    const at = (audio.currentTime - offset) / length;
    for (const stage of card.querySelectorAll(".stage")) {
      const line = stage.querySelector("i") ?? stage.appendChild(element("i"));
      line.style.left = `${Math.min(Math.max(at, 0), 1) * 100}%`;
    }
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", follow);
  audio.addEventListener("seeked", follow);
  return audio;
}

// The link to the place of a clip that the page cannot play.
const listen = clip => clip.address && !clip.sound ? [element("a", "Listen", { href: clip.address, target: "_blank", rel: "noopener noreferrer" })] : [];

function clipCard(clip, links, titles = []) {
  const made = element("article", element("h4", [clip.id, ...links.map(link => element("span", link, { class: "links" }))]), { class: "clip", "data-row": clip.row ?? null });
  if (clip.sound) made.append(player(clip, made));
  made.append(...clip.runs.map((found, n) => drawn(clip, found, titles[n])));
  return made;
}

function legend(truth) {
  const canvas = element("canvas", [], { width: 100, height: 1, role: "img", "aria-label": "Colours from 0, dark, to 1, bright" });
  const context = canvas.getContext("2d");
  for (let x = 0; x < 100; x++) { context.fillStyle = colour((x / 100) ** 2); context.fillRect(x, 0, 1, 1); }
  const orange = truth ? " Orange: where the class is heard." : "";
  return element("p", ["0", canvas, element("span", "1,"), `on a square-root scale, the same for all clips. ✓: a label of the clip.${orange}`], { class: "legend" });
}
