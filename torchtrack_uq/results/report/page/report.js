"use strict";
(() => {
  const key = document.querySelector("main").dataset.key;
  const questions = [...document.querySelectorAll("fieldset")];
  const columns = ["frame", "label", "verdict", "mother_frame", "mother"];

  const row = (question, input) => [
    question.dataset.frame,
    question.dataset.label,
    input.dataset.verdict,
    input.dataset.motherFrame ?? "",
    input.dataset.mother ?? "",
  ];
  const answered = () =>
    questions
      .map((question) => [question, question.querySelector("input:checked")])
      .filter(([, input]) => input)
      .map(([question, input]) => row(question, input));
  const quoted = (text) => (/[",;\t\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const table = (rows) => [columns, ...rows].map((cells) => cells.map(quoted).join(",") + "\n").join("");

  /* What `torchtrack-uq correct` would refuse, said at once. */
  const problem = (rows) => {
    const bad = new Set(rows.filter((one) => one[2] === "bad").map((one) => one.slice(0, 2).join("\t")));
    const daughters = new Map();
    for (const [, , verdict, frame, mother] of rows) {
      if (verdict !== "mother") continue;
      const name = `${frame}\t${mother}`;
      daughters.set(name, (daughters.get(name) ?? 0) + 1);
      if (bad.has(name)) return `Cell ${mother} of frame ${frame} is no cell and somebody's mother: change one answer.`;
      if (daughters.get(name) > 2) return `Cell ${mother} of frame ${frame} has more than two daughters: change one answer.`;
    }
    return "";
  };

  let elsewhere = []; // answers about cells that are not on this page, from another report of the same movie
  const remember = (rows) => {
    try {
      localStorage.setItem(key, JSON.stringify([...elsewhere, ...rows]));
    } catch {
      /* a browser that keeps nothing: answers last as long as the page is open */
    }
  };
  const recall = () => {
    try {
      const rows = JSON.parse(localStorage.getItem(key) ?? "[]");
      const said = new Map(rows.map((one) => [`${one[0]}\t${one[1]}`, JSON.stringify(one)]));
      const here = new Set(questions.map((one) => `${one.dataset.frame}\t${one.dataset.label}`));
      elsewhere = rows.filter((one) => !here.has(`${one[0]}\t${one[1]}`));
      for (const question of questions) {
        const wanted = said.get(`${question.dataset.frame}\t${question.dataset.label}`);
        for (const input of question.querySelectorAll("input")) {
          input.checked = JSON.stringify(row(question, input)) === wanted;
        }
      }
    } catch {
      /* nothing usable was kept */
    }
  };

  const show = () => {
    const rows = answered();
    document.getElementById("count").textContent = `${rows.length} of ${questions.length} answered`;
    document.getElementById("problem").textContent = problem(rows);
    document.getElementById("download").disabled = rows.length === 0;
    for (const question of questions) {
      question.querySelector("button").hidden = !question.querySelector("input:checked");
    }
    return rows;
  };

  document.addEventListener("change", () => remember(show()));
  document.addEventListener("click", (event) => {
    if (!event.target.matches("button.clear")) return;
    for (const input of event.target.closest("fieldset").querySelectorAll("input")) input.checked = false;
    remember(show());
  });
  document.getElementById("download").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table(answered())], { type: "text/csv" }));
    link.download = "decisions.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  if (questions.length) {
    recall();
    show();
    document.getElementById("bar").hidden = false;
  }
})();
