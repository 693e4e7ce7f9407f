-- Events that are published together share a row: see packs.py. off is the last one's offset.

ALTER TABLE {schema}.events ADD COLUMN count integer NOT NULL DEFAULT 1;
-- Packs stay in their page; what is compressed or moved out of it costs more than it saves.
ALTER TABLE {schema}.events SET (toast_tuple_target = 4080);

-- These have other parameters now.
DROP FUNCTION IF EXISTS {schema}.append(text[], bytea[], integer[], double precision[]);
DROP FUNCTION IF EXISTS {schema}.append_once(
    text[], bytea[], integer[], double precision[], text[]);
DROP FUNCTION IF EXISTS {schema}.publish_one(uuid, boolean, text, bytea, integer, double precision);
DROP FUNCTION IF EXISTS {schema}.publish(
    uuid, boolean, text[], bytea[], integer[], double precision[], text[]);
DROP FUNCTION IF EXISTS {schema}.follow(bigint[], bigint[]);
DROP FUNCTION IF EXISTS {schema}.read(text, text, bigint, integer);
