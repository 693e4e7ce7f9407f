-- The durable broker's database. Times are seconds since 1970; an infinite one means never, and
-- minus infinity at once. Raise `database.SCHEMA` with any change.

CREATE TABLE streams (
    topic TEXT PRIMARY KEY,
    epoch TEXT NOT NULL,
    offset INTEGER NOT NULL,
    size INTEGER NOT NULL,
    seconds REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE events (
    topic TEXT NOT NULL,
    offset INTEGER NOT NULL,
    at REAL NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (topic, offset)
) WITHOUT ROWID;

-- Dead letters have a reason, what is held a receipt.
CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    channel TEXT NOT NULL,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    lane TEXT NOT NULL,
    due REAL NOT NULL,
    expires REAL NOT NULL,
    attempts INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    receipt TEXT NOT NULL,
    holder TEXT NOT NULL,
    until REAL NOT NULL,
    reason TEXT NOT NULL,
    died_at REAL NOT NULL
);

CREATE TABLE closed (
    channel TEXT PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE once (
    channel TEXT NOT NULL,
    once TEXT NOT NULL,
    until REAL NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (channel, once)
) WITHOUT ROWID;

-- One row.
CREATE TABLE life (
    epoch TEXT NOT NULL
);
