/** The bar on an event's page in the admin: follows the topic of one task. */

import { connect } from "../seaway/seaway.js";

const panel = document.querySelector("#progress");
const bar = panel.querySelector("progress");
const line = panel.querySelector("p");
const connection = connect();
const task = connection.topic(panel.dataset.topic);

const TOLD = {
  READY: "Waiting for a worker…",
  RUNNING: "Printing…",
  SUCCESSFUL: "All tickets are printed.",
  FAILED: "The printer gave up. The worker's log says why.",
};

/** @param {"READY" | "RUNNING" | "SUCCESSFUL" | "FAILED"} status */
function show(status) {
  panel.dataset.status = status;
  line.textContent = TOLD[status];
  if (status === "SUCCESSFUL") bar.value = bar.max;
  if (status === "SUCCESSFUL" || status === "FAILED") connection.close();
}

task.onSnapshot(({ status }) => show(status)); // the page may come late, or again
task.on("started", () => show("RUNNING"));
task.on("progress", ({ done, total, note }) => {
  panel.dataset.status = "RUNNING";
  bar.max = total;
  bar.value = done;
  line.textContent = `${done} of ${total}: ${note}`;
});
task.on("finished", ({ status }) => show(status));
task.onState((state, error) => {
  if (error) line.textContent = error.message;
});
task.join().catch(() => {}); // onState has told why
