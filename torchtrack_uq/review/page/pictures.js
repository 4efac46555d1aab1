"use strict";
// A piece of a frame with the cells in it: the large views and the strip of frames around.
import { $, ask, percent, show, svg } from "./asking.js";

export function scaled(box, about) {
  const zoom = Number($("zoom").value);
  const whole = about.has_pixels ? Math.round : (value) => value;
  const size = about.has_pixels ? Math.min(Math.max(Math.round(box.size / zoom), 8), 2048) : box.size / zoom;
  const shift = whole((box.size - size) / 2);
  return { top: box.top + shift, left: box.left + shift, size, plane: box.plane };
}

// Draws frame `frame` into `place`; `choose`, if given, is called with the cell that is clicked.
export async function picture(place, frame, q, about, { choose = null, words = true, stale = () => false } = {}) {
  const box = scaled(q.box, about);
  const asked = new URLSearchParams({ top: box.top, left: box.left, size: box.size });
  if (box.plane !== null) { asked.set("plane", box.plane); }
  const lines = svg("svg", { viewBox: about.has_pixels
    ? `${box.left - 0.5} ${box.top - 0.5} ${box.size} ${box.size}` : `${box.left} ${box.top} ${box.size} ${box.size}` });
  const shown = [lines];
  if (about.has_pixels) {
    const image = new Image();
    image.alt = `frame ${frame}`;
    image.src = `api/frame/${frame}.png?${asked}&high=${$("contrast").value}`;
    shown.unshift(image);
  }
  place.replaceChildren(...shown);
  place.classList.toggle("clickable", choose !== null);
  place.classList.toggle("points", !about.has_pixels);
  if (about.has_pixels && !$("lines").checked) { return; }
  let cells;
  try { cells = await ask(`api/outlines/${frame}?${asked}`); } catch (error) { show(error); return; }
  if (stale()) { return; }
  const paths = [], names = [], font = box.size * 14 / Math.max(place.clientWidth, 60);  // 14 pixels, however large the view
  for (const cell of cells) {
    const candidate = q.candidates.findIndex((one) => one.frame === frame && one.label === cell.label);
    const isChosen = q.chosen && q.chosen[0] === frame && q.chosen[1] === cell.label;
    const isAsked = frame === q.frame && cell.label === q.label;
    const path = svg("path", {
      d: cell.paths.map((line) => "M" + line.map((p) => p.join(" ")).join("L") + "Z").join(""),
      class: isAsked ? "asked" : isChosen ? "chosen" : candidate >= 0 ? "candidate" : "",
    }, `cell ${cell.label}`);
    if (choose) { path.addEventListener("click", () => choose(cell.label)); }
    // what the question is about lies on top
    paths.push([isAsked ? 3 : isChosen ? 2 : candidate >= 0 ? 1 : 0, path]);
    if (words && candidate >= 0) {
      const one = q.candidates[candidate];
      const points = cell.paths.flat(), high = Math.min(...points.map((p) => p[1])), low = Math.max(...points.map((p) => p[1]));
      const above = high - 0.4 * font;
      names.push({ x: one.place[one.place.length - 1], y: above - font < box.top ? low + 1.1 * font : above,
        text: `${candidate + 1}: ${percent(one.probability)}` });
    }
  }
  lines.append(...paths.sort((a, b) => a[0] - b[0]).map(([, path]) => path));
  apart(names, 1.1 * font);
  for (const name of names) {
    const text = svg("text", { x: name.x, y: name.y, "font-size": font });
    text.textContent = name.text;
    lines.append(text);
  }
}

// Moves names down until none covers another.
function apart(names, height) {
  names.sort((a, b) => a.y - b.y);
  names.forEach((name, i) => {
    for (const other of names.slice(0, i)) {
      if (Math.abs(name.x - other.x) < 3.2 * height && name.y - other.y < height) { name.y = other.y + height; }
    }
  });
}

// Frames t - 2 to t + 2, small, of the same piece.
export function strip(place, q, about, { shownLeft, open, stale }) {
  const step = about.frame_step;
  place.replaceChildren(...[-2, -1, 0, 1, 2].map((k) => {
    const frame = q.frame + k * step;
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    const view = document.createElement("div");
    view.className = "view";
    figure.append(view, caption);
    if (frame < about.first_frame || frame > about.last_frame) {
      view.classList.add("beyond");
      caption.textContent = "no frame";
      return figure;
    }
    caption.textContent = `frame ${frame}`;
    figure.classList.toggle("current", frame === q.frame || frame === shownLeft);
    view.addEventListener("click", () => open(frame));
    view.title = `show frame ${frame} on the left`;
    picture(view, frame, q, about, { words: false, stale });
    return figure;
  }));
}
