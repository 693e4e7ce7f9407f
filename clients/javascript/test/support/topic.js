/** What a server says of the topic "t", and a client that has joined it. */

export const joined = (id, more) => ({
  type: "joined", id, topic: "t", epoch: "e1", offset: 0, recovered: false, data: "all", ...more,
});
export const rejoin = (id, offset) => ({ type: "join", id, topic: "t", since: { epoch: "e1", offset } });
export const event = (offset, data = offset) => ({ type: "event", topic: "t", offset, event: "e", data });
export const refusal = (id, code = "forbidden") => ({
  type: "error", id, code, message: "No.", data: { why: 1 },
});

/** Joins, as an application and its server do it together. */
export async function join({ server, connection, topic }) {
  if (connection.state !== "open") server.welcome();
  const promise = topic.join();
  const [{ id }] = server.take();
  server.send(joined(id));
  await promise;
  server.clock.advance(0);
}

/** How a promise ends: with which code it is rejected. */
export const code = (promise) => promise.then(() => "resolved", (error) => error.code);
