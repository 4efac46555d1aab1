"use strict";
// Random looks: what they promise about the decisions that nobody looked at, and refits from them.
import { $, ask } from "./asking.js";

export async function loadRest() { $("rest").textContent = (await ask("api/rest")).text; }

// Frame and label of a cell drawn at random.
export async function drawOne() {
  const { drawn } = await ask("api/draw", {});
  if (!drawn) { throw new Error("Every cell was looked at."); }
  return drawn;
}

// Progress as it is afterwards, and `text`: what has changed.
export const refit = () => ask("api/refit", {});
