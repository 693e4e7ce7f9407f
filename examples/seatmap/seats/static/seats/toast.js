/** Short messages at the edge of the window; read out by screen readers. */

const SECONDS = 6;

/** @param {string} text @param {"" | "good"} kind */
export function toast(text, kind = "") {
  const box = document.createElement("p");
  box.className = `toast ${kind}`;
  box.textContent = text;
  document.querySelector("#toasts").append(box);
  setTimeout(() => box.remove(), SECONDS * 1000);
}
