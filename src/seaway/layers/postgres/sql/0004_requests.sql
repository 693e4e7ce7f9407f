-- A request is done once, whichever of its attempts the server begins first: the other one is
-- refused, and asked again it finds what was done.

UPDATE {schema}.events e SET request = NULL
WHERE EXISTS (SELECT FROM {schema}.events f
              WHERE f.topic = e.topic AND f.request = e.request AND f.off < e.off);
CREATE UNIQUE INDEX events_request ON {schema}.events (topic, request) WHERE request IS NOT NULL;
