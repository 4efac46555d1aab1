"use strict";
// The queue, the question at hand and its answers. Everything that is shown comes from this machine.
import { $, ask, percent, show } from "./asking.js";
import { drawMap } from "./doubt_map.js";
import { drawFamily } from "./family.js";
import { picture, strip } from "./pictures.js";
import { inWords } from "./reasons.js";
import { drawOne, loadRest, refit } from "./rest.js";

const FILTERS = ["reason", "first", "last", "track"];
const state = { about: null, rows: [], at: -1, question: null, answers: [], other: null, asking: 0, loading: 0, busy: false };

function showProgress(progress) {
  $("progress").textContent = `${progress.decided} decided (${progress.changed} changed, ${progress.struck_out} struck out), ` +
    `${progress.open} doubtful cell${progress.open === 1 ? "" : "s"} left; about ${progress.expected_errors.toFixed(1)} wrong decisions left of ` +
    `${progress.expected_at_start.toFixed(1)}`;
}

const wishes = () => Object.fromEntries(FILTERS.map((id) => [id, $(id).value]));
const number = (text) => (text === "" ? null : Number(text));

async function loadQueue(keep) {
  const loading = ++state.loading;
  const found = await ask("api/queue?" + new URLSearchParams({ n: 200, ...wishes() }));
  if (loading !== state.loading) { return; }  // it was filtered again meanwhile
  state.rows = found.rows;
  const reason = $("reason"), chosen = reason.value;
  const names = found.reasons.includes(chosen) || !chosen ? found.reasons : [...found.reasons, chosen];
  reason.replaceChildren(new Option("all", ""), ...names.map((name) => new Option(name, name)));
  reason.value = chosen;
  $("clear").disabled = !Object.values(wishes()).some(Boolean);
  $("count").textContent = found.n > found.rows.length ? `the first ${found.rows.length} of ${found.n} cells` : `${found.n} cell${found.n === 1 ? "" : "s"}`;
  $("queue").replaceChildren(...found.rows.map((row, i) => {
    const item = document.createElement("li"), button = document.createElement("button"), small = document.createElement("small");
    button.textContent = `${row.rank}. cell ${row.label}, frame ${row.frame}: ${percent(row.probability)} sure`;
    small.textContent = `${row.reason || "doubtful"}, track ${row.track}` + (row.group_size > 1 ? `, one of ${row.group_size} together` : "");
    button.append(small);
    button.addEventListener("click", () => { go(i); $("title").focus({ preventScroll: true }); });
    item.append(button);
    return item;
  }));
  if (!keep) { await go(0); }
}

// The i-th question of the list.
async function go(i) {
  if (!state.rows.length) {
    state.at = -1;
    state.question = null;
    state.answers = [];
    $("title").textContent = "Nothing is left here";
    $("why").textContent = Object.values(wishes()).some(Boolean) ? "Other doubts are left where nothing is filtered." : "";
    for (const id of ["before", "after", "answers", "strip", "family"]) { $(id).replaceChildren(); }
    for (const id of ["before-caption", "after-caption", "family-caption"]) { $(id).textContent = ""; }
    loadMap();
    return;
  }
  const row = state.rows[Math.min(Math.max(i, 0), state.rows.length - 1)];
  await goTo(row.frame, row.label);
}

// The question about a cell, whether it stands in the list or not.
async function goTo(frame, label) {
  const asking = ++state.asking;
  let question;
  try { question = await ask(`api/question/${frame}/${label}`); } catch (error) { show(error); return; }
  if (asking !== state.asking) { return; }  // another one was asked for meanwhile
  state.question = question;
  state.other = null;
  state.at = state.rows.findIndex((row) => row.frame === frame && row.label === label);
  [...$("queue").querySelectorAll("button")].forEach((button, k) => button.setAttribute("aria-current", String(k === state.at)));
  if (state.at >= 0) {
    const button = $("queue").querySelectorAll("button")[state.at], list = $("queue").parentElement;
    if (button.offsetTop < list.scrollTop + 120 || button.offsetTop > list.scrollTop + list.clientHeight - 60) {
      list.scrollTop = Math.max(button.offsetTop - 200, 0);  // the list only: on a phone the page stays where it is
    }
  }
  show(null);
  draw();
  loadMap();  // nobody waits for these to answer
  loadFamily();
}

