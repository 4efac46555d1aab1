"use strict";
// What all parts of the page share. Names are put into the page as text, never as markup.
export const $ = (id) => document.getElementById(id);

export async function ask(address, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  let response;
  try { response = await fetch(address, options); } catch {
    throw new Error("the server does not answer: start `torchtrack-uq review` again and open the address that it prints");
  }
  if (!response.ok) {
    const text = await response.text();
    let message = text;
    try { message = JSON.parse(text).error; } catch { /* a refusal in plain words */ }
    throw new Error(message);
  }
  return response.json();
}

export function show(error) { $("error").textContent = error ? error.message : ""; }

export const percent = (p) => (p >= 0.995 && p < 1 ? "> 99 %" : p > 0 && p < 0.005 ? "< 1 %" : Math.round(100 * p) + " %");

// An SVG element with attributes; `text` becomes its <title>, which is shown on hovering and read aloud.
export function svg(name, attributes = {}, text = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) { element.setAttribute(key, value); }
  if (text !== null) {
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = text;
    element.append(title);
  }
  return element;
}

// Makes a drawn thing a button, for the mouse and for keys.
export function pressable(element, action, label) {
  element.setAttribute("tabindex", "0");
  element.setAttribute("role", "button");
  element.setAttribute("aria-label", label);
  element.classList.add("pressable");
  element.addEventListener("click", action);
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); action(); }
  });
}
