-- What the engine keeps. {schema} is the project's schema, named after NAMESPACE.
--
-- Migrations are the numbered files: each runs once, in order, under an advisory lock. The other
-- files hold functions and are run again after a migration.

CREATE TABLE {schema}.meta (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    -- What a topic that comes into being takes as its epoch.
    epoch text NOT NULL,
    -- Tells this database from a restored copy and from a promoted replica: see incarnate().
    incarnation text NOT NULL,
    swept timestamptz NOT NULL DEFAULT now(),
    -- How far walk() has come, and when.
    walked bigint NOT NULL DEFAULT 0,
    walked_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- Streams ------------------------------------------------------------------------------------------

-- Only name and id are indexed, so that publishing updates a row in place (HOT).
CREATE TABLE {schema}.topics (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    epoch text NOT NULL,
    off bigint NOT NULL DEFAULT 0,
    -- The oldest offset that history still gives, and for how many seconds it gives one.
    first bigint NOT NULL DEFAULT 1,
    kept double precision NOT NULL DEFAULT 1,
    used timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE {schema}.events (
    topic bigint NOT NULL,
    off bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Who lost the connection to which this event was answered asks again by it.
    request uuid,
    data bytea NOT NULL,
    PRIMARY KEY (topic, off)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

-- What statements have answered, for a sender that lost its connection and asks again.
CREATE TABLE {schema}.answers (
    request uuid PRIMARY KEY,
    words text[] NOT NULL,
    numbers bigint[] NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX answers_at ON {schema}.answers (at);

CREATE TABLE {schema}.published_once (
    topic text COLLATE "C" NOT NULL,
    once text COLLATE "C" NOT NULL,
    epoch text NOT NULL,
    off bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (topic, once)
);
CREATE INDEX published_once_at ON {schema}.published_once (at);

-- Events of transactions that have not committed yet: see settle().
CREATE TABLE {schema}.pending (
    tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
    n bigint GENERATED ALWAYS AS IDENTITY,
    topic text NOT NULL,
    data bytea NOT NULL,
    size integer NOT NULL,
    seconds double precision NOT NULL,
    PRIMARY KEY (tx, n)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Presence -----------------------------------------------------------------------------------------

CREATE TABLE {schema}.processes (
    id uuid PRIMARY KEY,
    until timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE {schema}.members (
    topic text COLLATE "C" NOT NULL,
    member text COLLATE "C" NOT NULL,
    process uuid NOT NULL,
    person text COLLATE "C" NOT NULL DEFAULT '',
    info bytea NOT NULL,
    PRIMARY KEY (topic, member)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX members_process ON {schema}.members (process);

-- Kept by triggers on members: a headcount reads one row.
CREATE TABLE {schema}.headcounts (
    topic text COLLATE "C" PRIMARY KEY,
    members bigint NOT NULL,
    people bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE {schema}.people (
    topic text COLLATE "C" NOT NULL,
    person text COLLATE "C" NOT NULL,
    members bigint NOT NULL,
    PRIMARY KEY (topic, person)
) WITH (fillfactor = 70);

-- Queues -------------------------------------------------------------------------------------------

CREATE TABLE {schema}.channels (
    name text COLLATE "C" PRIMARY KEY,
    closed boolean NOT NULL DEFAULT false,
    -- How many messages there may be at most: counted anew when that is as many as the capacity.
    at_most bigint NOT NULL DEFAULT 0,
    -- Whether a sender waits for room.
    wanted boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- state: 0 ready, 1 delayed, 2 behind another one of its order, 3 held.
CREATE TABLE {schema}.messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid uuid NOT NULL,
    channel text COLLATE "C" NOT NULL,
    ord text COLLATE "C" NOT NULL,
    state smallint NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0,
    due timestamptz NOT NULL DEFAULT '-infinity',
    until timestamptz,
    expires timestamptz,
    receipt uuid,
    data bytea NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX messages_state ON {schema}.messages (channel, state, id);
CREATE INDEX messages_due ON {schema}.messages (channel, due) WHERE state = 1;
CREATE INDEX messages_until ON {schema}.messages (channel, until) WHERE state = 3;
CREATE INDEX messages_ord ON {schema}.messages (channel, ord, id) WHERE ord <> '';
CREATE INDEX messages_expires ON {schema}.messages (channel, expires)
    WHERE attempts = 0 AND expires IS NOT NULL;

CREATE TABLE {schema}.dead_letters (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid uuid NOT NULL,
    channel text COLLATE "C" NOT NULL,
    ord text COLLATE "C" NOT NULL,
    attempts integer NOT NULL,
    reason text NOT NULL,
    died timestamptz NOT NULL DEFAULT clock_timestamp(),
    data bytea NOT NULL
);
CREATE INDEX dead_letters_channel ON {schema}.dead_letters (channel, n);

CREATE TABLE {schema}.sent_once (
    channel text COLLATE "C" NOT NULL,
    once text COLLATE "C" NOT NULL,
    uid uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (channel, once)
);
CREATE INDEX sent_once_at ON {schema}.sent_once (at);
