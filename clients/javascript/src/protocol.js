/**
 * The wire protocol, version 1: text to messages and back (docs/reference/protocol.md).
 *
 * What lives here: the shape of every message, and the check that what came in has it.
 * What must not: sockets, clocks, and what a message means.
 *
 * @typedef {{epoch: string, offset: number}} Position
 * @typedef {{id: string, [name: string]: any}} Member one connection present at a topic
 * @typedef {{members: number, people: number}} Headcount how many connections, and whose
 *
 * @typedef {{type: "join", topic: string, since?: Position}} JoinBody
 * @typedef {{type: "leave", topic: string}} LeaveBody
 * @typedef {{type: "call", topic: string, action: string, args: object,
 *   key?: string}} CallBody
 * @typedef {JoinBody | LeaveBody | CallBody} RequestBody a request before it has its id
 * @typedef {(RequestBody & {id: number}) | {type: "ping"}} ClientMessage
 *
 * @typedef {{type: "welcome", version: number, connection: string, ping: number}} Welcome
 * @typedef {{type: "joined", id: number, topic: string, epoch: string, offset: number,
 *   recovered: boolean, data: any, members?: Member[], headcount?: Headcount}} Joined
 * @typedef {{type: "left", id: number, topic: string}} Left
 * @typedef {{type: "reply", id: number, data: any}} Reply
 * @typedef {{type: "error", id: number, code: string, message: string, data?: any}} Failure
 * @typedef {{type: "event", topic: string, offset: number, event: string, data: any}} EventMessage
 * @typedef {{type: "gap", topic: string}} Gap
 * @typedef {{type: "presence", topic: string, members?: Member[], entered?: Member[],
 *   left?: string[]}} PresenceMessage
 * @typedef {{type: "headcount", topic: string} & Headcount} HeadcountMessage
 * @typedef {{type: "pong"}} Pong
 * @typedef {Joined | Left | Reply | Failure} Answer to a request, matched by `id`
 * @typedef {EventMessage | Gap | PresenceMessage | HeadcountMessage} TopicMessage about a joined topic
 * @typedef {Welcome | Answer | TopicMessage | Pong} ServerMessage
 */

export const VERSION = 1;
export const SUBPROTOCOL = "seaway.v1";

/** 1 to 200 printable ASCII characters without space, `"` and `\`. */
const TOPIC_NAME = /^[!#-[\]-~]{1,200}$/;

/** @type {(value: unknown) => boolean} */
const string = (value) => typeof value === "string";
/** @type {(value: unknown) => boolean} */
const integer = (value) => Number.isInteger(value);
/** @type {(value: unknown) => boolean} */
const boolean = (value) => typeof value === "boolean";
/** @type {(value: unknown) => boolean} */
const anything = (value) => value !== undefined;
/** @type {(value: unknown) => boolean} */
const strings = (value) => Array.isArray(value) && value.every(string);
/** @type {(value: unknown) => boolean} */
const members = (value) =>
  Array.isArray(value) && value.every((member) => isObject(member) && string(member.id));
/** @type {(value: unknown) => boolean} */
const headcount = (value) => isObject(value) && integer(value.members) && integer(value.people);
/** @type {(check: (value: unknown) => boolean) => (value: unknown) => boolean} */
const optional = (check) => (value) => value === undefined || check(value);

/** @type {Record<string, Record<string, (value: unknown) => boolean>>} */
const SHAPES = {
  welcome: { version: integer, connection: string, ping: integer },
  joined: {
    id: integer,
    topic: string,
    epoch: string,
    offset: integer,
    recovered: boolean,
    data: anything,
    members: optional(members),
    headcount: optional(headcount),
  },
  left: { id: integer, topic: string },
  reply: { id: integer, data: anything },
  error: { id: integer, code: string, message: string, data: optional(anything) },
  event: { topic: string, offset: integer, event: string, data: anything },
  gap: { topic: string },
  presence: {
    topic: string,
    members: optional(members),
    entered: optional(members),
    left: optional(strings),
  },
  headcount: { topic: string, members: integer, people: integer },
  pong: {},
};

/** The server broke the protocol: the connection cannot go on. */
export class BadMessage extends Error {}

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {unknown} name */
export function isTopicName(name) {
  return typeof name === "string" && TOPIC_NAME.test(name);
}

/**
 * @param {ClientMessage} message
 * @returns {string}
 * @throws {TypeError} when the arguments of a call have a value that JSON cannot carry
 */
export function encode(message) {
  return JSON.stringify(message);
}

/**
 * @param {unknown} text what one WebSocket message held
 * @returns {ServerMessage | null} null for a type that a later server may send: to be ignored
 * @throws {BadMessage}
 */
export function decode(text) {
  const message = parse(text);
  if (!string(message.type)) throw new BadMessage('a message without a "type"');
  const { type } = message;
  if (!Object.hasOwn(SHAPES, type)) return null;
  for (const [member, check] of Object.entries(SHAPES[type])) {
    const value = Object.hasOwn(message, member) ? message[member] : undefined;
    if (!check(value)) throw new BadMessage(`"${member}" of "${type}" is missing or wrong`);
  }
  if (type === "presence" && !message.members && !(message.entered && message.left)) {
    throw new BadMessage('"presence" without members');
  }
  return /** @type {ServerMessage} */ (message);
}

/**
 * @param {unknown} text
 * @returns {Record<string, any>}
 */
function parse(text) {
  if (typeof text !== "string") throw new BadMessage("a message that is not text");
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    throw new BadMessage("a message that is not JSON");
  }
  if (!isObject(message)) throw new BadMessage("a message that is not an object");
  return message;
}
