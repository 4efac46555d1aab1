"use strict";
// Everything that is shown comes from this machine; names are put into the page as text, never as markup.
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const state = { rows: [], at: 0, question: null, progress: null, other: null, asking: 0 };

async function ask(address, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(address, options);
  if (!response.ok) {
    const text = await response.text();
    let message = text;
    try { message = JSON.parse(text).error; } catch { /* a refusal in plain words */ }
    throw new Error(message);
  }
  return response.json();
}

function show(error) { $("error").textContent = error ? error.message : ""; }
const percent = (p) => (p >= 0.995 && p < 1 ? "> 99 %" : p > 0 && p < 0.005 ? "< 1 %" : Math.round(100 * p) + " %");

function showProgress(progress) {
  state.progress = progress;
  const saved = Math.max(progress.expected_at_start - progress.expected_errors, 0);
  $("progress").textContent = `${progress.decided} decided (${progress.changed} changed, ${progress.struck_out} struck out), ` +
    `${progress.open} doubtful cells left; about ${progress.expected_errors.toFixed(1)} wrong decisions left of ` +
    `${progress.expected_at_start.toFixed(1)} (${saved.toFixed(1)} removed)`;
}

async function loadRest() { $("rest").textContent = (await ask("api/rest")).text; }

async function drawOne() {
  try {
    const { drawn } = await ask("api/draw", {});
    if (!drawn) { throw new Error("Every cell was looked at."); }
    await goTo(drawn.frame, drawn.label);
    $("why").textContent = "A look at random: whatever the answer, it tells how good the others are.";
    await loadRest();
  } catch (error) { show(error); }
}

async function refit() {
  try {
    const found = await ask("api/refit", {});
    showProgress(found);
    await Promise.all([loadQueue(false), loadRest()]);
    $("why").textContent = found.text;
  } catch (error) { show(error); }
}

async function loadQueue(keep) {
  const asked = new URLSearchParams({ n: 200, reason: $("reason").value, first: $("first").value, last: $("last").value });
  const found = await ask("api/queue?" + asked);
  state.rows = found.rows;
  const reason = $("reason"), chosen = reason.value;
  reason.replaceChildren(new Option("all", ""), ...found.reasons.map((name) => new Option(name, name)));
  reason.value = found.reasons.includes(chosen) ? chosen : "";
  $("count").textContent = found.n > found.rows.length ? `the first ${found.rows.length} of ${found.n}` : `${found.n} cells`;
  $("queue").replaceChildren(...found.rows.map((row, i) => {
    const item = document.createElement("li"), button = document.createElement("button"), small = document.createElement("small");
    button.textContent = `${row.rank}. cell ${row.label}, frame ${row.frame}: ${percent(row.probability)} sure`;
    small.textContent = (row.reason || "doubtful") + (row.group_size > 1 ? `, one of ${row.group_size} together` : "");
    button.append(small);
    button.addEventListener("click", () => go(i));
    item.append(button);
    return item;
  }));
  if (!keep) { await go(0); }
}

async function go(i) {
  if (!state.rows.length) {
    $("title").textContent = "Nothing is left here";
    for (const id of ["before", "after", "answers"]) { $(id).replaceChildren(); }
    return;
  }
  state.at = Math.min(Math.max(i, 0), state.rows.length - 1);
  [...$("queue").querySelectorAll("button")].forEach((button, k) => button.setAttribute("aria-current", String(k === state.at)));
  $("queue").querySelectorAll("button")[state.at].scrollIntoView({ block: "nearest" });
  const row = state.rows[state.at];
  await goTo(row.frame, row.label);
}

async function goTo(frame, label) {
  const asking = ++state.asking;
  const question = await ask(`api/question/${frame}/${label}`);
  if (asking !== state.asking) { return; }  // another one was asked for meanwhile
  state.question = question;
  state.other = null;
  show(null);
  draw();
}

function scaled(box) {
  const size = Math.max(Math.round(box.size / Number($("zoom").value)), 8);
  const shift = Math.round((box.size - size) / 2);
  return { top: box.top + shift, left: box.left + shift, size, plane: box.plane };
}

function draw() {
  const q = state.question;
  $("title").textContent = `Cell ${q.label} of frame ${q.frame}: who is its mother?`;
  $("why").textContent = q.reason ? `Doubtful because: ${q.reason}.` : "";
  const first = q.candidates.length ? q.candidates[0].frame : q.frame - 1;
  const before = state.other ?? Math.max(first, 0);
  $("other").max = state.progress.n_frames - 1;
  $("other").value = before;
  $("before-caption").textContent = `Frame ${before}: candidates (blue), the tracker's choice (orange)`;
  $("after-caption").textContent = `Frame ${q.frame}: cell ${q.label} (dashed)`;
  if (state.progress.has_pixels) {
    picture($("before"), before, q, true);
    picture($("after"), q.frame, q, false);
  }
  const answers = q.candidates.map((one, i) => ({
    key: String(i + 1), text: `cell ${one.label} of frame ${one.frame}: ${percent(one.probability)}`,
    verdict: "mother", mother_frame: one.frame, mother: one.label,
    chosen: q.chosen && q.chosen[0] === one.frame && q.chosen[1] === one.label,
  }));
  answers.push({ key: "0", text: `no mother: ${percent(q.none)}`, verdict: "none", chosen: !q.chosen });
  answers.push({ key: "B", text: "this is no cell", verdict: "bad", chosen: false });
  state.answers = answers;
  $("answers").replaceChildren(...answers.map((one) => {
    const button = document.createElement("button"), key = document.createElement("kbd");
    key.textContent = one.key;
    button.append(key, " " + one.text);
    button.classList.toggle("chosen", Boolean(one.chosen));
    const d = q.decision;
    button.classList.toggle("decided", Boolean(d) && d.verdict === one.verdict &&
      (d.verdict !== "mother" || (d.mother === one.mother && d.mother_frame === one.mother_frame)));
    button.addEventListener("click", () => decide(one));
    return button;
  }));
}

