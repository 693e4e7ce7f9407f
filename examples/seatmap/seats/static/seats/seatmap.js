/** The page: joins the topic, and keeps plan and basket as the topic says. */

import { connect } from "../seaway/seaway.js";
import { Basket, ENDING } from "./basket.js";
import { Plan, WORDS, euros } from "./plan.js";
import { toast } from "./toast.js";

const STATES = {
  connecting: "Connecting",
  open: "Live",
  waiting: "Reconnecting",
  closed: "Offline: reload the page",
};

/** Codes of calls that never had an answer. */
const LOST = new Set(["disconnected", "timeout"]);

const svg = document.querySelector("#plan");
const plan = new Plan(svg, pick);
const basket = new Basket({ onBuy: buy, onRelease: release });
const connection = connect();
const seats = connection.topic(svg.dataset.topic);

let me = null; // how the others know this visitor
let ahead = 0; // milliseconds that the server's clock is ahead of ours
const holds = new Map(); // seat id -> end of its hold, whoever's

const now = () => Date.now() + ahead;

connection.on("state", (state) => {
  const chip = document.querySelector("#connection");
  chip.dataset.state = state;
  chip.querySelector("span").textContent = STATES[state];
});

seats.presence.on("change", (members) => {
  const count = new Set(members.map((member) => member.visitor)).size;
  const chip = document.querySelector("#viewers");
  chip.hidden = count === 0;
  chip.dataset.count = count;
  chip.querySelector("span").textContent =
    count === 1 ? "Only you are looking" : `${count} people are looking`;
});

seats.onSnapshot((snapshot) => {
  me = snapshot.you;
  ahead = snapshot.now - Date.now();
  const taken = new Map(snapshot.seats.map((seat) => [seat.id, seat]));
  for (const id of plan.ids()) {
    show(taken.get(id) ?? { id, state: "free", by: null, until: null }, { quiet: true });
  }
});

seats.on("seat", (seat) => show(seat));

seats.onState(async (state, error) => {
  if (error) toast(error.message);
  const line = document.querySelector("#worker");
  line.hidden = true;
  const pid = state === "joined" ? await seats.call("worker").catch(() => null) : null;
  if (pid === null) return;
  line.hidden = false;
  line.dataset.pid = pid;
  line.textContent = `Served by worker process ${pid}`;
});

/** Paint what a seat is now. */
function show({ id, state, by, until }, options) {
  const seat = plan.seat(id);
  if (!seat) return;
  const own = by !== null && by === me;
  if (state === "held" && until <= now()) return show({ id, state: "free", by: null, until: null });
  if (state === "held" && own && holds.get(id) > until) keep();
  const known = holds.has(id);
  if (state === "held") holds.set(id, until);
  else holds.delete(id);
  if (state === "held" && own) basket.put(seat, until);
  else basket.remove(id);
  const look = own ? { held: "mine", sold: "bought" }[state] : state;
  if (seat.look === "mine" && look !== "mine" && known) farewell(seat, look);
  if (look !== "mine") plan.flag(id, "ending", false);
  plan.paint(id, look, options);
  basket.tick(now());
}

const letGo = new Set(); // seats that this window gives back itself

function farewell({ id, name }, look) {
  if (look === "bought" || letGo.delete(id)) return;
  const end = look === "free" ? "has run out" : `has ended: it is ${WORDS[look]}`;
  toast(`Your hold on ${name} ${end}.`);
}

const asked = new Set(); // seats that the server is being asked for

async function pick(id) {
  const { look, name } = plan.seat(id);
  if (asked.has(id)) return;
  if (look === "mine") return release(id);
  if (look !== "free") return toast(refusal(look, name));
  asked.add(id);
  plan.flag(id, "busy", true);
  await ask("hold", { seat: id });
  asked.delete(id);
  plan.flag(id, "busy", false);
}

function refusal(look, name) {
  if (look === "bought") return `${name} is yours already.`;
  if (look === "held") return `Someone is holding ${name} right now. It may become free again.`;
  return look === "sold" ? `${name} is sold.` : `${name} is not for sale.`;
}

async function release(id) {
  letGo.add(id);
  if ((await ask("release", { seat: id })) === undefined) letGo.delete(id);
}

async function buy(ids) {
  basket.busy(true);
  const sale = await ask("buy", { seats: ids }, { once: true });
  basket.busy(false);
  if (sale) toast(`Enjoy the show! You paid ${euros(sale.total)}.`, "good");
}

/** A hold of ours was cut short, because another window of ours was closed: we are still here. */
function keep() {
  ask("keep", {});
}

/** Call an action. Its effect comes back as an event, like everyone's; here come the refusals. */
async function ask(action, args, options) {
  try {
    return await seats.call(action, args, options);
  } catch (error) {
    if (error.data) show(error.data); // what the seat is, if our picture of it was old
    toast(LOST.has(error.code) ? "The connection was lost. Please try again." : error.message);
    return undefined;
  }
}

setInterval(() => {
  for (const [id, until] of holds) {
    if (until <= now()) show({ id, state: "free", by: null, until: null });
    else if (plan.seat(id).look === "mine") plan.flag(id, "ending", until - now() < ENDING);
  }
  basket.tick(now());
}, 250);

seats.join().catch(() => {}); // onState has told why
