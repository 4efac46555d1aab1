"use strict";
// The lineage tree of the cell at hand; time runs to the right.
import { $, percent, pressable, svg } from "./asking.js";

const ROW = 26, LEFT = 8, TEXT = 14;

// Draws what `api/family` answered; `go(frame, label)` opens a question.
export function drawFamily(found, question, about, go) {
  const branches = new Map(found.branches.map((one) => [one.number, { ...one, children: [] }]));
  let root = null;
  for (const one of branches.values()) {
    if (branches.has(one.parent)) { branches.get(one.parent).children.push(one); } else { root = one; }
  }
  let rows = 0;
  const settle = (one) => {
    one.children.forEach(settle);
    one.row = one.children.length ? one.children.reduce((sum, child) => sum + child.row, 0) / one.children.length : rows++;
  };
  settle(root);
  const width = Math.max($("family").clientWidth, 240), height = ROW * (rows + 1) + 18;
  const first = Math.min(...found.branches.map((one) => one.begin)), last = Math.max(...found.branches.map((one) => one.end));
  const at = (frame) => LEFT + (width - LEFT - TEXT) * (last > first ? (frame - first) / (last - first) : 0.5);
  const high = (one) => ROW * (one.row + 0.8);
  const place = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "lineage tree" });
  for (const one of branches.values()) { drawBranch(place, one, branches.get(one.parent), { at, high, found, go }); }
  if (question.frame >= first && question.frame <= last) {
    const own = branches.get(found.number);
    place.append(svg("circle", { cx: at(question.frame), cy: high(own), r: 7, class: "here" }, `cell ${question.label}, this one`));
  }
  for (const [frame, anchor] of [[first, "start"], [last, "middle"]]) {
    const text = svg("text", { x: anchor === "start" ? 0 : at(frame), y: height - 4, "text-anchor": anchor, class: "axis" });
    text.textContent = anchor === "start" ? `frame ${frame}` : frame;
    if (anchor === "start" || last > first) { place.append(text); }
  }
  $("family").replaceChildren(place);
  $("family-caption").textContent = "Percentages: how sure the link is with which a branch begins (dashed: over a gap). Dots: doubtful cells; " +
    "press one to go there." + (found.older ? " Older ancestors are not shown." : "") +
    (found.left_out ? ` ${found.left_out} more branches are not shown.` : "");
}

function drawBranch(place, one, parent, { at, high, found, go }) {
  const y = high(one), own = one.number === found.number;
  if (parent) {
    place.append(svg("path", { d: `M${at(parent.end)} ${high(parent)}L${at(one.begin)} ${y}`,
      class: one.after_gap ? "joint gap" : "joint" }));
  }
  const sure = one.probability === null ? "the first frame" : `begins ${percent(one.probability)} sure`;
  const text = `cells of frames ${one.begin} to ${one.end}, ${sure}, about ${one.expected.toFixed(2)} wrong decisions along it`;
  const line = svg("g", { class: own ? "branch own" : "branch" }, text);
  line.append(svg("path", { d: `M${at(one.begin)} ${y}H${Math.max(at(one.end), at(one.begin) + 2)}`, class: "line" }));
  line.append(svg("path", { d: `M${at(one.begin)} ${y}H${Math.max(at(one.end), at(one.begin) + 2)}`, class: "reach" }));
  pressable(line, () => go(...one.first), `first cell of ${text}`);
  place.append(line);
  if (one.probability !== null) {
    const word = svg("text", { x: at(one.begin) + 3, y: y - 5, class: one.probability < 0.9 ? "sure low" : "sure" });
    word.textContent = percent(one.probability);
    place.append(word);
  }
  for (const [frame, label, probability] of one.doubts) {
    const name = `cell ${label} of frame ${frame}: ${percent(probability)} sure`;
    const dot = svg("circle", { cx: at(frame), cy: y, r: 4, "fill-opacity": 0.25 + 0.75 * (1 - probability), class: "spot" }, name);
    pressable(dot, () => go(frame, label), name);
    place.append(dot);
  }
}