async function picture(place, frame, q, clickable) {
  const box = scaled(q.box), asking = state.asking;
  const asked = new URLSearchParams({ top: box.top, left: box.left, size: box.size });
  if (box.plane !== null) { asked.set("plane", box.plane); }
  const image = new Image();
  image.alt = `frame ${frame}`;
  image.src = `api/frame/${frame}.png?${asked}&high=${$("contrast").value}`;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `${box.left - 0.5} ${box.top - 0.5} ${box.size} ${box.size}`);
  place.replaceChildren(image, svg);
  place.classList.toggle("clickable", clickable);
  if (!$("lines").checked) { return; }
  let cells;
  try { cells = await ask(`api/outlines/${frame}?${asked}`); } catch (error) { show(error); return; }
  if (asking !== state.asking) { return; }
  for (const cell of cells) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", cell.paths.map((line) => "M" + line.map((p) => p.join(" ")).join("L") + "Z").join(""));
    const candidate = q.candidates.findIndex((one) => one.frame === frame && one.label === cell.label);
    const isChosen = q.chosen && q.chosen[0] === frame && q.chosen[1] === cell.label;
    path.setAttribute("class", isChosen ? "chosen" : candidate >= 0 ? "candidate" : frame === q.frame && cell.label === q.label ? "asked" : "");
    const title = document.createElementNS(SVG, "title");
    title.textContent = `cell ${cell.label}`;
    path.append(title);
    if (clickable && frame < q.frame) {
      path.addEventListener("click", () => decide({ verdict: "mother", mother_frame: frame, mother: cell.label }));
    }
    svg.append(path);
    if (candidate >= 0) {
      const one = q.candidates[candidate], text = document.createElementNS(SVG, "text");
      text.setAttribute("x", one.place[one.place.length - 1]);
      text.setAttribute("y", one.place[one.place.length - 2]);
      text.setAttribute("font-size", box.size / 22);
      text.textContent = `${candidate + 1}: ${percent(one.probability)}`;
      svg.append(text);
    }
  }
}

async function decide(answer) {
  const q = state.question;
  if (!q) { return; }
  const body = { frame: q.frame, label: q.label, verdict: answer.verdict };
  if (answer.verdict === "mother") { body.mother_frame = answer.mother_frame; body.mother = answer.mother; }
  try {
    showProgress(await ask("api/decide", body));
    await Promise.all([loadQueue(false), loadRest()]);
  } catch (error) { show(error); }
}

async function step(address, body) {
  try {
    const found = await ask(address, body ?? {});
    showProgress(found);
    await Promise.all([loadQueue(true), loadRest()]);
    const decision = found.decision;
    const at = decision ? state.rows.findIndex((row) => row.frame === decision.frame && row.label === decision.label) : -1;
    await go(Math.max(at, 0));
  } catch (error) { show(error); }
}

function accept() {
  const chosen = state.answers && state.answers.find((one) => one.chosen);
  if (chosen) { decide(chosen); }
}

function look(by) {
  const most = state.progress.n_frames - 1;
  state.other = Math.min(Math.max(Number($("other").value) + by, 0), most);
  draw();
}

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input[type=number], select") || event.ctrlKey || event.metaKey || event.altKey) { return; }
  const key = event.key.toLowerCase();
  const by = state.answers && state.answers.find((one) => one.key.toLowerCase() === key);
  const others = {
    enter: accept, a: drawOne, u: () => step("api/undo"), r: () => step("api/redo"), j: () => go(state.at + 1), k: () => go(state.at - 1),
    s: () => state.question && step("api/skip", { frame: state.question.frame, label: state.question.label }),
    ",": () => look(-1), ".": () => look(1), o: () => { $("lines").checked = !$("lines").checked; draw(); },
  };
  if (by) { decide(by); } else if (others[key]) { others[key](); } else { return; }
  event.preventDefault();
});
$("draw").addEventListener("click", drawOne);
$("refit").addEventListener("click", refit);
$("undo").addEventListener("click", () => step("api/undo"));
$("redo").addEventListener("click", () => step("api/redo"));
for (const id of ["reason", "first", "last"]) { $(id).addEventListener("change", () => loadQueue(false).catch(show)); }
for (const id of ["contrast", "zoom", "lines"]) { $(id).addEventListener("change", () => state.question && draw()); }
$("other").addEventListener("change", () => { state.other = Number($("other").value); draw(); });

(async () => {
  history.replaceState(null, "", location.pathname);  // the token need not stand in the address any longer
  showProgress(await ask("api/progress"));
  await Promise.all([loadQueue(false), loadRest()]);
})().catch(show);