async function loadMap() {
  const asking = state.asking;
  const asked = wishes();
  try {
    const found = await ask("api/map?" + new URLSearchParams(asked));
    if (asking !== state.asking) { return; }
    drawMap(found, state.question, { go: goTo, frames: onlyFrames, chosen: { first: number(asked.first), last: number(asked.last) } });
  } catch (error) { show(error); }
}

async function loadFamily() {
  const q = state.question, asking = state.asking;
  $("only").disabled = !q || q.struck_out;
  if (!q || q.struck_out) { $("family").replaceChildren(); $("family-caption").textContent = ""; return; }
  try {
    const found = await ask(`api/family/${q.frame}/${q.label}`);
    if (asking === state.asking) { drawFamily(found, q, state.about, goTo); }
  } catch (error) { show(error); }
}

function filter(changes) {
  for (const [id, value] of Object.entries(changes)) { $(id).value = value ?? ""; }
  return loadQueue(false).catch(show);
}
const onlyFrames = (first, last) => filter({ first, last });

function draw() {
  const q = state.question, about = state.about;
  const isFirst = q.frame === about.first_frame;
  $("title").textContent = q.struck_out ? `Cell ${q.label} of frame ${q.frame} was struck out`
    : isFirst ? `Cell ${q.label} of frame ${q.frame}, the first` : `Cell ${q.label} of frame ${q.frame}: who is its mother?`;
  $("why").textContent = q.struck_out ? "You said that it is no cell; undo takes that back." : inWords(q.reason);
  drawPictures();
  const answers = q.struck_out || isFirst ? [] : q.candidates.map((one, i) => ({
    key: String(i + 1), text: `cell ${one.label} of frame ${one.frame}: ${percent(one.probability)}`,
    verdict: "mother", mother_frame: one.frame, mother: one.label,
    chosen: q.chosen && q.chosen[0] === one.frame && q.chosen[1] === one.label,
  }));
  if (!q.struck_out && !isFirst) { answers.push({ key: "0", text: `no mother: ${percent(q.none)}`, verdict: "none", chosen: !q.chosen }); }
  if (!q.struck_out) { answers.push({ key: "B", text: "this is no cell", verdict: "bad", chosen: false }); }
  state.answers = answers;
  $("answers").replaceChildren(...answers.map((one) => {
    const button = document.createElement("button"), key = document.createElement("kbd");
    key.textContent = one.key;
    button.append(key, " " + one.text);
    button.classList.toggle("chosen", Boolean(one.chosen));
    const d = q.decision;
    const isDecided = Boolean(d) && d.verdict === one.verdict &&
      (d.verdict !== "mother" || (d.mother === one.mother && d.mother_frame === one.mother_frame));
    button.classList.toggle("decided", isDecided);
    if (one.chosen) { button.title = "the tracker's choice: Enter"; }
    button.addEventListener("click", () => decide(one));
    return button;
  }));
}

function drawPictures() {
  const q = state.question, about = state.about, asking = state.asking;
  for (const id of ["before", "after", "strip"]) { if (q.struck_out) { $(id).replaceChildren(); } }
  if (q.struck_out) { return; }
  const before = leftFrame(), stale = () => asking !== state.asking || before !== leftFrame();
  $("other").value = before;
  const earlier = before < q.frame;
  const choose = earlier ? (label) => decide({ verdict: "mother", mother_frame: before, mother: label })
    : before > q.frame ? (label) => goTo(before, label) : null;  // a daughter's question is asked of her
  $("before-caption").textContent = `Frame ${before}` + (earlier ? ": possible mothers (blue), the tracker's choice (orange)"
    : before > q.frame ? ": press the cell that this one becomes, and say there who its mother is" : "");
  $("after-caption").textContent = `Frame ${q.frame}: cell ${q.label} (dashed)`;
  picture($("before"), before, q, about, { choose, stale });
  picture($("after"), q.frame, q, about, { words: false, stale });
  strip($("strip"), q, about, { shownLeft: before, open: (frame) => { state.other = frame; drawPictures(); }, stale });
}

function leftFrame() {
  const q = state.question, about = state.about;
  if (state.other !== null) { return state.other; }
  return q.candidates.length ? q.candidates[0].frame : Math.max(q.frame - about.frame_step, about.first_frame);
}

