"use strict";
// The map of doubts: dots over the field, bars over time.
import { $, percent, pressable, svg } from "./asking.js";

// Draws what `api/map` answered. `go(frame, label)` opens a question, `frames(first, last)` filters.
export function drawMap(found, question, { go, frames, chosen }) {
  const { left, top, right, bottom } = found.field;
  const width = Math.max(right - left, 1e-9), height = Math.max(bottom - top, 1e-9);
  const unit = Math.max(width, height) / 100;
  const place = svg("svg", { viewBox: `${left - 2 * unit} ${top - 2 * unit} ${width + 4 * unit} ${height + 4 * unit}`,
    role: "group", "aria-label": "doubts over the field" });
  place.append(svg("rect", { x: left, y: top, width, height, class: "field" }));
  const most = Math.max(...found.spots.map((spot) => spot.expected), 0.5);
  for (const spot of [...found.spots].sort((a, b) => b.expected - a.expected)) {
    const radius = unit * (0.9 + 2.6 * Math.sqrt(spot.expected / most));
    const text = spot.n === 1
      ? `cell ${spot.label} of frame ${spot.frame}, ${spot.reason || "doubtful"}, doubt ${percent(spot.doubt)}`
      : `${spot.n} doubtful cells, about ${spot.expected.toFixed(1)} wrong; first cell ${spot.label} of frame ${spot.frame}`;
    const dot = svg("circle", { cx: spot.x, cy: spot.y, r: radius, "fill-opacity": 0.2 + 0.7 * spot.doubt, class: "spot" }, text);
    pressable(dot, () => go(spot.frame, spot.label), text);
    place.append(dot);
  }
  if (question && question.place) {
    const x = question.place[question.place.length - 1], y = question.place[question.place.length - 2], arm = 4 * unit;
    place.append(svg("path", { d: `M${x - arm} ${y}H${x + arm}M${x} ${y - arm}V${y + arm}`, class: "here" }));
  }
  $("map").replaceChildren(place);
  drawTimes(found.bars, frames, chosen, question);
  const which = found.n === 1 ? "1 doubtful cell" : `${found.n} doubtful cells`;
  $("map-caption").textContent = `${which}${found.spots.length < found.n ? `, drawn as ${found.spots.length} spots` : ""}; ` +
    "larger: more wrong decisions expected, darker: more doubtful; the cross is this cell. Below: wrong decisions expected " +
    "in a frame; press a bar to see its frames only.";
}

function drawTimes(bars, frames, chosen, question) {
  const width = 300, height = 56, left = 26, base = height - 14;
  const place = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "wrong decisions expected over time" });
  const most = Math.max(...bars.map((bar) => bar.expected), 1e-9), step = (width - left) / bars.length;
  bars.forEach((bar, i) => {
    const tall = (base - 6) * bar.expected / most;
    const name = bar.first === bar.last ? `frame ${bar.first}` : `frames ${bar.first} to ${bar.last}`;
    const text = `${name}: about ${bar.expected.toFixed(2)} wrong decisions${bar.first === bar.last ? "" : " a frame"}`;
    const isChosen = chosen.first !== null && chosen.first === bar.first && chosen.last === bar.last;
    const group = svg("g", { class: isChosen ? "bar chosen" : "bar" }, text);
    group.append(svg("rect", { x: left + i * step, y: 0, width: step, height: base, class: "whole" }));
    group.append(svg("rect", { x: left + i * step, y: base - tall, width: Math.max(step - 0.5, 0.5), height: tall, class: "tall" }));
    pressable(group, () => (isChosen ? frames(null, null) : frames(bar.first, bar.last)), text);
    place.append(group);
    if (question && bar.first <= question.frame && question.frame <= bar.last) {
      const x = left + (i + 0.5) * step;
      place.append(svg("path", { d: `M${x - 4} ${base + 6}L${x} ${base}L${x + 4} ${base + 6}Z`, class: "now" }));
    }
  });
  const word = (x, y, text, anchor) => {
    const one = svg("text", { x, y, "text-anchor": anchor, class: "axis" });
    one.textContent = text;
    place.append(one);
  };
  word(left - 3, 10, most < 0.1 ? most.toPrecision(1) : most < 10 ? most.toFixed(1) : Math.round(most), "end");
  word(left - 3, base, "0", "end");
  word(left, height - 2, bars[0].first, "start");
  word(width, height - 2, bars[bars.length - 1].last, "end");
  $("times").replaceChildren(place);
}
