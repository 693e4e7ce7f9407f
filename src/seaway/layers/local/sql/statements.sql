-- What the durable broker asks of its database, by name.

-- name: load_epoch
SELECT epoch FROM life;

-- name: load_streams
SELECT topic, epoch, offset, size, seconds FROM streams;

-- name: load_events
SELECT topic, offset, at, data FROM events ORDER BY topic, offset;

-- name: load_messages
SELECT channel, id, number, data, lane, due, expires, attempts, tries, receipt, until, reason,
    died_at, holder
FROM messages ORDER BY reason <> '', CASE WHEN reason <> '' THEN died_at ELSE 0 END, number;

-- name: load_closed
SELECT channel FROM closed;

-- name: load_once
SELECT channel, once, until, id FROM once WHERE until > :now ORDER BY until;

-- name: forget_epoch
DELETE FROM life;

-- name: write_epoch
INSERT INTO life (epoch) VALUES (:epoch);

-- name: write_stream
INSERT INTO streams (topic, epoch, offset, size, seconds) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (topic) DO UPDATE SET
    epoch = excluded.epoch, offset = excluded.offset, size = excluded.size,
    seconds = excluded.seconds;

-- name: forget_stream
DELETE FROM streams WHERE topic = ?;

-- name: write_event
INSERT INTO events (topic, offset, at, data) VALUES (?, ?, ?, ?);

-- name: trim_events
DELETE FROM events WHERE topic = ? AND offset < ?;

-- name: new_message
INSERT INTO messages (
    channel, number, lane, due, expires, attempts, tries, receipt, until, reason, died_at, holder,
    data, id
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: change_message
UPDATE messages SET
    channel = ?, number = ?, lane = ?, due = ?, expires = ?, attempts = ?, tries = ?, receipt = ?,
    until = ?, reason = ?, died_at = ?, holder = ?
WHERE id = ?;

-- name: forget_message
DELETE FROM messages WHERE id = ?;

-- name: close_channel
INSERT INTO closed (channel) VALUES (?) ON CONFLICT DO NOTHING;

-- name: open_channel
DELETE FROM closed WHERE channel = ?;

-- name: write_once
INSERT INTO once (channel, once, until, id) VALUES (?, ?, ?, ?)
ON CONFLICT (channel, once) DO UPDATE SET until = excluded.until, id = excluded.id;

-- name: forget_once
DELETE FROM once WHERE until <= ?;