// One thing at a time: a key that is held down or pressed twice decides nothing twice.
async function alone(work) {
  if (state.busy) { return; }
  state.busy = true;
  document.body.setAttribute("aria-busy", "true");
  try { await work(); } catch (error) { show(error); } finally { state.busy = false; document.body.removeAttribute("aria-busy"); }
}

const decide = (answer) => state.question && alone(async () => {
  const body = { frame: state.question.frame, label: state.question.label, verdict: answer.verdict };
  if (answer.verdict === "mother") { body.mother_frame = answer.mother_frame; body.mother = answer.mother; }
  showProgress(await ask("api/decide", body));
  loadRest().catch(show);
  await loadQueue(false);
});

const step = (address, body) => alone(async () => {
  const found = await ask(address, body ?? {});
  showProgress(found);
  loadRest().catch(show);
  await loadQueue(true);
  const decision = found.decision;
  await (decision ? goTo(decision.frame, decision.label) : go(0));
});

const randomLook = () => alone(async () => {
  const drawn = await drawOne();
  await goTo(drawn.frame, drawn.label);
  $("why").textContent = "A look at random: whatever the answer, it tells how good the others are.";
  loadRest().catch(show);
});

const refitAll = () => alone(async () => {
  const begun = Date.now();
  const tell = () => { $("why").textContent = `Fitting for ${Math.round((Date.now() - begun) / 1000)} s; it takes some seconds to a minute ...`; };
  tell();
  const telling = setInterval(tell, 1000);
  let found;
  try { found = await refit(); } finally { clearInterval(telling); }
  showProgress(found);
  loadRest().catch(show);
  await loadQueue(false);
  $("why").textContent = found.text;
});

function accept() {
  const chosen = state.answers.find((one) => one.chosen);
  if (chosen) { decide(chosen); }
}

function look(by) {
  const about = state.about;
  if (!state.question || state.question.struck_out) { return; }
  state.other = Math.min(Math.max(leftFrame() + by * about.frame_step, about.first_frame), about.last_frame);
  drawPictures();
}

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input[type=number], select") || event.ctrlKey || event.metaKey || event.altKey || event.repeat) { return; }
  if (event.key === "Enter" && event.target.matches("button, summary")) { return; }  // it presses that button
  const key = event.key.toLowerCase();
  const answer = state.answers.find((one) => one.key.toLowerCase() === key);
  const others = {
    enter: accept, a: randomLook, u: () => step("api/undo"), r: () => step("api/redo"), j: () => go(state.at + 1), k: () => go(state.at - 1),
    s: () => state.question && step("api/skip", { frame: state.question.frame, label: state.question.label }),
    ",": () => look(-1), ".": () => look(1), o: () => { $("lines").checked = !$("lines").checked; redraw(); },
  };
  if (answer) { decide(answer); } else if (others[key]) { others[key](); } else { return; }
  event.preventDefault();
});

function redraw() { if (state.question) { drawPictures(); } }
$("draw").addEventListener("click", randomLook);
$("refit").addEventListener("click", refitAll);
$("undo").addEventListener("click", () => step("api/undo"));
$("redo").addEventListener("click", () => step("api/redo"));
for (const id of FILTERS) { $(id).addEventListener("change", () => loadQueue(false).catch(show)); }
$("clear").addEventListener("click", () => filter(Object.fromEntries(FILTERS.map((id) => [id, ""]))));
$("only").addEventListener("click", () => state.question && filter({ reason: "", first: "", last: "", track: state.question.track }));
for (const id of ["contrast", "zoom", "lines"]) { $(id).addEventListener("change", redraw); }
$("other").addEventListener("change", () => { state.other = Number($("other").value); redraw(); });

(async () => {
  history.replaceState(null, "", location.pathname);  // the token need not stand in the address any longer
  const about = state.about = await ask("api/about");
  $("movie").textContent = `${about.movie}${about.who ? ` (${about.who})` : ""}`;
  $("contrast-control").hidden = !about.has_images;
  Object.assign($("other"), { min: about.first_frame, max: about.last_frame, step: about.frame_step });
  for (const id of ["first", "last"]) { Object.assign($(id), { min: about.first_frame, max: about.last_frame }); }
  showProgress(await ask("api/progress"));
  loadRest().catch(show);
  await loadQueue(false);
})().catch(show);
